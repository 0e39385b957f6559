//! OffsetDelete: removes committed offsets of single partitions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::error;
use super::group_wire::{ByTopic, FindPartition, GroupRequestContext, owned};
use crate::group::Handle;

/// Answers when the tombstones are committed.
pub(crate) async fn handle(
    groups: &Handle,
    _ctx: &GroupRequestContext,
    find: FindPartition<'_>,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let mut codes = ByTopic::default();
    let mut partitions = Vec::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            match find(topic.name.as_str(), asked.partition_index) {
                Some(partition) => partitions.push(partition),
                None => {
                    let code = ResponseError::UnknownTopicOrPartition.code();
                    codes.push(topic.name.clone(), asked.partition_index, code);
                }
            }
        }
    }
    match groups
        .delete_offsets(owned(&request.group_id), partitions)
        .await
    {
        Err(error) => OffsetDeleteResponse::default().with_error_code(error::group(error)),
        Ok(outcomes) => {
            for (partition, outcome) in outcomes {
                codes.push_partition(&partition, error::group_outcome(outcome));
            }
            response(codes)
        }
    }
}

fn response(codes: ByTopic<i16>) -> OffsetDeleteResponse {
    let partition = |(index, code)| {
        OffsetDeleteResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(code)
    };
    let topics = codes.into_topics().map(|(name, partitions)| {
        OffsetDeleteResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::text;
    use bytes::BytesMut;
    use kafka_protocol::messages::TopicName as WireTopicName;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn the_only_version_can_be_encoded() {
        let mut codes = ByTopic::default();
        codes.push(WireTopicName(text("t")), 1, 86);
        let mut bytes = BytesMut::new();
        response(codes).encode(&mut bytes, 0).unwrap();
        let read = OffsetDeleteResponse::decode(&mut bytes.freeze(), 0).unwrap();
        assert_eq!(read.topics[0].partitions[0].error_code, 86);
    }
}
