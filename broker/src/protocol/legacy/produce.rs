//! Produce 0 to 2: message sets, without transactional ids.

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse, TopicName};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

impl OldRequest for ProduceRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let acks = from.i16()?;
        let timeout_ms = from.i32()?;
        let topics = from.array(|from| {
            let name = TopicName(from.string()?);
            let partitions = from.array(|from| {
                Ok(PartitionProduceData::default()
                    .with_index(from.i32()?)
                    .with_records(from.nullable_bytes()?))
            })?;
            Ok(TopicProduceData::default()
                .with_name(name)
                .with_partition_data(partitions))
        })?;
        Ok(Self::default()
            .with_acks(acks)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(topics))
    }
}

impl OldResponse for ProduceResponse {
    fn encode_old(&self, out: &mut Writer<'_>, version: i16) -> Result<(), Malformed> {
        out.array(&self.responses, |out, topic| {
            out.string(&topic.name)?;
            out.array(&topic.partition_responses, |out, partition| {
                out.i32(partition.index);
                out.i16(partition.error_code);
                out.i64(partition.base_offset);
                if version >= 2 {
                    out.i64(partition.log_append_time_ms);
                }
                Ok(())
            })
        })?;
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        Ok(())
    }
}
