//! Topics that come into being because somebody asked for them.

use std::collections::HashSet;
use std::sync::Arc;

use common::config::Values;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;

use super::topic_admin::TopicAdmin;
use crate::model::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC, TopicName};
use crate::registry::{CreateTopicError, Mode, NewTopic, Placement};

/// How topics are created without anybody's wishes.
#[derive(Debug, Clone)]
pub struct Config {
    /// `auto.create.topics.enable`.
    pub enabled: bool,
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i32,
    /// `offsets.topic.*`
    pub group_metadata: InternalTopic,
    /// `transaction.state.log.*`
    pub transaction_state: InternalTopic,
    /// `transaction.state.log.min.isr`
    pub transaction_state_min_isr: i32,
}

/// The shape of an internal topic.
#[derive(Debug, Clone, Copy)]
pub struct InternalTopic {
    pub partitions: i32,
    pub replication_factor: i32,
    pub segment_bytes: i32,
}

impl Config {
    /// Takes the settings out of the broker's table of keys.
    #[must_use]
    pub fn from_values(values: &Values) -> Self {
        let int = |name: &str| values.i32(name);
        let internal = |prefix: &str| InternalTopic {
            partitions: int(&format!("{prefix}.num.partitions")),
            replication_factor: int(&format!("{prefix}.replication.factor")),
            segment_bytes: int(&format!("{prefix}.segment.bytes")),
        };
        Self {
            enabled: values.bool("auto.create.topics.enable"),
            partitions: int("num.partitions"),
            replication_factor: int("default.replication.factor"),
            group_metadata: internal("offsets.topic"),
            transaction_state: internal("transaction.state.log"),
            transaction_state_min_isr: int("transaction.state.log.min.isr"),
        }
    }
}

/// Creates missing topics, each once at a time.
pub(crate) struct AutoCreate {
    config: Config,
    admin: Arc<TopicAdmin>,
    in_flight: Mutex<HashSet<TopicName>>,
}

impl AutoCreate {
    pub(crate) fn new(config: Config, admin: Arc<TopicAdmin>) -> Self {
        Self {
            config,
            admin,
            in_flight: Mutex::default(),
        }
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.config.enabled
    }

    /// Creates `name` and gives the code that clients retry on until the
    /// topic has a leader.
    pub(crate) async fn create(&self, name: &TopicName) -> i16 {
        match name.as_str() {
            GROUP_METADATA_TOPIC => return self.create_group_metadata_topic().await,
            TRANSACTION_STATE_TOPIC => return self.create_transaction_state_topic().await,
            _ => {}
        }
        self.create_with(NewTopic {
            name: name.clone(),
            placement: Placement::Automatic {
                partitions: self.config.partitions,
                replication_factor: self.config.replication_factor,
            },
            config: IndexMap::new(),
        })
        .await
    }

    /// Creates the topic of committed offsets, compacted as in Kafka.
    pub(crate) async fn create_group_metadata_topic(&self) -> i16 {
        let shape = self.config.group_metadata;
        let config = [
            ("compression.type", "producer".to_owned()),
            ("cleanup.policy", "compact".to_owned()),
            ("segment.bytes", shape.segment_bytes.to_string()),
        ];
        self.create_internal(GROUP_METADATA_TOPIC, shape, &config)
            .await
    }

    /// Creates the topic of the transaction coordinators, as in Kafka compacted,
    /// not compressed, and led by nobody who may have missed a record.
    pub(crate) async fn create_transaction_state_topic(&self) -> i16 {
        let shape = self.config.transaction_state;
        let min_isr = self.config.transaction_state_min_isr;
        let config = [
            ("compression.type", "uncompressed".to_owned()),
            ("cleanup.policy", "compact".to_owned()),
            ("min.insync.replicas", min_isr.to_string()),
            ("segment.bytes", shape.segment_bytes.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        self.create_internal(TRANSACTION_STATE_TOPIC, shape, &config)
            .await
    }

    async fn create_internal(
        &self,
        name: &str,
        shape: InternalTopic,
        config: &[(&str, String)],
    ) -> i16 {
        let config = config.iter();
        self.create_with(NewTopic {
            name: TopicName::new(name).expect("Kafka's own topic name"),
            placement: Placement::Automatic {
                partitions: shape.partitions,
                replication_factor: shape.replication_factor,
            },
            config: config
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        })
        .await
    }

    async fn create_with(&self, topic: NewTopic) -> i16 {
        let not_yet = ResponseError::LeaderNotAvailable.code();
        if !self.in_flight.lock().insert(topic.name.clone()) {
            return not_yet;
        }
        let _done = InFlight {
            name: topic.name.clone(),
            set: &self.in_flight,
        };
        match self.admin.create(&topic, Mode::Apply).await {
            Ok(_) | Err(CreateTopicError::Exists(_)) => not_yet,
            Err(error) => {
                tracing::warn!(topic = %topic.name, %error, "a topic cannot be created automatically");
                super::error::create_topic(&error).code()
            }
        }
    }
}

struct InFlight<'a> {
    name: TopicName,
    set: &'a Mutex<HashSet<TopicName>>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.set.lock().remove(&self.name);
    }
}
