//! The names and identities that every layer of the broker speaks.
//!
//! **Invariant:** a `TopicName` is valid by construction, so it may become a
//! path component or a znode without another check.

mod metadata_version;
mod topic_name;

pub use metadata_version::{InvalidMetadataVersion, MetadataVersion, NEWEST};
pub use topic_name::{InvalidTopicName, TopicName};

/// A broker's `broker.id`. `-1` stands for "none" on the wire.
pub type BrokerId = i32;
/// Kafka's topic id (KIP-516): a random UUID, zero when unknown.
pub type TopicId = uuid::Uuid;
/// Position of a record in its partition.
pub type Offset = i64;
/// Counts leader changes of one partition (KIP-101).
pub type LeaderEpoch = i32;
/// Counts controller elections (`/controller_epoch`).
pub type ControllerEpoch = i32;
/// The czxid of the broker's registration (KIP-380); -1 when unknown.
pub type BrokerEpoch = i64;
/// The version of the partition's state znode.
pub type PartitionEpoch = i32;

/// The id that means "no leader" in state znodes and metadata.
pub const NO_LEADER: BrokerId = -1;
/// What a deleted partition's leader is in `UpdateMetadata`.
pub const LEADER_DURING_DELETE: BrokerId = -2;
/// The internal topic with committed offsets and group metadata.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";
/// The internal topic of the transaction coordinators.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

/// Says whether clients may not write to the topic and listings hide it.
#[must_use]
pub fn is_internal_topic(topic: &str) -> bool {
    topic == GROUP_METADATA_TOPIC || topic == TRANSACTION_STATE_TOPIC
}

/// One partition of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: TopicName,
    pub partition: i32,
}

impl TopicPartition {
    #[must_use]
    pub fn new(topic: TopicName, partition: i32) -> Self {
        Self { topic, partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
