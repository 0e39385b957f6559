//! OffsetCommit: a consumer writes down how far it has come.

use kafka_protocol::messages::OffsetCommitResponse;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

use super::committed_offsets::{Asked, Offsets};
use super::error;
use super::group_wire::{ByTopic, FindPartition, GroupRequestContext, owned, owned_option};
use crate::group::{CommitRequest, Handle, MemberRef};
use crate::protocol::legacy::DatedOffsetCommit;

/// A time of version 1 that leaves it to the broker.
const NOW: i64 = -1;

/// Answers when the offsets are committed.
pub(crate) async fn handle(
    groups: &Handle,
    _ctx: &GroupRequestContext,
    find: FindPartition<'_>,
    dated: DatedOffsetCommit,
) -> OffsetCommitResponse {
    let request = dated.request;
    let times = dated.commit_timestamps_ms.into_iter().map(Some);
    let times = times.chain(std::iter::repeat(None));
    let asked = request.topics.iter().flat_map(partitions_of).zip(times);
    let asked = asked.map(|((topic, asked), committed_ms)| Asked {
        topic: &topic.name,
        partition_index: asked.partition_index,
        offset: asked.committed_offset,
        leader_epoch: asked.committed_leader_epoch,
        metadata: asked.committed_metadata.as_ref(),
        committed_ms: committed_ms.filter(|ms| *ms != NOW),
    });
    let offsets = Offsets::sort(find, asked);
    let codes = offsets.commit(async |offsets| {
        let member = MemberRef {
            group_id: owned(&request.group_id),
            generation: request.generation_id_or_member_epoch,
            member_id: owned(&request.member_id),
            instance_id: owned_option(request.group_instance_id.as_ref()),
        };
        let asked = CommitRequest {
            member,
            transaction: None,
            retention_ms: Some(request.retention_time_ms).filter(|ms| *ms != -1),
            offsets,
        };
        groups.commit(asked).await.map_err(error::group)
    });
    response(codes.await)
}

fn partitions_of(
    topic: &OffsetCommitRequestTopic,
) -> impl Iterator<Item = (&OffsetCommitRequestTopic, &OffsetCommitRequestPartition)> {
    topic.partitions.iter().map(move |asked| (topic, asked))
}

fn response(codes: ByTopic<i16>) -> OffsetCommitResponse {
    let partition = |(index, code)| {
        OffsetCommitResponsePartition::default()
            .with_partition_index(index)
            .with_error_code(code)
    };
    let topics = codes.into_topics().map(|(name, partitions)| {
        OffsetCommitResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::text;
    use bytes::BytesMut;
    use kafka_protocol::messages::TopicName as WireTopicName;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        for version in 2..=9 {
            let mut codes = ByTopic::default();
            codes.push(WireTopicName(text("t")), 0, 0);
            codes.push(WireTopicName(text("u")), 0, 3);
            codes.push(WireTopicName(text("t")), 1, 12);
            let mut bytes = BytesMut::new();
            response(codes).encode(&mut bytes, version).unwrap();
            let read = OffsetCommitResponse::decode(&mut bytes.freeze(), version).unwrap();
            let t = &read.topics[0].partitions;
            assert_eq!(
                (t[0].error_code, t[1].error_code),
                (0, 12),
                "version {version}"
            );
            assert_eq!(read.topics[1].partitions[0].error_code, 3);
        }
    }
}
