//! What the group handlers share: their view of the request, and conversions.
//!
//! **Invariant:** whatever is kept beyond the request is copied out of its frame.

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;
use kafka_protocol::messages::TopicName as WireTopicName;
use kafka_protocol::protocol::StrBytes;

use super::wire::{text, topic_name};
use crate::model::TopicPartition;

/// Who asks, and in which version.
#[derive(Debug, Clone)]
pub(crate) struct GroupRequestContext {
    pub(crate) api_version: i16,
    pub(crate) client_id: StrBytes,
    pub(crate) client_ip: IpAddr,
}

impl GroupRequestContext {
    /// The client's address as Kafka shows it, with a leading slash.
    pub(crate) fn client_host(&self) -> String {
        format!("/{}", self.client_ip.to_canonical())
    }
}

/// Finds a partition of the cluster by its topic's name and its number.
pub(crate) type FindPartition<'a> = &'a (dyn Fn(&str, i32) -> Option<TopicPartition> + Send + Sync);

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

/// So many topics are looked through one by one.
const FEW_TOPICS: usize = 8;

/// Results by topic, with topics and partitions in the order they came.
#[derive(Debug)]
pub(crate) struct ByTopic<T> {
    topics: Vec<(WireTopicName, Vec<(i32, T)>)>,
    /// Where each topic is, once they are many.
    places: HashMap<String, usize>,
}

impl<T> Default for ByTopic<T> {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<T> ByTopic<T> {
    pub(crate) fn push(&mut self, topic: WireTopicName, index: i32, result: T) {
        let place = self.place(&topic);
        self.push_at(place, || topic, index, result);
    }

    pub(crate) fn push_partition(&mut self, partition: &TopicPartition, result: T) {
        let place = self.place(partition.topic.as_str());
        let topic = || topic_name(&partition.topic);
        self.push_at(place, topic, partition.partition, result);
    }

    fn place(&self, topic: &str) -> Option<usize> {
        let is_it = |(name, _): &(WireTopicName, _)| name.as_str() == topic;
        match self.topics.last() {
            Some(last) if is_it(last) => Some(self.topics.len() - 1),
            _ if self.topics.len() <= FEW_TOPICS => self.topics.iter().position(is_it),
            _ => self.places.get(topic).copied(),
        }
    }

    fn push_at(
        &mut self,
        place: Option<usize>,
        topic: impl FnOnce() -> WireTopicName,
        index: i32,
        result: T,
    ) {
        if let Some(place) = place {
            return self.topics[place].1.push((index, result));
        }
        self.topics.push((topic(), vec![(index, result)]));
        if self.topics.len() > FEW_TOPICS {
            let unplaced = self.topics.iter().enumerate().skip(self.places.len());
            let unplaced = unplaced.map(|(place, (name, _))| (name.to_string(), place));
            self.places.extend(unplaced);
        }
    }

    pub(crate) fn into_topics(self) -> impl Iterator<Item = (WireTopicName, Vec<(i32, T)>)> {
        self.topics.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_stay_together_however_many_they_are() {
        for count in [1, FEW_TOPICS, FEW_TOPICS + 1, 100] {
            let mut results = ByTopic::default();
            for index in 0..3 {
                for number in 0..count {
                    let topic = WireTopicName(text(format!("t{number}")));
                    results.push(topic, index, number);
                }
            }
            let topics: Vec<_> = results.into_topics().collect();
            assert_eq!(topics.len(), count);
            for (number, (name, partitions)) in topics.into_iter().enumerate() {
                assert_eq!(name.as_str(), format!("t{number}"));
                assert_eq!(partitions, [(0, number), (1, number), (2, number)]);
            }
        }
    }
}
