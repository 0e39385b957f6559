//! Topic commands through ZooKeeper, as Kafka had them until 2.8.
//!
//! What is written are Kafka's own znodes, upon which the controller acts.

use std::collections::{BTreeMap, HashMap};

use broker::model::{TopicName, TopicPartition, is_internal_topic};
use broker::registry::assignment::Candidate;
use broker::registry::{
    AddPartitionsError, ConfigEntity, CreateTopicError, DeleteTopicError, EntityType, Mode,
    NewTopic, Placement, Registry, TopicAssignment,
};

use super::arguments::{Action, Arguments};
use super::brokers::reports;
use super::description::{self, MIN_ISR, PartitionLine, Selection, TopicLines};
use super::topic_configs;
use super::warn_of_collision;
use crate::{console, text, zookeeper};

const KEYED_TOPICS: &str = "WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the messages will be affected";
const DEPRECATED_CONFIGS: &str = "WARNING: Altering topic configuration from this script has been deprecated and may be removed in future releases.\n         Going forward, please use kafka-configs.sh for this functionality";
/// What Kafka assumes of a topic without the setting.
const MIN_ISR_DEFAULT: usize = 1;

/// What went wrong on this way.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Connect(#[from] zookeeper::Error),
    #[error(transparent)]
    Registry(#[from] broker::registry::Error),
    #[error(transparent)]
    Create(#[from] CreateTopicError),
    #[error(transparent)]
    AddPartitions(#[from] AddPartitionsError),
    #[error(transparent)]
    Delete(#[from] DeleteTopicError),
    #[error(transparent)]
    Name(#[from] broker::model::InvalidTopicName),
    #[error("{0}")]
    Config(String),
    #[error("Topic {0} is a kafka internal topic and is not allowed to be marked for deletion.")]
    Internal(String),
}

impl Error {
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Connect(_) => "kafka.zookeeper.ZooKeeperClientTimeoutException",
            Self::Registry(_) => "org.apache.zookeeper.KeeperException",
            Self::Create(CreateTopicError::Exists(_)) => {
                "org.apache.kafka.common.errors.TopicExistsException"
            }
            Self::Create(_) => "org.apache.kafka.common.errors.InvalidReplicationFactorException",
            Self::AddPartitions(_) => "org.apache.kafka.common.errors.InvalidPartitionsException",
            Self::Delete(_) | Self::Internal(_) => "kafka.admin.AdminOperationException",
            Self::Name(_) => "org.apache.kafka.common.errors.InvalidTopicException",
            Self::Config(_) => "org.apache.kafka.common.errors.InvalidConfigurationException",
        }
    }
}

pub(super) async fn run(arguments: &Arguments, servers: &str) -> Result<(), super::Error> {
    let client = zookeeper::connect(servers).await.map_err(Error::from)?;
    let registry = Registry::new(client.clone(), common::clock::system());
    let done = match arguments.action {
        Action::Create => create(arguments, &registry).await,
        Action::List => list(arguments, &registry).await,
        Action::Describe => describe(arguments, &registry).await,
        Action::Alter => alter(arguments, &registry).await,
        Action::Delete => delete(arguments, &registry).await,
    };
    client.close().await;
    done
}

async fn create(arguments: &Arguments, registry: &Registry) -> Result<(), super::Error> {
    let written = arguments.topic().unwrap_or_default();
    let name = TopicName::new(written).map_err(Error::from)?;
    let config = arguments.configs()?;
    topic_configs::check(&config).map_err(Error::Config)?;
    warn_of_collision(written);
    let assignment = arguments.replica_assignment()?;
    let placement = match assignment.is_empty() {
        true => Placement::Automatic {
            partitions: arguments.partitions()?.unwrap_or_default(),
            replication_factor: arguments.replication_factor()?.unwrap_or_default(),
        },
        false => Placement::Manual((0..).zip(assignment).collect()),
    };
    let topic = NewTopic {
        name,
        placement,
        config: config.into_iter().collect(),
    };
    let brokers = candidates(registry).await?;
    match registry.create_topic(&topic, &brokers, Mode::Apply).await {
        Err(CreateTopicError::Exists(_)) if arguments.has("if-not-exists") => Ok(()),
        Err(error) => Err(Error::from(error).into()),
        Ok(_) => {
            console::say(format_args!("Created topic {written}."));
            Ok(())
        }
    }
}

async fn candidates(registry: &Registry) -> Result<Vec<Candidate>, Error> {
    let brokers = registry.brokers(None).await?;
    Ok(brokers
        .into_iter()
        .map(|(broker, _)| Candidate {
            id: broker.id,
            rack: broker.rack,
        })
        .collect())
}

async fn list(arguments: &Arguments, registry: &Registry) -> Result<(), super::Error> {
    let marked = registry.topics_to_delete(None).await.map_err(Error::from)?;
    for name in chosen(arguments, registry).await? {
        match marked.iter().any(|topic| topic.as_str() == name) {
            true => console::say(format_args!("{name} - marked for deletion")),
            false => console::say(name),
        }
    }
    Ok(())
}

async fn alter(arguments: &Arguments, registry: &Registry) -> Result<(), super::Error> {
    let names = existing(arguments, registry).await?;
    let changes = arguments.configs()?;
    topic_configs::check(&changes).map_err(Error::Config)?;
    let removed = arguments.deleted_configs();
    let count = arguments.partitions()?;
    let assignment = arguments.replica_assignment()?;
    for name in names {
        let topic = TopicName::new(&name).map_err(Error::from)?;
        if !changes.is_empty() || !removed.is_empty() {
            console::say(DEPRECATED_CONFIGS);
            change_config(registry, &topic, &changes, &removed).await?;
            console::say(format_args!("Updated config for topic {name}."));
        }
        if let Some(count) = count {
            console::say(KEYED_TOPICS);
            let brokers = candidates(registry).await?;
            let current = registry.topic(&topic).await.map_err(Error::from)?;
            let current = current.map_or(0, |topic| topic.partitions.len());
            let added = assignment.get(current..).unwrap_or_default();
            let added = (!assignment.is_empty()).then_some(added);
            registry
                .add_partitions(&topic, count, added, &brokers, Mode::Apply)
                .await
                .map_err(Error::from)?;
            console::say("Adding partitions succeeded!");
        }
    }
    Ok(())
}

async fn change_config(
    registry: &Registry,
    topic: &TopicName,
    changes: &[(String, String)],
    removed: &[&str],
) -> Result<(), Error> {
    let mut config = registry.topic_config(topic).await?;
    config.extend(changes.iter().cloned());
    for key in removed {
        config.shift_remove(*key);
    }
    let entity = ConfigEntity {
        entity_type: EntityType::Topics,
        name: topic.as_str().to_owned(),
    };
    registry.change_config(&entity, &config).await?;
    Ok(())
}

async fn delete(arguments: &Arguments, registry: &Registry) -> Result<(), super::Error> {
    for name in existing(arguments, registry).await? {
        if is_internal_topic(&name) {
            return Err(Error::Internal(name).into());
        }
        let topic = TopicName::new(&name).map_err(Error::from)?;
        match registry.delete_topic(&topic).await {
            Ok(()) => console::say(format_args!(
                "Topic {name} is marked for deletion.\nNote: This will have no impact if delete.topic.enable is not set to true."
            )),
            Err(DeleteTopicError::AlreadyMarked(_)) => {
                console::say(format_args!("Topic {name} is already marked for deletion."));
            }
            Err(error) => return Err(Error::from(error).into()),
        }
    }
    Ok(())
}

async fn describe(arguments: &Arguments, registry: &Registry) -> Result<(), super::Error> {
    let names = existing(arguments, registry).await?;
    let topics: Vec<TopicName> = names
        .iter()
        .map(|name| TopicName::new(name))
        .collect::<Result<_, _>>()
        .map_err(Error::from)?;
    let marked = registry.topics_to_delete(None).await.map_err(Error::from)?;
    let brokers = registry.brokers(None).await.map_err(Error::from)?;
    let selection = Selection {
        reports: reports(arguments),
        only_overridden: arguments.has("topics-with-overrides"),
        live_brokers: brokers.iter().map(|(broker, _)| broker.id).collect(),
        with_elr: false,
    };
    for (topic, assignment) in registry
        .assignments(&topics, None)
        .await
        .map_err(Error::from)?
    {
        let is_marked = marked.contains(&topic);
        let lines = lines_of(registry, topic, assignment, is_marked).await?;
        console::print(format_args!(
            "{}",
            description::describe(&lines, &selection)
        ));
    }
    Ok(())
}

async fn lines_of(
    registry: &Registry,
    topic: TopicName,
    assignment: TopicAssignment,
    is_marked_for_deletion: bool,
) -> Result<TopicLines, Error> {
    let configs = registry.topic_config(&topic).await?;
    let partitions: Vec<TopicPartition> = assignment
        .partitions
        .keys()
        .map(|index| TopicPartition::new(topic.clone(), *index))
        .collect();
    let states = registry.partition_states(&partitions).await?;
    let states: HashMap<i32, _> = assignment.partitions.keys().copied().zip(states).collect();
    let min_isr = configs.get(MIN_ISR).and_then(|value| value.parse().ok());
    Ok(TopicLines {
        name: topic.as_str().to_owned(),
        id: assignment.topic_id.map(text::topic_id),
        configs: configs.into_iter().collect(),
        min_isr: Some(min_isr.unwrap_or(MIN_ISR_DEFAULT)),
        partitions: partition_lines(assignment.partitions, |index| {
            let state = states.get(&index)?.as_ref()?;
            let of_leader = &state.state;
            Some((
                of_leader.has_leader().then_some(of_leader.leader),
                of_leader.isr.clone(),
            ))
        }),
        is_marked_for_deletion,
    })
}

fn partition_lines(
    assigned: BTreeMap<i32, broker::registry::ReplicaAssignment>,
    state: impl Fn(i32) -> Option<(Option<i32>, Vec<i32>)>,
) -> Vec<PartitionLine> {
    assigned
        .into_iter()
        .map(|(index, assigned)| {
            let (leader, isr) = state(index).unwrap_or_default();
            PartitionLine {
                index,
                leader,
                replicas: assigned.replicas,
                isr,
                reassignment: None,
            }
        })
        .collect()
}

/// The topics the command is about; none is an error unless it may be.
async fn existing(arguments: &Arguments, registry: &Registry) -> Result<Vec<String>, super::Error> {
    let names = chosen(arguments, registry).await?;
    match arguments.topic() {
        Some(topic) if names.is_empty() && !topic.is_empty() && !arguments.has("if-exists") => {
            Err(super::Error::NoTopic(topic.to_owned()))
        }
        _ => Ok(names),
    }
}

async fn chosen(arguments: &Arguments, registry: &Registry) -> Result<Vec<String>, super::Error> {
    let mut topics = registry.topics(None).await.map_err(Error::from)?;
    topics.sort();
    arguments.chosen(topics.iter().map(|topic| {
        let name = topic.as_str();
        (name.to_owned(), is_internal_topic(name))
    }))
}
