//! What the group handlers share: their view of the request, and conversions.
//!
//! **Invariant:** whatever is kept beyond the request is copied out of its frame.

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::messages::TopicName as WireTopicName;
use kafka_protocol::protocol::StrBytes;

use super::wire::{text, topic_name};
use crate::model::{TopicName, TopicPartition};

/// Who asks, and in which version.
#[derive(Debug, Clone)]
pub(crate) struct GroupRequestContext {
    pub(crate) api_version: i16,
    pub(crate) client_id: String,
    /// As Kafka shows it, with a leading slash.
    pub(crate) client_host: String,
}

/// Says whether a partition exists in the cluster.
pub(crate) type PartitionExists<'a> = &'a (dyn Fn(&TopicPartition) -> bool + Send + Sync);

pub(crate) fn owned(text: &StrBytes) -> String {
    text.as_str().to_owned()
}

pub(crate) fn owned_option(text: Option<&StrBytes>) -> Option<String> {
    text.map(owned)
}

/// Copies, so that the bytes do not keep the whole frame in memory.
pub(crate) fn owned_bytes(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

pub(crate) fn wire_option(value: Option<String>) -> Option<StrBytes> {
    value.map(text)
}

/// The partition, if it exists.
pub(crate) fn existing(
    exists: PartitionExists<'_>,
    topic: &WireTopicName,
    index: i32,
) -> Option<TopicPartition> {
    let partition = TopicPartition::new(TopicName::new(topic.as_str()).ok()?, index);
    exists(&partition).then_some(partition)
}

/// Results by topic, with topics and partitions in the order they came.
#[derive(Debug)]
pub(crate) struct ByTopic<T>(IndexMap<WireTopicName, Vec<(i32, T)>>);

impl<T> Default for ByTopic<T> {
    fn default() -> Self {
        Self(IndexMap::new())
    }
}

impl<T> ByTopic<T> {
    pub(crate) fn push(&mut self, topic: WireTopicName, index: i32, result: T) {
        self.0.entry(topic).or_default().push((index, result));
    }

    pub(crate) fn push_partition(&mut self, partition: &TopicPartition, result: T) {
        let topic = topic_name(&partition.topic);
        self.push(topic, partition.partition, result);
    }

    pub(crate) fn into_topics(self) -> impl Iterator<Item = (WireTopicName, Vec<(i32, T)>)> {
        self.0.into_iter()
    }
}
