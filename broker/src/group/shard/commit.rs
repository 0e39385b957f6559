//! Committing and fetching offsets.

use super::Shard;
use super::writes::Then;
use crate::group::Error;
use crate::group::api::{CommitRequest, FetchRequest, FetchedOffsets, OffsetToCommit, Phase};
use crate::group::api::{CommittedOffset, PartitionOutcomes};
use crate::group::offsets::Commit;
use crate::group::records::Record;
use crate::group::state::Now;
use crate::metrics::Groups;
use crate::model::TopicPartition;
use crate::state_log::{self, Reply};

/// A commit whose records are on their way.
#[derive(Debug)]
pub(super) struct PendingCommit {
    /// `Ok` stands for "as the write ends".
    outcomes: PartitionOutcomes,
    reply: Option<Reply<PartitionOutcomes>>,
}

impl PendingCommit {
    /// Answers once; later calls find nobody waiting.
    pub(super) fn answer(&mut self, result: Result<(), Error>) {
        if let Some(reply) = self.reply.take() {
            let outcome = |(partition, own): &(TopicPartition, Result<(), Error>)| {
                (partition.clone(), own.and(result))
            };
            let _ = reply.send(self.outcomes.iter().map(outcome).collect());
        }
    }

    fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        let in_flight = self.outcomes.iter().filter(|(_, own)| own.is_ok());
        in_flight.map(|(partition, _)| partition)
    }
}

impl Shard {
    pub(super) fn commit(&mut self, request: CommitRequest, reply: Reply<PartitionOutcomes>) {
        let group_id = request.member.group_id.clone();
        let now = self.now();
        if let Err(error) = self.check_commit(now, &request) {
            let refused = request
                .offsets
                .into_iter()
                .map(|offset| (offset.partition, Err(error)));
            let _ = reply.send(refused.collect());
            return self.forget_if_void(&group_id);
        }
        let expire_timestamp_ms = request
            .retention_ms
            .map(|ms| now.wall_ms.saturating_add(ms));
        let size_max = self.config.offset_metadata_size_max;
        let mut outcomes = Vec::with_capacity(request.offsets.len());
        let mut records = Vec::with_capacity(request.offsets.len());
        for offset in request.offsets {
            // Kafka counts the characters of a Java string here.
            if offset.metadata.encode_utf16().count() > size_max {
                outcomes.push((offset.partition, Err(Error::OffsetMetadataTooLarge)));
                continue;
            }
            outcomes.push((offset.partition.clone(), Ok(())));
            records.push(record(&group_id, offset, now.wall_ms, expire_timestamp_ms));
        }
        let mut commit = PendingCommit {
            outcomes,
            reply: Some(reply),
        };
        if records.is_empty() {
            commit.answer(Ok(()));
            return self.forget_if_void(&group_id);
        }
        if let Some(group) = self.groups.get_mut(&group_id) {
            for partition in commit.partitions() {
                group.offsets.begin_commit(partition);
            }
        }
        let then = Then::Committed(commit);
        match request.transaction {
            None => self.gather(group_id, records, then),
            transaction => self.append_inside(transaction, &group_id, records, then),
        }
    }

    fn check_commit(&mut self, now: Now, request: &CommitRequest) -> Result<(), Error> {
        let member = &request.member;
        if member.generation < 0 || request.transaction.is_some() {
            // A simple consumer needs no more of a group than its offsets.
            self.group_or_new(&member.group_id);
        }
        match self.groups.get_mut(&member.group_id) {
            Some(group) if request.transaction.is_some() => group.check_transactional(member),
            Some(group) => group.check_commit(now, member),
            None => Err(Error::IllegalGeneration),
        }
    }

    pub(super) fn finish_commit(
        &mut self,
        group_id: &str,
        mut commit: PendingCommit,
        result: Result<(), state_log::Error>,
    ) {
        if let Some(group) = self.groups.get_mut(group_id) {
            for partition in commit.partitions() {
                group.offsets.end_commit(partition);
            }
        }
        if result.is_ok() {
            let count = commit.partitions().count() as u64;
            self.metrics.groups.add(Groups::OffsetCommits, count);
        }
        commit.answer(result.map_err(Error::from_offset_store));
    }

    pub(super) fn fetch(&self, request: FetchRequest) -> FetchedOffsets {
        let group = self.groups.get(&request.group_id);
        let group = group.filter(|group| group.phase() != Phase::Dead);
        let partitions = match (request.partitions, group) {
            (Some(partitions), _) => partitions,
            (None, Some(group)) => group.offsets.partitions(),
            (None, None) => Vec::new(),
        };
        let find = |partition: &TopicPartition| -> Result<Option<CommittedOffset>, Error> {
            let Some(group) = group else {
                return Ok(None);
            };
            if request.require_stable && group.offsets.is_pending(partition) {
                return Err(Error::UnstableOffsetCommit);
            }
            Ok(group.offsets.get(partition).cloned())
        };
        let answer = |partition| {
            let found = find(&partition);
            (partition, found)
        };
        partitions.into_iter().map(answer).collect()
    }
}

fn record(
    group_id: &str,
    offset: OffsetToCommit,
    now_ms: i64,
    expire_timestamp_ms: Option<i64>,
) -> Record {
    Record::Offset {
        group_id: group_id.to_owned(),
        partition: offset.partition,
        commit: Some(Commit {
            committed: CommittedOffset {
                offset: offset.offset,
                leader_epoch: offset.leader_epoch,
                metadata: offset.metadata,
            },
            commit_timestamp_ms: offset.committed_ms.unwrap_or(now_ms),
            expire_timestamp_ms,
        }),
    }
}
