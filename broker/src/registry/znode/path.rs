//! Where each znode is.

use crate::model::{BrokerId, TopicName, TopicPartition};

pub const CLUSTER_ID: &str = "/cluster/id";
pub const BROKERS: &str = "/brokers";
pub const BROKER_IDS: &str = "/brokers/ids";
pub const BROKER_SEQUENCE_ID: &str = "/brokers/seqid";
pub const TOPICS: &str = "/brokers/topics";
pub const CONTROLLER: &str = "/controller";
pub const CONTROLLER_EPOCH: &str = "/controller_epoch";
pub const CONFIG: &str = "/config";
pub const CONFIG_CHANGES: &str = "/config/changes";
pub const CONFIG_CHANGE_PREFIX: &str = "config_change_";
pub const DELETE_TOPICS: &str = "/admin/delete_topics";
pub const REASSIGN_PARTITIONS: &str = "/admin/reassign_partitions";
pub const PREFERRED_ELECTION: &str = "/admin/preferred_replica_election";
pub const ISR_CHANGES: &str = "/isr_change_notification";
pub const ISR_CHANGE_PREFIX: &str = "isr_change_";
pub const LOG_DIR_EVENTS: &str = "/log_dir_event_notification";
pub const LOG_DIR_EVENT_PREFIX: &str = "log_dir_event_";
pub const PRODUCER_ID_BLOCK: &str = "/latest_producer_id_block";
pub const FEATURE: &str = "/feature";

/// Created at every start, with their parents, when missing.
pub const PERSISTENT: [&str; 14] = [
    "/consumers",
    BROKER_IDS,
    TOPICS,
    CONFIG_CHANGES,
    DELETE_TOPICS,
    BROKER_SEQUENCE_ID,
    ISR_CHANGES,
    PRODUCER_ID_BLOCK,
    LOG_DIR_EVENTS,
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/ips",
];

#[must_use]
pub fn broker(id: BrokerId) -> String {
    format!("{BROKER_IDS}/{id}")
}

#[must_use]
pub fn topic(topic: &TopicName) -> String {
    format!("{TOPICS}/{topic}")
}

#[must_use]
pub fn topic_partitions(topic: &TopicName) -> String {
    format!("{TOPICS}/{topic}/partitions")
}

#[must_use]
pub fn partition(partition: &TopicPartition) -> String {
    format!(
        "{TOPICS}/{}/partitions/{}",
        partition.topic, partition.partition
    )
}

#[must_use]
pub fn partition_state(partition: &TopicPartition) -> String {
    format!("{}/state", self::partition(partition))
}

/// Where a consumer of the time before `__consumer_offsets` has its offset.
#[must_use]
pub fn consumer_offset(group: &str, partition: &TopicPartition) -> String {
    format!(
        "/consumers/{group}/offsets/{}/{}",
        partition.topic, partition.partition
    )
}

#[must_use]
pub fn delete_topic(topic: &TopicName) -> String {
    format!("{DELETE_TOPICS}/{topic}")
}

#[must_use]
pub fn topic_config(topic: &TopicName) -> String {
    format!("{CONFIG}/topics/{topic}")
}
