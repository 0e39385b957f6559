//! OffsetForLeaderEpoch 0 and 1: without the reader's own epoch. Both are served,
//! and asked of the leaders of old clusters.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

/// The first version that the general codec knows.
const KNOWN_FROM: i16 = 2;
/// From here on, an answer says to which epoch the offset belongs.
const EPOCH_FROM: i16 = 1;
const NO_EPOCH: i32 = -1;

/// Whether this version is written and read here alone.
#[must_use]
pub(crate) fn is_early(version: i16) -> bool {
    version < KNOWN_FROM
}

/// The body of a request of version 0 or 1, which are the same.
pub(crate) fn encode_request(request: &OffsetForLeaderEpochRequest) -> Result<Bytes, Malformed> {
    let mut bytes = BytesMut::new();
    Writer(&mut bytes).array(&request.topics, |out, topic| {
        out.string(&topic.topic)?;
        out.array(&topic.partitions, |out, partition| {
            out.i32(partition.partition);
            out.i32(partition.leader_epoch);
            Ok(())
        })
    })?;
    Ok(bytes.freeze())
}

/// The body of an answer of version 0 or 1.
pub(crate) fn decode_response(
    body: Bytes,
    version: i16,
) -> Result<OffsetForLeaderEpochResponse, Malformed> {
    let mut from = Fields::new(body);
    let topics = from.array(|from| {
        let topic = TopicName(from.string()?);
        let partitions = from.array(|from| {
            let (error_code, partition) = (from.i16()?, from.i32()?);
            let leader_epoch = match version {
                EPOCH_FROM.. => from.i32()?,
                _ => NO_EPOCH,
            };
            Ok(EpochEndOffset::default()
                .with_error_code(error_code)
                .with_partition(partition)
                .with_leader_epoch(leader_epoch)
                .with_end_offset(from.i64()?))
        })?;
        Ok(OffsetForLeaderTopicResult::default()
            .with_topic(topic)
            .with_partitions(partitions))
    })?;
    Ok(OffsetForLeaderEpochResponse::default().with_topics(topics))
}

impl OldRequest for OffsetForLeaderEpochRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let topics = from.array(|from| {
            let topic = TopicName(from.string()?);
            let partitions = from.array(|from| {
                Ok(OffsetForLeaderPartition::default()
                    .with_partition(from.i32()?)
                    .with_leader_epoch(from.i32()?))
            })?;
            Ok(OffsetForLeaderTopic::default()
                .with_topic(topic)
                .with_partitions(partitions))
        })?;
        Ok(Self::default().with_topics(topics))
    }
}

impl OldResponse for OffsetForLeaderEpochResponse {
    fn encode_old(&self, out: &mut Writer<'_>, version: i16) -> Result<(), Malformed> {
        out.array(&self.topics, |out, topic| {
            out.string(&topic.topic)?;
            out.array(&topic.partitions, |out, partition| {
                out.i16(partition.error_code);
                out.i32(partition.partition);
                if version >= EPOCH_FROM {
                    out.i32(partition.leader_epoch);
                }
                out.i64(partition.end_offset);
                Ok(())
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    #[test]
    fn what_is_asked_and_answered_is_read_by_the_other_side() {
        let topic = TopicName(StrBytes::from_static_str("t"));
        let asked = OffsetForLeaderPartition::default()
            .with_partition(3)
            .with_leader_epoch(7);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![
            OffsetForLeaderTopic::default()
                .with_topic(topic.clone())
                .with_partitions(vec![asked]),
        ]);
        let told = EpochEndOffset::default()
            .with_error_code(0)
            .with_partition(3)
            .with_leader_epoch(6)
            .with_end_offset(11);
        let response = OffsetForLeaderEpochResponse::default().with_topics(vec![
            OffsetForLeaderTopicResult::default()
                .with_topic(topic)
                .with_partitions(vec![told]),
        ]);
        for version in 0..KNOWN_FROM {
            let body = encode_request(&request).unwrap();
            let mut fields = Fields::new(body);
            let read = OffsetForLeaderEpochRequest::decode_old(&mut fields, version);
            assert_eq!(read.unwrap(), request);
            let mut bytes = BytesMut::new();
            response
                .encode_old(&mut Writer(&mut bytes), version)
                .unwrap();
            let bytes = bytes.freeze();
            let read = decode_response(bytes.clone(), version).unwrap();
            let epoch = read.topics[0].partitions[0].leader_epoch;
            assert_eq!(epoch, if version >= EPOCH_FROM { 6 } else { NO_EPOCH });
            assert_eq!(read.topics[0].partitions[0].end_offset, 11);
            for cut in 0..bytes.len() {
                assert!(decode_response(bytes.slice(..cut), version).is_err());
            }
        }
    }
}
