//! `/brokers/topics/<topic>`: the topic's id and its replica assignment.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{Malformed, decode, sort_as_scala_map, to_bytes};
use crate::model::{BrokerId, TopicId};

const WHAT: &str = "a topic znode";

/// Replicas of one partition, with what a reassignment adds and removes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplicaAssignment {
    /// The preferred leader first.
    pub replicas: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

impl ReplicaAssignment {
    #[must_use]
    pub fn of(replicas: Vec<BrokerId>) -> Self {
        Self {
            replicas,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn is_being_reassigned(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// What the replicas were before the reassignment began.
    #[must_use]
    pub fn origin_replicas(&self) -> Vec<BrokerId> {
        let was = |id: &&BrokerId| !self.adding.contains(id);
        self.replicas.iter().filter(was).copied().collect()
    }

    /// The assignment on the way to `target`: its replicas first, then those
    /// that are left over from before.
    #[must_use]
    pub fn reassigned_to(&self, target: &[BrokerId]) -> Self {
        let origin = self.origin_replicas();
        let mut replicas = target.to_vec();
        replicas.extend(origin.iter().filter(|id| !target.contains(id)));
        let not_in = |ids: &[BrokerId], others: &[BrokerId]| -> Vec<BrokerId> {
            let is_new = |id: &&BrokerId| !others.contains(id);
            ids.iter().filter(is_new).copied().collect()
        };
        Self {
            replicas,
            adding: not_in(target, &origin),
            removing: not_in(&origin, target),
        }
    }

    /// What the replicas will be when the reassignment is over.
    #[must_use]
    pub fn target_replicas(&self) -> Vec<BrokerId> {
        let stays = |id: &&BrokerId| !self.removing.contains(id);
        self.replicas.iter().filter(stays).copied().collect()
    }
}

/// A topic as its znode has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicAssignment {
    pub topic_id: Option<TopicId>,
    pub partitions: BTreeMap<i32, ReplicaAssignment>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    partitions: BTreeMap<String, Vec<BrokerId>>,
    #[serde(default)]
    adding_replicas: BTreeMap<String, Vec<BrokerId>>,
    #[serde(default)]
    removing_replicas: BTreeMap<String, Vec<BrokerId>>,
    topic_id: Option<String>,
}

impl TopicAssignment {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut map = Map::new();
        map.insert(
            "partitions".into(),
            self.replica_map(|a| &a.replicas, Empty::Kept),
        );
        if let Some(id) = self.topic_id {
            map.insert("topic_id".into(), json!(encode_topic_id(id)));
        }
        map.insert(
            "adding_replicas".into(),
            self.replica_map(|a| &a.adding, Empty::Omitted),
        );
        map.insert(
            "removing_replicas".into(),
            self.replica_map(|a| &a.removing, Empty::Omitted),
        );
        map.insert("version".into(), json!(3));
        to_bytes(map)
    }

    fn replica_map(
        &self,
        of: impl Fn(&ReplicaAssignment) -> &Vec<BrokerId>,
        empty: Empty,
    ) -> Value {
        let mut entries: Vec<(i32, &Vec<BrokerId>)> = self
            .partitions
            .iter()
            .map(|(partition, assignment)| (*partition, of(assignment)))
            .filter(|(_, replicas)| empty == Empty::Kept || !replicas.is_empty())
            .collect();
        sort_as_scala_map(&mut entries, |(partition, _)| partition.to_string());
        let mut map = Map::with_capacity(entries.len());
        for (partition, replicas) in entries {
            map.insert(partition.to_string(), json!(replicas));
        }
        Value::Object(map)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut raw: Raw = decode(WHAT, bytes)?;
        let topic_id = raw.topic_id.as_deref().map(decode_topic_id).transpose()?;
        let mut partitions = BTreeMap::new();
        for (key, replicas) in raw.partitions {
            let partition: i32 =
                key.parse()
                    .ok()
                    .filter(|partition| *partition >= 0)
                    .ok_or(Malformed::Field {
                        what: WHAT,
                        field: "partitions",
                    })?;
            let assignment = ReplicaAssignment {
                replicas,
                adding: raw.adding_replicas.remove(&key).unwrap_or_default(),
                removing: raw.removing_replicas.remove(&key).unwrap_or_default(),
            };
            partitions.insert(partition, assignment);
        }
        Ok(Self {
            topic_id,
            partitions,
        })
    }
}

#[derive(PartialEq, Clone, Copy)]
enum Empty {
    Kept,
    Omitted,
}

/// Kafka's text form of a UUID: 22 characters of URL-safe base64.
#[must_use]
pub fn encode_topic_id(id: TopicId) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

pub fn decode_topic_id(text: &str) -> Result<TopicId, Malformed> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| TopicId::from_slice(&bytes).ok())
        .ok_or(Malformed::Field {
            what: WHAT,
            field: "topic_id",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_three_is_written_as_kafka_writes_it() {
        let golden = r#"{"partitions":{"11":[1],"12":[1],"13":[1],"0":[1],"1":[1],"2":[1],"3":[1],"4":[1],"5":[1],"6":[1],"7":[1],"8":[1],"9":[1],"10":[1]},"topic_id":"UDcrsTgkT7Wg_X9g3SX-dw","adding_replicas":{},"removing_replicas":{},"version":3}"#;
        let node = TopicAssignment {
            topic_id: Some(decode_topic_id("UDcrsTgkT7Wg_X9g3SX-dw").unwrap()),
            partitions: (0..14)
                .map(|p| (p, ReplicaAssignment::of(vec![1])))
                .collect(),
        };
        assert_eq!(String::from_utf8(node.encode()).unwrap(), golden);
        assert_eq!(TopicAssignment::decode(golden.as_bytes()).unwrap(), node);
    }

    #[test]
    fn reassignment_round_trips() {
        let mut node = TopicAssignment::default();
        node.partitions.insert(0, ReplicaAssignment::of(vec![1, 2]));
        let moving = ReplicaAssignment {
            replicas: vec![1, 2, 3],
            adding: vec![3],
            removing: vec![1],
        };
        assert_eq!(moving.target_replicas(), [2, 3]);
        assert!(moving.is_being_reassigned());
        node.partitions.insert(1, moving);
        assert_eq!(TopicAssignment::decode(&node.encode()).unwrap(), node);
    }

    #[test]
    fn a_reassignment_starts_from_where_the_last_one_began() {
        let now = ReplicaAssignment::of(vec![1, 2, 3]);
        let moving = now.reassigned_to(&[4, 2]);
        let expected = ReplicaAssignment {
            replicas: vec![4, 2, 1, 3],
            adding: vec![4],
            removing: vec![1, 3],
        };
        assert_eq!(moving, expected);
        assert_eq!(moving.origin_replicas(), [2, 1, 3]);
        assert_eq!(moving.target_replicas(), [4, 2]);
        let other = moving.reassigned_to(&[5]);
        assert_eq!(other.replicas, [5, 2, 1, 3]);
        assert_eq!(other.adding, [5]);
        assert_eq!(other.removing, [2, 1, 3]);
        let back = moving.reassigned_to(&moving.origin_replicas());
        assert!(!back.is_being_reassigned());
    }

    #[test]
    fn older_versions_are_read() {
        let node = TopicAssignment::decode(br#"{"version":1,"partitions":{"0":[1,2]}}"#).unwrap();
        assert_eq!(node.partitions[&0].replicas, [1, 2]);
        assert_eq!(node.topic_id, None);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            &b"["[..],
            br#"{"partitions":{"x":[1]}}"#,
            br#"{"partitions":{"-1":[1]}}"#,
            br#"{"partitions":{"0":["a"]}}"#,
            br#"{"topic_id":"short"}"#,
        ] {
            assert!(TopicAssignment::decode(bad).is_err());
        }
    }
}
