//! What OffsetCommit and TxnOffsetCommit share: offsets that are asked for by
//! topic, and what became of each.

use std::future::Future;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName as WireTopicName;
use kafka_protocol::protocol::StrBytes;

use super::error;
use super::group_wire::{ByTopic, FindPartition, owned_option};
use crate::group::{OffsetToCommit, PartitionOutcomes};

/// One offset of a request.
pub(super) struct Asked<'a> {
    pub(super) topic: &'a WireTopicName,
    pub(super) partition_index: i32,
    pub(super) offset: i64,
    /// -1 is unknown.
    pub(super) leader_epoch: i32,
    pub(super) metadata: Option<&'a StrBytes>,
    /// When it was committed by the consumer's own account, in ms since 1970.
    pub(super) committed_ms: Option<i64>,
}

/// The offsets of one request.
pub(super) struct Offsets {
    accepted: Vec<OffsetToCommit>,
    codes: ByTopic<i16>,
}

impl Offsets {
    /// Sorts out the offsets of partitions that do not exist, for groups do not
    /// know the cluster.
    pub(super) fn sort<'a>(
        find: FindPartition<'_>,
        offsets: impl Iterator<Item = Asked<'a>>,
    ) -> Self {
        let mut sorted = Self {
            accepted: Vec::new(),
            codes: ByTopic::default(),
        };
        for asked in offsets {
            match find(asked.topic.as_str(), asked.partition_index) {
                Some(partition) => sorted.accepted.push(OffsetToCommit {
                    partition,
                    offset: asked.offset,
                    leader_epoch: Some(asked.leader_epoch).filter(|epoch| *epoch != -1),
                    metadata: owned_option(asked.metadata).unwrap_or_default(),
                    committed_ms: asked.committed_ms,
                }),
                None => {
                    let code = ResponseError::UnknownTopicOrPartition.code();
                    let topic = asked.topic.clone();
                    sorted.codes.push(topic, asked.partition_index, code);
                }
            }
        }
        sorted
    }

    /// Commits those that are left, if any; the code of each partition.
    pub(super) async fn commit<F>(
        self,
        commit: impl FnOnce(Vec<OffsetToCommit>) -> F,
    ) -> ByTopic<i16>
    where
        F: Future<Output = Result<PartitionOutcomes, i16>>,
    {
        let Self {
            accepted,
            mut codes,
        } = self;
        if accepted.is_empty() {
            return codes;
        }
        let all = accepted.iter().map(|offset| offset.partition.clone());
        let all: Vec<_> = all.collect();
        match commit(accepted).await {
            Ok(outcomes) => {
                for (partition, outcome) in outcomes {
                    codes.push_partition(&partition, error::group_outcome(outcome));
                }
            }
            Err(code) => {
                for partition in &all {
                    codes.push_partition(partition, code);
                }
            }
        }
        codes
    }
}
