//! Topics that come into being because somebody asked for them.

use std::collections::HashSet;
use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;

use super::topic_admin::TopicAdmin;
use crate::model::{GROUP_METADATA_TOPIC, TopicName, is_internal_topic};
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
    /// `offsets.topic.num.partitions`.
    pub group_metadata_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub group_metadata_replication_factor: i32,
    /// `offsets.topic.segment.bytes`.
    pub group_metadata_segment_bytes: i32,
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
        if name.as_str() == GROUP_METADATA_TOPIC {
            return self.create_group_metadata_topic().await;
        }
        if is_internal_topic(name.as_str()) {
            // It needs a shape of its own, which its owner will give it; an
            // ordinary topic of that name would be in the way.
            return ResponseError::UnknownTopicOrPartition.code();
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
        let config = [
            ("compression.type", "producer".to_owned()),
            ("cleanup.policy", "compact".to_owned()),
            (
                "segment.bytes",
                self.config.group_metadata_segment_bytes.to_string(),
            ),
        ];
        let name = TopicName::new(GROUP_METADATA_TOPIC).expect("Kafka's own topic name");
        self.create_with(NewTopic {
            name,
            placement: Placement::Automatic {
                partitions: self.config.group_metadata_partitions,
                replication_factor: self.config.group_metadata_replication_factor,
            },
            config: config
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
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
