//! Partitions grouped by topic, and what a response owes to its request.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::{ControlRequest, ControlResponse};
use crate::model::{TopicId, TopicName, TopicPartition};

/// Items under their topics, each with its index in `items`; topics stand in
/// the order of their first items.
pub(super) fn by_topic<T>(
    items: &[T],
    partition: impl Fn(&T) -> &TopicPartition,
) -> IndexMap<&TopicName, Vec<(usize, &T)>> {
    let mut topics: IndexMap<&TopicName, Vec<(usize, &T)>> = IndexMap::new();
    for (index, item) in items.iter().enumerate() {
        let topic = &partition(item).topic;
        topics.entry(topic).or_default().push((index, item));
    }
    topics
}

/// The ids of topics by their names.
pub(super) struct TopicIds<'a>(HashMap<&'a TopicName, TopicId>);

impl<'a> TopicIds<'a> {
    pub(super) fn new(ids: &'a [(TopicName, TopicId)]) -> Self {
        Self(ids.iter().map(|(name, id)| (name, *id)).collect())
    }

    /// Zero when the topic has none.
    pub(super) fn of(&self, name: &TopicName) -> TopicId {
        self.0.get(name).copied().unwrap_or(TopicId::nil())
    }
}

/// What has to be known of a request to write or read its response.
#[derive(Debug, Clone)]
pub struct ResponseForm {
    pub(super) kind: Kind,
    pub(super) version: i16,
    partitions: Vec<TopicPartition>,
    pub(super) topic_ids: Vec<(TopicName, TopicId)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    LeaderAndIsr,
    UpdateMetadata,
    StopReplica,
}

impl ResponseForm {
    #[must_use]
    pub fn of(request: &ControlRequest, version: i16) -> Self {
        let (kind, partitions, topic_ids) = match request {
            ControlRequest::LeaderAndIsr(request) => {
                let states = request.partitions.iter();
                let partitions = states.map(|state| state.topic_partition.clone());
                let ids = request.topic_ids.clone();
                (Kind::LeaderAndIsr, partitions.collect(), ids)
            }
            ControlRequest::UpdateMetadata(_) => (Kind::UpdateMetadata, Vec::new(), Vec::new()),
            ControlRequest::StopReplica(request) => {
                let stops = request.partitions.iter();
                let partitions = stops.map(|stop| stop.topic_partition.clone());
                (Kind::StopReplica, partitions.collect(), Vec::new())
            }
        };
        Self {
            kind,
            version,
            partitions,
            topic_ids,
        }
    }

    /// A code for each partition of the request, in its order.
    pub(super) fn answers(&self, response: &ControlResponse) -> Vec<(TopicPartition, i16)> {
        let errors: HashMap<&TopicPartition, i16> = response
            .partition_errors
            .iter()
            .map(|(partition, code)| (partition, *code))
            .collect();
        // A refused request says nothing of its partitions.
        let code = |partition| {
            errors
                .get(partition)
                .copied()
                .unwrap_or(response.error_code)
        };
        self.partitions
            .iter()
            .map(|partition| (partition.clone(), code(partition)))
            .collect()
    }
}
