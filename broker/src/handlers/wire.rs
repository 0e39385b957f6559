//! Small conversions between domain values and the codec's types.

use kafka_protocol::messages::{BrokerId as WireBrokerId, TopicName as WireTopicName};
use kafka_protocol::protocol::StrBytes;

use crate::model::{BrokerId, TopicName};

pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

pub(crate) fn topic_name(name: &TopicName) -> WireTopicName {
    WireTopicName(text(name.as_str()))
}

pub(crate) fn broker_ids(ids: &[BrokerId]) -> Vec<WireBrokerId> {
    ids.iter().copied().map(WireBrokerId).collect()
}

/// What an authorizer-less cluster allows (KIP-430): a bit for each operation.
pub(crate) mod operations {
    pub(crate) const OF_TOPIC: i32 = bits(&[READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE])
        | bits(&[DESCRIBE_CONFIGS, ALTER_CONFIGS]);
    pub(crate) const OF_CLUSTER: i32 = bits(&[CREATE, ALTER, DESCRIBE, CLUSTER_ACTION])
        | bits(&[DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE]);

    const READ: u8 = 3;
    const WRITE: u8 = 4;
    const CREATE: u8 = 5;
    const DELETE: u8 = 6;
    const ALTER: u8 = 7;
    const DESCRIBE: u8 = 8;
    const CLUSTER_ACTION: u8 = 9;
    const DESCRIBE_CONFIGS: u8 = 10;
    const ALTER_CONFIGS: u8 = 11;
    const IDEMPOTENT_WRITE: u8 = 12;

    const fn bits(operations: &[u8]) -> i32 {
        let mut set = 0;
        let mut index = 0;
        while index < operations.len() {
            set |= 1 << operations[index];
            index += 1;
        }
        set
    }
}
