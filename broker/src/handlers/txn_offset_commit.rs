//! TxnOffsetCommit: offsets that count once the producer's transaction is
//! committed (KIP-98, KIP-447).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::committed_offsets::{Asked, Offsets};
use super::error;
use super::group_wire::{ByTopic, FindPartition, owned, owned_option};
use super::partitions::Partitions;
use super::verification::{InTransaction, Verifier};
use crate::group::{
    CommitRequest, Handle, MemberRef, OffsetToCommit, PartitionOutcomes, Transaction,
};
use crate::log::Verification;
use crate::model::{GROUP_METADATA_TOPIC, TopicName, TopicPartition};
use crate::record::NO_SEQUENCE;

/// From here on, clients survive to hear that a coordinator loads (KAFKA-7296).
const LOADING_FROM: i16 = 2;
/// From here on, clients know `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM: i16 = 4;

/// What it takes to commit offsets in a transaction.
pub(crate) struct TxnOffsetCommit<'a> {
    pub(crate) groups: &'a Handle,
    pub(crate) known: &'a Partitions,
    pub(crate) verifier: &'a Verifier,
    pub(crate) find: FindPartition<'a>,
    pub(crate) version: i16,
}

impl TxnOffsetCommit<'_> {
    /// Answers when the offsets are in the log.
    pub(crate) async fn handle(&self, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
        let asked = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|asked| Asked {
                topic: &topic.name,
                partition_index: asked.partition_index,
                offset: asked.committed_offset,
                leader_epoch: asked.committed_leader_epoch,
                metadata: asked.committed_metadata.as_ref(),
                committed_ms: None,
            })
        });
        let offsets = Offsets::sort(self.find, asked);
        let codes = offsets.commit(|offsets| self.commit(&request, offsets));
        self.response(codes.await)
    }

    async fn commit(
        &self,
        request: &TxnOffsetCommitRequest,
        offsets: Vec<OffsetToCommit>,
    ) -> Result<PartitionOutcomes, i16> {
        let verification = self.verified(request).await?;
        let asked = commit_request(request, offsets, verification);
        let committed = self.groups.commit(asked).await;
        committed.map_err(error::group)
    }

    fn response(&self, codes: ByTopic<i16>) -> TxnOffsetCommitResponse {
        let partition = |(index, code)| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(self.code(code))
        };
        let topics = codes.into_topics().map(|(name, partitions)| {
            TxnOffsetCommitResponseTopic::default()
                .with_name(name)
                .with_partitions(partitions.into_iter().map(partition).collect())
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    fn code(&self, code: i16) -> i16 {
        match code == ResponseError::CoordinatorLoadInProgress.code() {
            true if self.version < LOADING_FROM => ResponseError::CoordinatorNotAvailable.code(),
            _ => code,
        }
    }

    /// What the records must bring to come into the group's partition.
    async fn verified(&self, request: &TxnOffsetCommitRequest) -> Result<Verification, i16> {
        let group_id = request.group_id.as_str();
        self.groups
            .check_coordinates(group_id)
            .map_err(error::group)?;
        if !self.verifier.is_enabled() {
            return Ok(Verification::NotRequired);
        }
        let not_coordinator = ResponseError::NotCoordinator.code();
        let index = self.groups.partition_for(group_id).ok_or(not_coordinator)?;
        let topic = TopicName::new(GROUP_METADATA_TOPIC).expect("Kafka's own topic name");
        let id = TopicPartition::new(topic, index);
        let partition = self
            .known
            .replicas
            .leader(&id)
            .map_err(|_| not_coordinator)?;
        let transaction = InTransaction {
            transactional_id: request.transactional_id.0.clone(),
            producer_id: request.producer_id.0,
            producer_epoch: request.producer_epoch,
            knows_abortable: self.version >= ABORTABLE_FROM,
        };
        let asked = vec![(&id, &*partition, NO_SEQUENCE)];
        let mut verified = self.verifier.verify(&transaction, asked).await;
        let outcome = verified.remove(&id).ok_or(not_coordinator)?;
        outcome.map_err(|error| error::offset_commit(error).code())
    }
}

fn commit_request(
    request: &TxnOffsetCommitRequest,
    offsets: Vec<OffsetToCommit>,
    verification: Verification,
) -> CommitRequest {
    CommitRequest {
        member: MemberRef {
            group_id: owned(&request.group_id),
            generation: request.generation_id,
            member_id: owned(&request.member_id),
            instance_id: owned_option(request.group_instance_id.as_ref()),
        },
        transaction: Some(Transaction {
            producer_id: request.producer_id.0,
            producer_epoch: request.producer_epoch,
            verification,
        }),
        retention_ms: None,
        offsets,
    }
}
