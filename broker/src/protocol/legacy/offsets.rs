//! OffsetCommit 0 and 1, OffsetFetch 0. Version 0 of both means the offsets
//! that lie in the coordinator's znodes; the wire does not show it.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    TopicName,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

impl OldRequest for OffsetCommitRequest {
    fn decode_old(from: &mut Fields, version: i16) -> Result<Self, Malformed> {
        let mut request = Self::default().with_group_id(GroupId(from.string()?));
        if version >= 1 {
            request.generation_id_or_member_epoch = from.i32()?;
            request.member_id = from.string()?;
        }
        request.topics = from.array(|from| {
            let name = TopicName(from.string()?);
            let partitions = from.array(|from| {
                let partition = OffsetCommitRequestPartition::default()
                    .with_partition_index(from.i32()?)
                    .with_committed_offset(from.i64()?);
                if version >= 1 {
                    // The time from which the offset's retention counted. The
                    // broker's own time stands for it, as since version 2.
                    let _commit_timestamp = from.i64()?;
                }
                Ok(partition.with_committed_metadata(from.nullable_string()?))
            })?;
            Ok(OffsetCommitRequestTopic::default()
                .with_name(name)
                .with_partitions(partitions))
        })?;
        Ok(request)
    }
}

impl OldResponse for OffsetCommitResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.array(&self.topics, |out, topic| {
            out.string(&topic.name)?;
            out.array(&topic.partitions, |out, partition| {
                out.i32(partition.partition_index);
                out.i16(partition.error_code);
                Ok(())
            })
        })
    }
}

impl OldRequest for OffsetFetchRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let group = GroupId(from.string()?);
        let topics = from.array(|from| {
            Ok(OffsetFetchRequestTopic::default()
                .with_name(TopicName(from.string()?))
                .with_partition_indexes(from.array(Fields::i32)?))
        })?;
        Ok(Self::default()
            .with_group_id(group)
            .with_topics(Some(topics)))
    }
}

impl OldResponse for OffsetFetchResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.array(&self.topics, |out, topic| {
            out.string(&topic.name)?;
            out.array(&topic.partitions, |out, partition| {
                out.i32(partition.partition_index);
                out.i64(partition.committed_offset);
                out.nullable_string(partition.metadata.as_deref())?;
                out.i16(partition.error_code);
                Ok(())
            })
        })
    }
}
