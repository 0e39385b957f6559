//! What a fetch asks of each partition, with its topic resolved.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

use crate::cluster::Snapshot;
use crate::model::{TopicId, TopicName};

/// From here on, topics are named by their ids (KIP-516).
const TOPIC_IDS_FROM: i16 = 13;

/// One partition of a request or of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `None` when no topic has the name or the id.
    pub(super) name: Option<TopicName>,
    /// Nil when the request names topics.
    pub(super) id: TopicId,
    pub(super) index: i32,
    pub(super) offset: i64,
    pub(super) bytes_max: i32,
    /// Epoch in which the reader believes the leader to be, or -1.
    pub(super) current_epoch: i32,
    /// Epoch of the last record that the reader has, or -1.
    pub(super) last_epoch: i32,
    /// Where the log of a follower begins.
    pub(super) log_start: i64,
}

/// How a session tells its partitions apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Name(TopicName, i32),
    Id(TopicId, i32),
}

impl Wanted {
    fn new(name: Option<TopicName>, id: TopicId, partition: &FetchPartition) -> Self {
        Self {
            name,
            id,
            index: partition.partition,
            offset: partition.fetch_offset,
            bytes_max: partition.partition_max_bytes,
            current_epoch: partition.current_leader_epoch,
            last_epoch: partition.last_fetched_epoch,
            log_start: partition.log_start_offset,
        }
    }

    /// `None` for a name that no topic may have.
    pub(super) fn key(&self) -> Option<Key> {
        match (&self.name, self.id.is_nil()) {
            (_, false) => Some(Key::Id(self.id, self.index)),
            (Some(name), true) => Some(Key::Name(name.clone(), self.index)),
            (None, true) => None,
        }
    }

    /// The error of a topic that is not there.
    pub(super) fn unknown(&self) -> ResponseError {
        match self.id.is_nil() {
            true => ResponseError::UnknownTopicOrPartition,
            false => ResponseError::UnknownTopicId,
        }
    }
}

/// Says whether a version names topics by their ids.
pub(super) fn names_by_id(version: i16) -> bool {
    version >= TOPIC_IDS_FROM
}

/// The partitions of a request.
pub(super) fn flatten(version: i16, snapshot: &Snapshot, topics: Vec<FetchTopic>) -> Vec<Wanted> {
    let mut all = Vec::with_capacity(topics.len());
    for topic in topics {
        let (name, id) = match names_by_id(version) {
            true => (snapshot.topic_name(topic.topic_id).cloned(), topic.topic_id),
            // The name goes back as it came only where it is legal; an
            // illegal one names no topic of ours.
            false => (TopicName::new(&topic.topic).ok(), TopicId::nil()),
        };
        let partitions = topic.partitions.iter();
        all.extend(partitions.map(|partition| Wanted::new(name.clone(), id, partition)));
    }
    all
}

/// The partitions that a session is to forget.
pub(super) fn forgotten(version: i16, topics: Vec<ForgottenTopic>) -> Vec<Key> {
    let mut keys = Vec::new();
    for topic in topics {
        let name = TopicName::new(&topic.topic).ok();
        let key = |index: i32| match names_by_id(version) {
            true => Some(Key::Id(topic.topic_id, index)),
            false => name.clone().map(|name| Key::Name(name, index)),
        };
        keys.extend(topic.partitions.iter().filter_map(|index| key(*index)));
    }
    keys
}
