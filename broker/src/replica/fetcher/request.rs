//! The Fetch request of a follower.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{
    FetchPartition, FetchTopic, ForgottenTopic, ReplicaState,
};
use kafka_protocol::messages::{FetchRequest, TopicName as WireName};
use kafka_protocol::protocol::StrBytes;

use super::FetchConfig;
use super::agreement::DIVERGING_FROM;
use super::lane::{Asked, TOPIC_IDS_FROM};
use super::session::Difference;
use crate::model::{BrokerId, TopicPartition};

/// From here on, the replica tells its broker's epoch.
const REPLICA_STATE_FROM: i16 = 15;

/// What is the same for all partitions of a request.
pub(super) struct Request<'a> {
    pub(super) config: &'a FetchConfig,
    /// Id and epoch of this broker.
    pub(super) own: (BrokerId, i64),
    pub(super) version: i16,
    /// The leader waits no longer than this, nor than it is configured to.
    pub(super) wait_max: Duration,
}

impl Request<'_> {
    pub(super) fn build(
        &self,
        difference: &Difference,
        asked: &BTreeMap<TopicPartition, Asked>,
    ) -> FetchRequest {
        let (config, (own_id, own_epoch)) = (self.config, self.own);
        // Up to the next millisecond, or the pause would not be over.
        let wait_max_ms = self.wait_max.as_nanos().div_ceil(1_000_000);
        let wait_max_ms = i32::try_from(wait_max_ms).unwrap_or(i32::MAX);
        let request = FetchRequest::default()
            .with_max_wait_ms(wait_max_ms.min(config.wait_max_ms))
            .with_min_bytes(config.bytes_min)
            .with_max_bytes(config.bytes_max)
            .with_session_id(difference.session_id)
            .with_session_epoch(difference.session_epoch)
            .with_topics(self.topics(difference, asked))
            .with_forgotten_topics_data(self.forgotten(difference));
        match self.version {
            REPLICA_STATE_FROM.. => request.with_replica_state(
                ReplicaState::default()
                    .with_replica_id(own_id.into())
                    .with_replica_epoch(own_epoch),
            ),
            _ => request.with_replica_id(own_id.into()),
        }
    }

    fn topics(
        &self,
        difference: &Difference,
        asked: &BTreeMap<TopicPartition, Asked>,
    ) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut current = None;
        for id in &difference.changed {
            let Some(asked) = asked.get(id) else { continue };
            if current != Some(&id.topic) {
                current = Some(&id.topic);
                let topic = FetchTopic::default();
                topics.push(match self.version {
                    TOPIC_IDS_FROM.. => topic.with_topic_id(asked.topic_id),
                    _ => topic.with_topic(wire_name(id)),
                });
            }
            let partition = FetchPartition::default()
                .with_partition(id.partition)
                .with_current_leader_epoch(asked.followed.epoch)
                .with_fetch_offset(asked.position.offset)
                .with_last_fetched_epoch(match self.version {
                    DIVERGING_FROM.. => asked.position.last_epoch.unwrap_or(-1),
                    _ => -1,
                })
                .with_log_start_offset(asked.position.log_start)
                .with_partition_max_bytes(self.config.partition_bytes_max);
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(partition);
            }
        }
        topics
    }

    fn forgotten(&self, difference: &Difference) -> Vec<ForgottenTopic> {
        let forgotten = difference.forgotten.iter().map(|(id, topic_id)| {
            let topic = ForgottenTopic::default().with_partitions(vec![id.partition]);
            match self.version {
                TOPIC_IDS_FROM.. => topic.with_topic_id(*topic_id),
                _ => topic.with_topic(wire_name(id)),
            }
        });
        forgotten.collect()
    }
}

fn wire_name(id: &TopicPartition) -> WireName {
    WireName(StrBytes::from_string(id.topic.to_string()))
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::Encodable;

    use super::*;
    use crate::replica::fetcher::lane::tests::asked;
    use crate::replica::fetcher::session::Session;

    #[test]
    fn partitions_are_named_as_their_version_does() {
        let config = FetchConfig {
            lanes: 1,
            wait_max_ms: 500,
            bytes_min: 1,
            bytes_max: 2,
            partition_bytes_max: 3,
            backoff_max: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            receive_buffer: None,
            version: crate::model::NEWEST,
        };
        let all: BTreeMap<_, _> = [asked(0, 4), asked(1, 5)].into();
        for version in [5, 11, 12, 13, 17] {
            let request = Request {
                config: &config,
                own: (8, 99),
                version,
                wait_max: Duration::from_millis(20),
            };
            let difference = Session::default().next(version >= TOPIC_IDS_FROM, &all);
            let built = request.build(&difference, &all);
            assert_eq!((built.topics.len(), built.max_wait_ms), (1, 20));
            assert_eq!(built.topics[0].topic.is_empty(), version >= TOPIC_IDS_FROM);
            let partition = &built.topics[0].partitions[1];
            assert_eq!(
                (partition.fetch_offset, partition.current_leader_epoch),
                (5, 3)
            );
            let replica = match version {
                REPLICA_STATE_FROM.. => built.replica_state.replica_id.0,
                _ => built.replica_id.0,
            };
            assert_eq!(replica, 8);
            let is_told = partition.last_fetched_epoch == 2;
            assert_eq!(is_told, version >= DIVERGING_FROM);
            let mut bytes = Vec::new();
            built.encode(&mut bytes, version).unwrap();
        }
    }
}
