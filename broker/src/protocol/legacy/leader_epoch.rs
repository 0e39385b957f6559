//! OffsetForLeaderEpoch 0 and 1: without the reader's own epoch.

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

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
                if version >= 1 {
                    out.i32(partition.leader_epoch);
                }
                out.i64(partition.end_offset);
                Ok(())
            })
        })
    }
}
