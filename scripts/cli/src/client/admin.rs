//! What administrators ask of a cluster: topics, their settings, offsets.
//!
//! **Invariant:** a change goes to the controller and is not repeated once a
//! broker has received it; only questions are.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, ListPartitionReassignmentsRequest,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::metadata::{AutoCreate, Topics, topic_name, wire_name};
use super::{Client, Error, Lane};

const RESOURCE_TOPIC: i8 = 2;
/// The source of a setting that nobody has set anywhere.
const SOURCE_DEFAULT: i8 = 5;

/// A topic as listings show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) is_internal: bool,
}

/// What to create. Absent numbers are left to the broker's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: Option<i32>,
    pub(crate) replication_factor: Option<i16>,
    pub(crate) assignment: Vec<Vec<i32>>,
    pub(crate) configs: Vec<(String, String)>,
}

/// How many partitions a topic is to have, and where the added ones go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewPartitions {
    pub(crate) topic: String,
    pub(crate) count: i32,
    pub(crate) added: Option<Vec<Vec<i32>>>,
}

/// One partition of a described topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    pub(crate) leader: Option<i32>,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
}

/// A described topic, partitions in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<Partition>,
}

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigEntry {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) is_default: bool,
}

/// A move of replicas that is going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reassignment {
    pub(crate) replicas: Vec<i32>,
    pub(crate) adding: Vec<i32>,
    pub(crate) removing: Vec<i32>,
}

