//! Topics as an administrator sees them: create, extend, mark for deletion.
//!
//! The checks, their order and their texts are AdminZkClient's. The values of
//! the configuration are checked by the caller, who knows the table of keys.

mod placement;

use std::collections::BTreeMap;

use bytes::Bytes;
use indexmap::IndexMap;

use super::assignment::{self, Candidate};
use super::configs::topic_entity;
use super::znode::{ReplicaAssignment, TopicAssignment, path};
use super::{Error, Registry, at, new_uuid};
use crate::model::{BrokerId, TopicId, TopicName};
use crate::zk::{self, CreateMode, ErrorCode};
use placement::{check_replicas, extend, place};

/// Whether to do it, or only say whether it could be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Apply,
    ValidateOnly,
}

/// Where the replicas go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    Automatic {
        partitions: i32,
        replication_factor: i32,
    },
    Manual(BTreeMap<i32, Vec<BrokerId>>),
}

/// A topic to create.
#[derive(Debug, Clone)]
pub struct NewTopic {
    pub name: TopicName,
    pub placement: Placement,
    pub config: IndexMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateTopicError {
    #[error("Topic '{0}' is marked for deletion.")]
    MarkedForDeletion(TopicName),
    #[error("Topic '{0}' already exists.")]
    Exists(TopicName),
    #[error("Topic '{topic}' collides with existing topics: {existing}")]
    Collides { topic: TopicName, existing: String },
    #[error(transparent)]
    Assignment(#[from] assignment::Error),
    #[error("All partitions should have the same number of replicas")]
    UnevenReplicas,
    #[error("Duplicate replica assignment found: HashMap({})", as_scala(.0))]
    DuplicateReplicas(BTreeMap<i32, Vec<BrokerId>>),
    #[error("partitions should be a consecutive 0-based integer sequence")]
    PartitionsNotConsecutive,
    #[error(transparent)]
    Registry(#[from] Error),
}

/// The replicas as Kafka's broker prints them.
fn as_scala(replicas: &BTreeMap<i32, Vec<BrokerId>>) -> String {
    let printed = replicas.iter().map(|(partition, ids)| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        format!("{partition} -> ArrayBuffer({})", ids.join(", "))
    });
    printed.collect::<Vec<_>>().join(", ")
}

#[derive(Debug, thiserror::Error)]
pub enum AddPartitionsError {
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(TopicName),
    #[error(
        "The number of partitions for a topic can only be increased. Topic {topic} currently has \
         {current} partitions, {wanted} would not be an increase."
    )]
    NoIncrease {
        topic: TopicName,
        current: usize,
        wanted: i32,
    },
    #[error("Unexpected existing replica assignment for topic '{0}', partition id 0 is missing.")]
    NoFirstPartition(TopicName),
    #[error("Increasing the number of partitions by {added} but {assigned} assignments provided.")]
    WrongCount { added: i32, assigned: usize },
    #[error("Cannot have replication factor of 0 for partition id {0}.")]
    NoReplicas(i32),
    #[error(
        "Duplicate brokers not allowed in replica assignment: {replicas} for partition id {partition}."
    )]
    DuplicateReplicas { partition: i32, replicas: String },
    #[error(
        "Some brokers specified for partition id {partition} are not available. Specified \
         brokers: {replicas}, available brokers: {available}."
    )]
    UnknownBrokers {
        partition: i32,
        replicas: String,
        available: String,
    },
    #[error(
        "Inconsistent replication factor between partitions, partition 0 has {expected} while \
         partitions [{partitions}] have replication factors [{factors}], respectively."
    )]
    UnevenReplicas {
        expected: usize,
        partitions: String,
        factors: String,
    },
    #[error(transparent)]
    Assignment(#[from] assignment::Error),
    #[error(transparent)]
    Registry(#[from] Error),
}

#[derive(Debug, thiserror::Error)]
pub enum DeleteTopicError {
    #[error("Topic `{0}` to delete does not exist")]
    UnknownTopic(TopicName),
    #[error("topic {0} is already marked for deletion")]
    AlreadyMarked(TopicName),
    #[error(transparent)]
    Registry(#[from] Error),
}

impl Registry {
    /// Creates a topic: configuration first, then the topic's node, upon which
    /// the controller creates the partitions. Returns what was (or, when only
    /// validated, would be) written.
    pub async fn create_topic(
        &self,
        topic: &NewTopic,
        brokers: &[Candidate],
        mode: Mode,
    ) -> Result<TopicAssignment, CreateTopicError> {
        let name = &topic.name;
        self.check_name_is_free(name).await?;
        let replicas = place(&topic.placement, brokers)?;
        check_replicas(&replicas)?;
        let partitions = replicas
            .into_iter()
            .map(|(p, replicas)| (p, ReplicaAssignment::of(replicas)))
            .collect();
        let assignment = TopicAssignment {
            topic_id: self.version.has_topic_ids().then(new_uuid),
            partitions,
        };
        if mode == Mode::ValidateOnly {
            return Ok(assignment);
        }
        self.write_config(&topic_entity(name), &topic.config)
            .await?;
        self.write_new_topic(name, &assignment).await?;
        tracing::info!(topic = %name, partitions = assignment.partitions.len(), "created the topic");
        Ok(assignment)
    }

    async fn check_name_is_free(&self, name: &TopicName) -> Result<(), CreateTopicError> {
        if self.is_marked_for_deletion(name).await? {
            return Err(CreateTopicError::MarkedForDeletion(name.clone()));
        }
        if self.topic_exists(name).await? {
            return Err(CreateTopicError::Exists(name.clone()));
        }
        if !name.as_str().contains(['.', '_']) {
            return Ok(());
        }
        let all = self.topics(None).await?;
        if all.contains(name) {
            return Err(CreateTopicError::Exists(name.clone()));
        }
        let existing: Vec<&str> = all
            .iter()
            .filter(|other| name.collides_with(other))
            .map(TopicName::as_str)
            .collect();
        if existing.is_empty() {
            return Ok(());
        }
        Err(CreateTopicError::Collides {
            topic: name.clone(),
            existing: existing.join(", "),
        })
    }

    async fn write_new_topic(
        &self,
        name: &TopicName,
        assignment: &TopicAssignment,
    ) -> Result<(), CreateTopicError> {
        let path = path::topic(name);
        let data = Bytes::from(assignment.encode());
        let create = || {
            self.client
                .create(&path, Some(data.clone()), CreateMode::Persistent)
        };
        match self.client.retry(create).await {
            Ok(_) => Ok(()),
            Err(error) if error.is(ErrorCode::NodeExists) => {
                // Ours, if the reply of the first attempt was lost.
                match self.topic(name).await? {
                    Some(found) if found == *assignment => Ok(()),
                    _ => Err(CreateTopicError::Exists(name.clone())),
                }
            }
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// Raises the number of partitions to `total`; `new` places the added ones,
    /// in order. Returns the whole assignment.
    pub async fn add_partitions(
        &self,
        name: &TopicName,
        total: i32,
        new: Option<&[Vec<BrokerId>]>,
        brokers: &[Candidate],
        mode: Mode,
    ) -> Result<TopicAssignment, AddPartitionsError> {
        let path = path::topic(name);
        loop {
            let Some((data, stat)) = self.read(&path).await? else {
                return Err(AddPartitionsError::UnknownTopic(name.clone()));
            };
            let mut assignment = at(&path, TopicAssignment::decode(&data))?;
            let added = extend(name, &assignment, total, new, brokers)?;
            let added = added
                .into_iter()
                .map(|(p, replicas)| (p, ReplicaAssignment::of(replicas)));
            assignment.partitions.extend(added);
            if mode == Mode::ValidateOnly {
                return Ok(assignment);
            }
            let data = Bytes::from(assignment.encode());
            // Kafka overwrites blindly; the version keeps two callers apart.
            match self.client.set_data(&path, data, stat.version).await {
                Ok(_) => return Ok(assignment),
                Err(error) if error.is(ErrorCode::BadVersion) => {}
                Err(zk::Error::ConnectionLoss) => {
                    let now = self.topic(name).await?;
                    if now.as_ref() == Some(&assignment) {
                        return Ok(assignment);
                    }
                }
                Err(error) => return Err(Error::from(error).into()),
            }
        }
    }

    /// Asks the controller to delete a topic.
    pub async fn delete_topic(&self, name: &TopicName) -> Result<(), DeleteTopicError> {
        if !self.topic_exists(name).await? {
            return Err(DeleteTopicError::UnknownTopic(name.clone()));
        }
        let path = path::delete_topic(name);
        match self
            .client
            .create(&path, None, CreateMode::Persistent)
            .await
        {
            Ok(_) => Ok(()),
            Err(zk::Error::ConnectionLoss) => {
                let create = || self.client.create(&path, None, CreateMode::Persistent);
                match self.client.retry(create).await {
                    Ok(_) => Ok(()),
                    Err(error) if error.is(ErrorCode::NodeExists) => Ok(()),
                    Err(error) => Err(Error::from(error).into()),
                }
            }
            Err(error) if error.is(ErrorCode::NodeExists) => {
                Err(DeleteTopicError::AlreadyMarked(name.clone()))
            }
            Err(error) => Err(Error::from(error).into()),
        }
    }

    /// One topic's id and assignment.
    pub async fn topic(&self, name: &TopicName) -> Result<Option<TopicAssignment>, Error> {
        let found = self.assignments(std::slice::from_ref(name), None).await?;
        Ok(found.into_iter().next().map(|(_, assignment)| assignment))
    }

    pub async fn topic_id(&self, name: &TopicName) -> Result<Option<TopicId>, Error> {
        Ok(self
            .topic(name)
            .await?
            .and_then(|assignment| assignment.topic_id))
    }

    pub async fn topic_exists(&self, name: &TopicName) -> Result<bool, Error> {
        let path = path::topic(name);
        Ok(self
            .client
            .retry(|| self.client.exists(&path, None))
            .await?
            .is_some())
    }

    pub async fn is_marked_for_deletion(&self, name: &TopicName) -> Result<bool, Error> {
        let path = path::delete_topic(name);
        Ok(self
            .client
            .retry(|| self.client.exists(&path, None))
            .await?
            .is_some())
    }
}
