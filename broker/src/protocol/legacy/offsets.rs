//! OffsetCommit 0 and 1, OffsetFetch 0. Version 0 of both means the offsets
//! that lie in the coordinator's znodes; the wire does not show it. Only version 1
//! of a commit says when each offset was committed.

use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    TopicName,
};

use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

/// An OffsetCommit with what version 1 alone says of each partition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatedOffsetCommit {
    pub request: OffsetCommitRequest,
    /// When each offset was committed, in ms since 1970, topic by topic and partition
    /// by partition; -1 is now. Empty in every other version.
    pub commit_timestamps_ms: Vec<i64>,
}

impl Decodable for DatedOffsetCommit {
    fn decode<B: ByteBuf>(from: &mut B, version: i16) -> kafka_protocol::error::Result<Self> {
        Ok(Self {
            request: OffsetCommitRequest::decode(from, version)?,
            commit_timestamps_ms: Vec::new(),
        })
    }
}

impl OldRequest for DatedOffsetCommit {
    fn decode_old(from: &mut Fields, version: i16) -> Result<Self, Malformed> {
        let mut request = OffsetCommitRequest::default().with_group_id(GroupId(from.string()?));
        let mut commit_timestamps_ms = Vec::new();
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
                    commit_timestamps_ms.push(from.i64()?);
                }
                Ok(partition.with_committed_metadata(from.nullable_string()?))
            })?;
            Ok(OffsetCommitRequestTopic::default()
                .with_name(name)
                .with_partitions(partitions))
        })?;
        Ok(Self {
            request,
            commit_timestamps_ms,
        })
    }
}

impl OldRequest for OffsetCommitRequest {
    fn decode_old(from: &mut Fields, version: i16) -> Result<Self, Malformed> {
        DatedOffsetCommit::decode_old(from, version).map(|dated| dated.request)
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