impl Client {
    pub(crate) async fn list_topics(&self) -> Result<Vec<Listing>, Error> {
        let answer = self
            .retrying("listTopics", async || {
                self.refresh(Topics::All, AutoCreate::Never).await
            })
            .await?;
        let mut listings: Vec<Listing> = answer
            .topics
            .iter()
            .map(|topic| Listing {
                name: topic_name(topic),
                id: topic.topic_id,
                is_internal: topic.is_internal,
            })
            .collect();
        listings.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listings)
    }

    /// Describes topics by name, in the order of their names.
    pub(crate) async fn describe_topics(&self, names: &[String]) -> Result<Vec<Topic>, Error> {
        self.retrying("describeTopics", async || {
            let answer = self
                .refresh(Topics::Named(names), AutoCreate::Never)
                .await?;
            topics_of(&answer.topics)
        })
        .await
    }

    pub(crate) async fn describe_topic_id(&self, id: Uuid) -> Result<Vec<Topic>, Error> {
        self.retrying("describeTopics", async || {
            let answer = self.refresh(Topics::ById(id), AutoCreate::Never).await?;
            topics_of(&answer.topics)
        })
        .await
    }

    pub(crate) async fn create_topic(&self, topic: &NewTopic) -> Result<(), Error> {
        let answer = self
            .ask_controller("createTopics", |timeout_ms| {
                CreateTopicsRequest::default()
                    .with_topics(vec![creatable(topic)])
                    .with_timeout_ms(timeout_ms)
            })
            .await?;
        answer
            .topics
            .iter()
            .try_for_each(|topic| Error::check(topic.error_code, topic.error_message.as_deref()))
    }

    /// Raises the number of partitions; `added` places the new ones if given.
    pub(crate) async fn create_partitions(&self, counts: &[NewPartitions]) -> Result<(), Error> {
        let answer = self
            .ask_controller("createPartitions", |timeout_ms| {
                let topics = counts
                    .iter()
                    .map(
                        |NewPartitions {
                             topic,
                             count,
                             added,
                         }| {
                            CreatePartitionsTopic::default()
                                .with_name(wire_name(topic))
                                .with_count(*count)
                                .with_assignments(added.as_ref().map(|added| {
                                    added
                                        .iter()
                                        .map(|replicas| {
                                            CreatePartitionsAssignment::default()
                                                .with_broker_ids(broker_ids(replicas))
                                        })
                                        .collect()
                                }))
                        },
                    )
                    .collect();
                CreatePartitionsRequest::default()
                    .with_topics(topics)
                    .with_timeout_ms(timeout_ms)
            })
            .await?;
        answer
            .results
            .iter()
            .try_for_each(|topic| Error::check(topic.error_code, topic.error_message.as_deref()))
    }

    /// Deletes topics; what failed, of each.
    pub(crate) async fn delete_each_topic(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Result<(), Error>>, Error> {
        let controller = self.find_controller("deleteTopics").await?;
        let timeout_ms = self.request_timeout_ms();
        let answer = self
            .call(&controller, Lane::Control, |version| {
                let request = DeleteTopicsRequest::default().with_timeout_ms(timeout_ms);
                let wire = names.iter().map(|name| wire_name(name));
                match version >= 6 {
                    true => request.with_topics(
                        wire.map(|name| DeleteTopicState::default().with_name(Some(name)))
                            .collect(),
                    ),
                    false => request.with_topic_names(wire.collect()),
                }
            })
            .await?;
        let results = answer.responses.iter().map(|topic| {
            let name = topic.name.as_ref().map(|name| name.0.to_string());
            let checked = Error::check(topic.error_code, topic.error_message.as_deref());
            (name.unwrap_or_default(), checked)
        });
        Ok(results.collect())
    }

    /// Deletes topics; the first failure.
    pub(crate) async fn delete_topics(&self, names: &[String]) -> Result<(), Error> {
        let results = self.delete_each_topic(names).await?;
        results.into_values().collect()
    }

    /// The settings of each topic; none at all when the broker cannot tell.
    pub(crate) async fn describe_topic_configs(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Vec<ConfigEntry>>, Error> {
        let broker = self.any_broker()?;
        let answer = self
            .call(&broker, Lane::Control, |_| {
                let resources = names
                    .iter()
                    .map(|name| {
                        DescribeConfigsResource::default()
                            .with_resource_type(RESOURCE_TOPIC)
                            .with_resource_name(StrBytes::from_string(name.clone()))
                            .with_configuration_keys(None)
                    })
                    .collect();
                DescribeConfigsRequest::default().with_resources(resources)
            })
            .await;
        let answer = match answer {
            Err(Error::Unsupported(_)) => return Ok(BTreeMap::new()),
            answer => answer?,
        };
        let mut configs = BTreeMap::new();
        for resource in answer.results {
            Error::check(resource.error_code, resource.error_message.as_deref())?;
            let entries = resource
                .configs
                .iter()
                .map(|entry| ConfigEntry {
                    name: entry.name.to_string(),
                    value: entry
                        .value
                        .as_ref()
                        .map_or("null", StrBytes::as_str)
                        .to_owned(),
                    is_default: entry.config_source == SOURCE_DEFAULT,
                })
                .collect();
            configs.insert(resource.resource_name.to_string(), entries);
        }
        Ok(configs)
    }

    /// Moves that are going on; none when the broker cannot tell or we may not ask.
    pub(crate) async fn reassignments(
        &self,
    ) -> Result<BTreeMap<(String, i32), Reassignment>, Error> {
        let controller = self.find_controller("listPartitionReassignments").await?;
        let timeout_ms = self.request_timeout_ms();
        let request = |_| {
            ListPartitionReassignmentsRequest::default()
                .with_timeout_ms(timeout_ms)
                .with_topics(None)
        };
        let answer = match self.call(&controller, Lane::Control, request).await {
            Err(Error::Unsupported(_)) => return Ok(BTreeMap::new()),
            answer => answer?,
        };
        let checked = Error::check(answer.error_code, answer.error_message.as_deref());
        match checked {
            Err(error) if error.is(ResponseError::ClusterAuthorizationFailed) => {
                return Ok(BTreeMap::new());
            }
            checked => checked?,
        }
        let mut moves = BTreeMap::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let at = (topic.name.0.to_string(), partition.partition_index);
                moves.insert(
                    at,
                    Reassignment {
                        replicas: plain_ids(&partition.replicas),
                        adding: plain_ids(&partition.adding_replicas),
                        removing: plain_ids(&partition.removing_replicas),
                    },
                );
            }
        }
        Ok(moves)
    }

    pub(crate) fn leader_endpoint(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<super::Endpoint, Error> {
        match self.leader(topic, partition) {
            Some(leader) => self.broker(leader),
            None => Err(Error::Server {
                code: ResponseError::LeaderNotAvailable.code(),
                message: None,
            }),
        }
    }

    /// Sends a change to the controller; one that has moved is looked up again.
    pub(super) async fn ask_controller<R: kafka_protocol::protocol::Request>(
        &self,
        call: &'static str,
        build: impl Fn(i32) -> R,
    ) -> Result<R::Response, Error> {
        let controller = self.find_controller(call).await?;
        let timeout_ms = self.request_timeout_ms();
        // The broker waits `timeout_ms` for the change and then still answers.
        let limit = self.config().request_timeout * 2;
        self.call_within(&controller, Lane::Control, limit, |_| build(timeout_ms))
            .await
    }

    pub(super) async fn find_controller(
        &self,
        call: &'static str,
    ) -> Result<super::Endpoint, Error> {
        self.retrying(call, async || {
            self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
            self.controller()
        })
        .await
    }

    pub(super) fn request_timeout_ms(&self) -> i32 {
        i32::try_from(self.config().request_timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

fn topics_of(
    topics: &[kafka_protocol::messages::metadata_response::MetadataResponseTopic],
) -> Result<Vec<Topic>, Error> {
    let mut described = Vec::new();
    for topic in topics {
        Error::check(topic.error_code, None)?;
        let mut partitions: Vec<Partition> = topic
            .partitions
            .iter()
            .map(|partition| Partition {
                index: partition.partition_index,
                leader: (partition.leader_id.0 >= 0).then_some(partition.leader_id.0),
                replicas: plain_ids(&partition.replica_nodes),
                isr: plain_ids(&partition.isr_nodes),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        described.push(Topic {
            name: topic_name(topic),
            id: topic.topic_id,
            partitions,
        });
    }
    described.sort_by(|a: &Topic, b: &Topic| a.name.cmp(&b.name));
    Ok(described)
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignments = (0..)
        .zip(&topic.assignment)
        .map(|(index, replicas)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(broker_ids(replicas))
        })
        .collect();
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_value(Some(StrBytes::from_string(value.clone())))
        })
        .collect();
    CreatableTopic::default()
        .with_name(wire_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_assignments(assignments)
        .with_configs(configs)
}

fn broker_ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}

fn plain_ids(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}
