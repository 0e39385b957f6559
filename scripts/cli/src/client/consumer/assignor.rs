//! The consumer's part of the group protocol: what members say of themselves,
//! and the range assignment that the group's leader makes of it. Pure.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::client::metadata::wire_name;

/// The name of the only assignor we offer.
pub(super) const RANGE: &str = "range";
/// Version of the embedded formats that we write.
const WRITTEN_VERSION: i16 = 1;
/// The newest version of the embedded formats that we read as it is.
const READ_VERSION_MAX: i16 = 3;

/// Partitions by topic.
pub(super) type Assignment = BTreeMap<String, Vec<i32>>;

/// What a member tells the group: the topics it wants.
pub(super) fn encode_subscription(topics: &[String]) -> Bytes {
    let topics = topics
        .iter()
        .map(|topic| StrBytes::from_string(topic.clone()))
        .collect();
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(topics)
        .with_user_data(None);
    encode(&subscription)
}

/// The topics of a member; nonsense stands for none.
pub(super) fn decode_subscription(mut bytes: Bytes) -> Vec<String> {
    let Ok(version) = bytes.try_get_i16() else {
        return Vec::new();
    };
    let version = version.clamp(0, READ_VERSION_MAX);
    ConsumerProtocolSubscription::decode(&mut bytes, version)
        .map(|read| read.topics.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

pub(super) fn encode_assignment(assignment: &Assignment) -> Bytes {
    let partitions = assignment
        .iter()
        .map(|(topic, partitions)| {
            TopicPartition::default()
                .with_topic(wire_name(topic))
                .with_partitions(partitions.clone())
        })
        .collect();
    let assignment = ConsumerProtocolAssignment::default()
        .with_assigned_partitions(partitions)
        .with_user_data(None);
    encode(&assignment)
}

/// The partitions a member was given; an empty or unreadable text means none.
pub(crate) fn decode_assignment(mut bytes: Bytes) -> Assignment {
    let Ok(version) = bytes.try_get_i16() else {
        return Assignment::new();
    };
    let version = version.clamp(0, READ_VERSION_MAX);
    ConsumerProtocolAssignment::decode(&mut bytes, version)
        .map(|read| {
            read.assigned_partitions
                .into_iter()
                .map(|topic| (topic.topic.0.to_string(), topic.partitions))
                .collect()
        })
        .unwrap_or_default()
}

fn encode(message: &impl Encodable) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(WRITTEN_VERSION);
    // These formats have no field that their first versions lack.
    message
        .encode(&mut bytes, WRITTEN_VERSION)
        .expect("a subscription or assignment of ours fits its format");
    bytes.freeze()
}

/// Gives each member a run of each of its topics' partitions; the first members
/// get one more when the numbers do not divide.
pub(super) fn assign_ranges(
    members: &BTreeMap<String, Vec<String>>,
    partition_counts: &BTreeMap<String, i32>,
) -> BTreeMap<String, Assignment> {
    let mut assignments: BTreeMap<String, Assignment> = members
        .keys()
        .map(|member| (member.clone(), Assignment::new()))
        .collect();
    for (topic, count) in partition_counts {
        let takers: Vec<&String> = members
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(member, _)| member)
            .collect();
        let Ok(taker_count) = i32::try_from(takers.len()) else {
            continue;
        };
        if taker_count == 0 {
            continue;
        }
        let (each, extra) = (count / taker_count, count % taker_count);
        let mut next = 0;
        for (index, taker) in (0..).zip(takers) {
            let end = next + each + i32::from(index < extra);
            if let Some(assignment) = assignments.get_mut(taker)
                && next < end
            {
                assignment.insert(topic.clone(), (next..end).collect());
            }
            next = end;
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(members: &[(&str, &[&str])], counts: &[(&str, i32)]) -> Vec<String> {
        let members = members
            .iter()
            .map(|(member, topics)| {
                let topics = topics.iter().map(ToString::to_string).collect();
                (member.to_string(), topics)
            })
            .collect();
        let counts = counts
            .iter()
            .map(|(topic, count)| (topic.to_string(), *count))
            .collect();
        assign_ranges(&members, &counts)
            .into_iter()
            .map(|(member, assignment)| format!("{member} {assignment:?}"))
            .collect()
    }

    #[test]
    fn ranges_of_partitions() {
        let both: &[&str] = &["x", "y"];
        assert_eq!(
            ranges(&[("a", both), ("b", both)], &[("x", 3), ("y", 2)]),
            [r#"a {"x": [0, 1], "y": [0]}"#, r#"b {"x": [2], "y": [1]}"#]
        );
        assert_eq!(
            ranges(&[("a", both), ("b", &["y"])], &[("x", 2), ("y", 1)]),
            [r#"a {"x": [0, 1], "y": [0]}"#, "b {}"]
        );
        assert_eq!(ranges(&[("a", &["gone"])], &[("x", 1)]), ["a {}"]);
    }

    #[test]
    fn formats_round_trip() {
        let topics = vec!["x".to_owned(), "y".to_owned()];
        assert_eq!(decode_subscription(encode_subscription(&topics)), topics);
        let assignment = Assignment::from([("x".to_owned(), vec![0, 2])]);
        assert_eq!(
            decode_assignment(encode_assignment(&assignment)),
            assignment
        );
        assert_eq!(decode_assignment(Bytes::new()), Assignment::new());
        assert_eq!(
            decode_subscription(Bytes::from_static(b"\0\x01\x7f\xff")),
            Vec::<String>::new()
        );
    }
}
