//! Removing groups and offsets: by request, with their topic, or by age.

use std::collections::HashSet;

use super::Shard;
use super::writes::Then;
use crate::group::Error;
use crate::group::api::{PartitionOutcomes, Phase};
use crate::group::records::Record;
use crate::metrics::Groups;
use crate::model::TopicPartition;
use crate::state_log::{self, Reply};

/// Tombstones in one batch: far below any sensible limit of a batch's size.
const TOMBSTONES_PER_BATCH_MAX: usize = 1_000;

/// A removal whose tombstones are on their way.
#[derive(Debug)]
pub(super) struct Cleanup {
    /// The group itself goes too.
    is_whole_group: bool,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Nobody,
    Deleted(Reply<Result<(), Error>>),
    OffsetsDeleted(PartitionOutcomes, Reply<Result<PartitionOutcomes, Error>>),
}

impl Cleanup {
    /// Answers once; later calls find nobody waiting.
    pub(super) fn answer(&mut self, result: Result<(), Error>) {
        match std::mem::replace(&mut self.answer, Answer::Nobody) {
            Answer::Nobody => {}
            Answer::Deleted(reply) => {
                let _ = reply.send(result);
            }
            Answer::OffsetsDeleted(outcomes, reply) => {
                let _ = reply.send(result.map(|()| outcomes));
            }
        }
    }
}

impl Shard {
    pub(super) fn delete(&mut self, group_id: &str, reply: Reply<Result<(), Error>>) {
        let phase = self
            .groups
            .get(group_id)
            .map(|group| (group.phase(), group));
        let refused = match phase {
            None | Some((Phase::Dead, _)) => Error::GroupIdNotFound,
            Some((Phase::Empty, group)) => {
                let all = group.offsets.partitions_with_pending();
                return self.clean(group_id, all, Answer::Deleted(reply));
            }
            Some((Phase::PreparingRebalance | Phase::CompletingRebalance | Phase::Stable, _)) => {
                Error::NonEmptyGroup
            }
        };
        let _ = reply.send(Err(refused));
    }

    pub(super) fn delete_offsets(
        &mut self,
        group_id: &str,
        partitions: Vec<TopicPartition>,
        reply: Reply<Result<PartitionOutcomes, Error>>,
    ) {
        let Some(group) = self
            .groups
            .get(group_id)
            .filter(|g| g.phase() != Phase::Dead)
        else {
            let _ = reply.send(Err(Error::GroupIdNotFound));
            return;
        };
        let is_empty = group.phase() == Phase::Empty;
        if !is_empty && !group.is_consumer_group() {
            let _ = reply.send(Err(Error::NonEmptyGroup));
            return;
        }
        let is_in_use = |partition: &TopicPartition| {
            !is_empty && group.is_subscribed_to(partition.topic.as_str())
        };
        let outcome = |partition: TopicPartition| match is_in_use(&partition) {
            true => (partition, Err(Error::GroupSubscribedToTopic)),
            false => (partition, Ok(())),
        };
        let outcomes: PartitionOutcomes = partitions.into_iter().map(outcome).collect();
        let known: HashSet<_> = group
            .offsets
            .partitions_with_pending()
            .into_iter()
            .collect();
        let free = outcomes.iter().filter(|(_, outcome)| outcome.is_ok());
        let removed = free.map(|(partition, _)| partition.clone());
        let removed: Vec<_> = removed
            .filter(|partition| known.contains(partition))
            .collect();
        let count = removed.len() as u64;
        self.metrics.groups.add(Groups::OffsetDeletions, count);
        self.drop_pending(group_id, &removed);
        self.clean(group_id, removed, Answer::OffsetsDeleted(outcomes, reply));
    }

    pub(super) fn forget_partitions(&mut self, partitions: &[TopicPartition]) {
        let gone: HashSet<&TopicPartition> = partitions.iter().collect();
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for group_id in ids {
            let Some(group) = self.groups.get(&group_id) else {
                continue;
            };
            let mut removed = group.offsets.partitions_with_pending();
            removed.retain(|partition| gone.contains(partition));
            if !removed.is_empty() {
                self.drop_pending(&group_id, &removed);
                self.clean(&group_id, removed, Answer::Nobody);
            }
        }
    }

    pub(super) fn expire(&mut self) {
        let now_ms = self.clock.wall_ms();
        let retention_ms = i64::try_from(self.config.retention.as_millis()).unwrap_or(i64::MAX);
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        let mut removed_count = 0;
        for group_id in ids {
            if let Some(group) = self.groups.get(&group_id) {
                let expired = group.offsets.expired(group.expiry(), now_ms, retention_ms);
                removed_count += expired.len();
                self.clean(&group_id, expired, Answer::Nobody);
            }
        }
        if removed_count > 0 {
            let count = removed_count as u64;
            self.metrics.groups.add(Groups::OffsetExpirations, count);
            tracing::info!(
                partition = self.partition,
                count = removed_count,
                "offsets expire"
            );
        }
    }

    /// What was deleted on request does not come back with a transaction that is
    /// committed later.
    fn drop_pending(&mut self, group_id: &str, partitions: &[TopicPartition]) {
        if let Some(group) = self.groups.get_mut(group_id) {
            group.offsets.drop_pending(partitions);
        }
    }

    /// Writes the tombstones of some offsets, and of the group if that leaves
    /// nothing of it. Until they are committed such a group is dead: it takes
    /// neither members nor commits.
    fn clean(&mut self, group_id: &str, partitions: Vec<TopicPartition>, answer: Answer) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        let removed: HashSet<&TopicPartition> = partitions.iter().collect();
        let leaves_nothing = || {
            let all = group.offsets.partitions_with_pending();
            all.iter().all(|partition| removed.contains(partition))
        };
        let is_delete = matches!(answer, Answer::Deleted(_));
        let is_whole_group = (group.is_removable() || is_delete && group.phase() == Phase::Empty)
            && leaves_nothing();
        let has_metadata = group.generation() > 0;
        if is_whole_group {
            group.become_dead();
        }
        let tombstone = |partition| Record::Offset {
            group_id: group_id.to_owned(),
            partition,
            commit: None,
        };
        let mut records: Vec<Record> = partitions.into_iter().map(tombstone).collect();
        if is_whole_group && has_metadata {
            records.push(Record::Group {
                group_id: group_id.to_owned(),
                value: None,
            });
        }
        let cleanup = Cleanup {
            is_whole_group,
            answer,
        };
        if records.is_empty() {
            self.finish_cleanup(group_id, cleanup, Ok(()));
        } else {
            while records.len() > TOMBSTONES_PER_BATCH_MAX {
                let rest = records.split_off(TOMBSTONES_PER_BATCH_MAX);
                let first = std::mem::replace(&mut records, rest);
                self.append(group_id, first, Then::Nothing);
            }
            self.append(group_id, records, Then::Cleaned(cleanup));
        }
        self.reschedule(group_id);
    }

    pub(super) fn finish_cleanup(
        &mut self,
        group_id: &str,
        mut cleanup: Cleanup,
        result: Result<(), state_log::Error>,
    ) {
        if let Err(error) = result {
            tracing::warn!(group = group_id, %error, "a removal could not be stored");
        }
        if cleanup.is_whole_group {
            match (result, self.groups.get_mut(group_id)) {
                (Ok(()), _) => {
                    self.groups.remove(group_id);
                    tracing::info!(group = group_id, "a group is removed");
                }
                (Err(_), Some(group)) => group.revive(),
                (Err(_), None) => {}
            }
        }
        cleanup.answer(result.map_err(Error::from_group_store));
    }
}
