//! Sequential notes that brokers leave for the controller.

use serde::Deserialize;
use serde_json::json;

use super::json::{Malformed, decode, object, to_bytes};
use crate::model::{BrokerId, TopicName, TopicPartition};

#[derive(Deserialize)]
pub(super) struct RawPartition {
    pub(super) topic: String,
    pub(super) partition: i32,
}

impl RawPartition {
    pub(super) fn into_partition(self, what: &'static str) -> Result<TopicPartition, Malformed> {
        let topic = TopicName::new(&self.topic);
        let topic = topic.map_err(|_| Malformed::Field { what, field: "topic" })?;
        Ok(TopicPartition::new(topic, self.partition))
    }
}

#[derive(Deserialize)]
pub(super) struct RawPartitions<P> {
    pub(super) partitions: Vec<P>,
}

/// `/isr_change_notification/isr_change_<n>`: partitions whose ISR changed.
#[must_use]
pub fn encode_isr_change(partitions: &[TopicPartition]) -> Vec<u8> {
    let listed: Vec<_> = partitions
        .iter()
        .map(|tp| json!({"topic": tp.topic.as_str(), "partition": tp.partition}))
        .collect();
    to_bytes(object([("version", json!(1)), ("partitions", json!(listed))]))
}

pub fn decode_isr_change(bytes: &[u8]) -> Result<Vec<TopicPartition>, Malformed> {
    const WHAT: &str = "an ISR change note";
    let raw: RawPartitions<RawPartition> = decode(WHAT, bytes)?;
    raw.partitions.into_iter().map(|p| p.into_partition(WHAT)).collect()
}

/// `/log_dir_event_notification/log_dir_event_<n>`: a broker lost a log directory.
#[must_use]
pub fn encode_log_dir_event(broker: BrokerId) -> Vec<u8> {
    to_bytes(object([("version", json!(1)), ("broker", json!(broker)), ("event", json!(1))]))
}

pub fn decode_log_dir_event(bytes: &[u8]) -> Result<BrokerId, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        broker: BrokerId,
    }
    decode::<Raw>("a log directory note", bytes).map(|raw| raw.broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_written_as_kafka_writes_them() {
        let partitions = [TopicPartition::new(TopicName::new("t").unwrap(), 3)];
        let bytes = encode_isr_change(&partitions);
        assert_eq!(bytes, br#"{"version":1,"partitions":[{"topic":"t","partition":3}]}"#);
        assert_eq!(decode_isr_change(&bytes).unwrap(), partitions);
        let bytes = encode_log_dir_event(4);
        assert_eq!(bytes, br#"{"version":1,"broker":4,"event":1}"#);
        assert_eq!(decode_log_dir_event(&bytes).unwrap(), 4);
    }

    #[test]
    fn illegal_topic_names_are_refused() {
        assert!(decode_isr_change(br#"{"partitions":[{"topic":"../x","partition":3}]}"#).is_err());
    }
}
