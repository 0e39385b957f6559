//! Fetch 0 to 3: requests only; every version of the response is encoded by
//! `protocol::fetch_response`.

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, TopicName};

use super::{Fields, Malformed, OldRequest};

impl OldRequest for FetchRequest {
    fn decode_old(from: &mut Fields, version: i16) -> Result<Self, Malformed> {
        let mut request = Self::default()
            .with_replica_id(BrokerId(from.i32()?))
            .with_max_wait_ms(from.i32()?)
            .with_min_bytes(from.i32()?);
        request.max_bytes = match version {
            3.. => from.i32()?,
            _ => i32::MAX,
        };
        request.topics = from.array(|from| {
            let name = TopicName(from.string()?);
            let partitions = from.array(|from| {
                Ok(FetchPartition::default()
                    .with_partition(from.i32()?)
                    .with_fetch_offset(from.i64()?)
                    .with_partition_max_bytes(from.i32()?))
            })?;
            Ok(FetchTopic::default()
                .with_topic(name)
                .with_partitions(partitions))
        })?;
        Ok(request)
    }
}
