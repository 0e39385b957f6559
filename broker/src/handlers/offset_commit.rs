//! OffsetCommit: a consumer writes down how far it has come.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::error;
use super::group_wire::{
    ByTopic, GroupRequestContext, PartitionExists, existing, owned, owned_option,
};
use crate::group::{CommitRequest, Handle, MemberRef, OffsetToCommit};
use crate::model::TopicPartition;
use crate::protocol::legacy::DatedOffsetCommit;

/// A time of version 1 that leaves it to the broker.
const NOW: i64 = -1;

/// Answers when the offsets are committed. Offsets of partitions that do not
/// exist are refused here, for groups do not know the cluster.
pub(crate) async fn handle(
    groups: &Handle,
    _ctx: &GroupRequestContext,
    exists: PartitionExists<'_>,
    dated: DatedOffsetCommit,
) -> OffsetCommitResponse {
    let request = dated.request;
    let mut times = dated.commit_timestamps_ms.into_iter();
    let mut codes = ByTopic::default();
    let mut offsets = Vec::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            let committed_ms = times.next().filter(|ms| *ms != NOW);
            match existing(exists, &topic.name, asked.partition_index) {
                Some(partition) => offsets.push(OffsetToCommit {
                    committed_ms,
                    ..offset_to_commit(partition, asked)
                }),
                None => {
                    let code = ResponseError::UnknownTopicOrPartition.code();
                    codes.push(topic.name.clone(), asked.partition_index, code);
                }
            }
        }
    }
    if !offsets.is_empty() {
        commit(groups, &request, offsets, &mut codes).await;
    }
    response(codes)
}

fn offset_to_commit(
    partition: TopicPartition,
    asked: &OffsetCommitRequestPartition,
) -> OffsetToCommit {
    OffsetToCommit {
        partition,
        offset: asked.committed_offset,
        leader_epoch: Some(asked.committed_leader_epoch).filter(|epoch| *epoch != -1),
        metadata: owned_option(asked.committed_metadata.as_ref()).unwrap_or_default(),
        committed_ms: None,
    }
}

async fn commit(
    groups: &Handle,
    request: &OffsetCommitRequest,
    offsets: Vec<OffsetToCommit>,
    codes: &mut ByTopic<i16>,
) {
    let partitions: Vec<_> = offsets
        .iter()
        .map(|offset| offset.partition.clone())
        .collect();
    let member = MemberRef {
        group_id: owned(&request.group_id),
        generation: request.generation_id_or_member_epoch,
        member_id: owned(&request.member_id),
        instance_id: owned_option(request.group_instance_id.as_ref()),
    };
    let retention_ms = Some(request.retention_time_ms).filter(|ms| *ms != -1);
    match groups
        .commit(CommitRequest {
            member,
            transaction: None,
            retention_ms,
            offsets,
        })
        .await
    {
        Ok(outcomes) => {
            for (partition, outcome) in outcomes {
                codes.push_partition(&partition, error::group_outcome(outcome));
            }
        }
        Err(error) => {
            for partition in partitions {
                codes.push_partition(&partition, error::group(error));
            }
        }
    }
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
