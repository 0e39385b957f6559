//! OffsetForLeaderEpoch (KIP-101): where an epoch ended in the leader's log.

use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::error;
use super::partitions::Partitions;
use crate::model::{TopicName, TopicPartition};
use crate::replica::Error;

/// Answers for every partition of the request.
pub(crate) fn handle(
    known: &Partitions,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let partitions = partitions.map(|wanted| partition(known, &topic.topic, wanted));
        OffsetForLeaderTopicResult::default()
            .with_partitions(partitions.collect())
            .with_topic(topic.topic)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn partition(known: &Partitions, topic: &str, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let response = EpochEndOffset::default().with_partition(wanted.partition);
    let current = Some(wanted.current_leader_epoch).filter(|epoch| *epoch >= 0);
    let found = TopicName::new(topic)
        .map_err(|_| Error::UnknownPartition)
        .and_then(|name| known.leader(&TopicPartition::new(name, wanted.partition)))
        .and_then(|partition| partition.end_of_epoch(wanted.leader_epoch, current));
    match found {
        Err(failed) => response.with_error_code(error::replica(&failed).code()),
        Ok(None) => response,
        Ok(Some((epoch, end))) => response.with_leader_epoch(epoch).with_end_offset(end),
    }
}
