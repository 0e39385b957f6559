//! Requests that old tools leave under `/admin`.

use serde::Deserialize;
use serde_json::json;

use super::json::{Malformed, decode, object, to_bytes};
use super::notes::{RawPartition, RawPartitions};
use crate::model::{BrokerId, TopicName, TopicPartition};

/// `/admin/preferred_replica_election`.
pub fn decode_preferred_election(bytes: &[u8]) -> Result<Vec<TopicPartition>, Malformed> {
    const WHAT: &str = "/admin/preferred_replica_election";
    let raw: RawPartitions<RawPartition> = decode(WHAT, bytes)?;
    raw.partitions
        .into_iter()
        .map(|p| p.into_partition(WHAT))
        .collect()
}

/// `/admin/reassign_partitions`: partition -> wanted replicas.
pub fn decode_reassignment(
    bytes: &[u8],
) -> Result<Vec<(TopicPartition, Vec<BrokerId>)>, Malformed> {
    const WHAT: &str = "/admin/reassign_partitions";
    #[derive(Deserialize)]
    struct Raw {
        topic: String,
        partition: i32,
        replicas: Vec<BrokerId>,
    }
    let raw: RawPartitions<Raw> = decode(WHAT, bytes)?;
    raw.partitions
        .into_iter()
        .map(|p| {
            let topic = TopicName::new(&p.topic).map_err(|_| Malformed::Field {
                what: WHAT,
                field: "topic",
            })?;
            Ok((TopicPartition::new(topic, p.partition), p.replicas))
        })
        .collect()
}

/// What is left of `/admin/reassign_partitions`.
#[must_use]
pub fn encode_reassignment(wanted: &[(TopicPartition, Vec<BrokerId>)]) -> Vec<u8> {
    let partitions: Vec<_> = wanted
        .iter()
        .map(|(id, replicas)| {
            json!({
                "topic": id.topic.as_str(),
                "partition": id.partition,
                "replicas": replicas,
            })
        })
        .collect();
    to_bytes(object([
        ("version", json!(1)),
        ("partitions", json!(partitions)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_requests_decode() {
        let topic = TopicName::new("t").unwrap();
        let asked = br#"{"version":1,"partitions":[{"topic":"t","partition":0}]}"#;
        assert_eq!(
            decode_preferred_election(asked).unwrap(),
            [TopicPartition::new(topic.clone(), 0)]
        );
        let asked = br#"{"version":1,"partitions":[{"topic":"t","partition":2,"replicas":[3,1]}]}"#;
        assert_eq!(
            decode_reassignment(asked).unwrap(),
            [(TopicPartition::new(topic, 2), vec![3, 1])]
        );
        let wanted = decode_reassignment(asked).unwrap();
        let written = encode_reassignment(&wanted);
        assert_eq!(decode_reassignment(&written).unwrap(), wanted);
        assert!(decode_reassignment(b"{}").is_err());
    }
}
