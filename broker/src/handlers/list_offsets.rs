//! ListOffsets: the offsets at the ends of a log, or at a time.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::context::RequestContext;
use super::error;
use super::partitions::Partitions;
use crate::model::{TopicName, TopicPartition};
use crate::protocol::legacy::{AnswerV0, ListOffsetsRequestV0, ListOffsetsResponseV0, PartitionV0};
use crate::replica::{Error, Isolation, OffsetQuery};

/// Older clients do not know the code.
const OFFSET_NOT_AVAILABLE_FROM: i16 = 5;
/// The replica id of those who are no replicas.
const CONSUMER: i32 = -1;

/// Answers for every partition of the request.
pub(crate) fn handle(
    known: &Partitions,
    ctx: &RequestContext,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let isolation = match request.replica_id.0 {
        0.. => Isolation::LogEnd,
        _ => Isolation::of_consumer(request.isolation_level),
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let partitions =
            partitions.map(|wanted| partition(known, ctx.api_version, isolation, &topic, wanted));
        ListOffsetsTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn partition(
    known: &Partitions,
    version: i16,
    isolation: Isolation,
    topic: &ListOffsetsTopic,
    wanted: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    let mut response = ListOffsetsPartitionResponse::default()
        .with_partition_index(wanted.partition_index)
        .with_timestamp(-1)
        .with_offset(-1);
    let Some(query) = query(version, wanted.timestamp) else {
        return response.with_error_code(ResponseError::UnsupportedVersion.code());
    };
    let epoch = Some(wanted.current_leader_epoch).filter(|epoch| *epoch >= 0);
    let found = TopicName::new(&topic.name)
        .map_err(|_| Error::UnknownPartition)
        .and_then(|name| known.leader(&TopicPartition::new(name, wanted.partition_index)))
        .and_then(|partition| partition.offset_at(query, isolation, epoch));
    match found {
        Err(Error::OffsetNotAvailable) if version < OFFSET_NOT_AVAILABLE_FROM => {
            response.error_code = ResponseError::LeaderNotAvailable.code();
        }
        Err(failed) => response.error_code = error::replica(&failed).code(),
        Ok(None) => {}
        Ok(Some(found)) => {
            response.timestamp = found.timestamp;
            response.offset = found.offset;
            if version >= 4 {
                response.leader_epoch = found.leader_epoch.unwrap_or(-1);
            }
        }
    }
    response
}

/// Answers version 0, which asks for places of segments.
pub(crate) fn handle_v0(
    known: &Partitions,
    request: ListOffsetsRequestV0,
) -> ListOffsetsResponseV0 {
    let isolation = match request.replica_id {
        CONSUMER => Isolation::ReadUncommitted,
        _ => Isolation::LogEnd,
    };
    let topics = request.topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.iter();
        let answers = partitions.map(|wanted| partition_v0(known, isolation, &name, wanted));
        (name.clone(), answers.collect())
    });
    ListOffsetsResponseV0 {
        topics: topics.collect(),
    }
}

fn partition_v0(
    known: &Partitions,
    isolation: Isolation,
    topic: &str,
    wanted: &PartitionV0,
) -> AnswerV0 {
    let count_max = usize::try_from(wanted.offsets_max).unwrap_or(0);
    let found = TopicName::new(topic)
        .map_err(|_| Error::UnknownPartition)
        .and_then(|name| known.leader(&TopicPartition::new(name, wanted.index)))
        .and_then(|partition| partition.offsets_before(wanted.timestamp, count_max, isolation));
    match found {
        Ok(offsets) => (wanted.index, 0, offsets),
        Err(failed) => (wanted.index, error::replica(&failed).code(), Vec::new()),
    }
}

/// What a timestamp means, unless this version does not know it.
fn query(version: i16, timestamp: i64) -> Option<OffsetQuery> {
    match timestamp {
        0.. => Some(OffsetQuery::AtOrAfter(timestamp)),
        -1 => Some(OffsetQuery::Latest),
        -2 => Some(OffsetQuery::Earliest),
        -3 if version >= 7 => Some(OffsetQuery::MaxTimestamp),
        // There is no remote tier, so the earliest local offset is the earliest.
        -4 if version >= 8 => Some(OffsetQuery::Earliest),
        -5 if version >= 9 => Some(OffsetQuery::LatestTiered),
        _ => None,
    }
}
