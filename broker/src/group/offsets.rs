//! The committed offsets of one group: pure, moved by replayed records alone.
//!
//! Flow: `begin_commit` when records are appended, `replay` when they are
//! committed (or read back at a load), `end_commit` in any case.
//!
//! **Invariant:** of two commits for a partition the one later in the log wins,
//! however they reach this table (KAFKA-4850: plain and transactional commits mix).

use std::collections::{HashMap, HashSet};

use super::api::CommittedOffset;
use crate::model::TopicPartition;

/// A committed offset with everything that its record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) committed: CommittedOffset,
    pub(super) commit_timestamp_ms: i64,
    /// Only in commits of old clients that set an own retention.
    pub(super) expire_timestamp_ms: Option<i64>,
}

#[derive(Debug, Clone)]
struct Entry {
    commit: Commit,
    /// Where the record lies in the internal topic.
    log_offset: i64,
}

/// What decides when offsets expire, besides their age.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expiry<'a> {
    /// A group without members: age counts from the moment it became empty,
    /// or from the commit when that moment is not known.
    SinceEmpty(Option<i64>),
    /// A stable consumer group: offsets of topics outside the subscription.
    OutsideSubscription(&'a HashSet<String>),
    /// A standalone consumer: age counts from the commit.
    SinceCommit,
    /// Nothing expires now.
    Never,
}

/// All offsets of one group.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    committed: HashMap<TopicPartition, Entry>,
    pending: HashMap<TopicPartition, u32>,
    /// Offsets inside open transactions, by producer id.
    pending_transactions: HashMap<i64, HashMap<TopicPartition, Entry>>,
}

impl Offsets {
    pub(super) fn get(&self, partition: &TopicPartition) -> Option<&CommittedOffset> {
        Some(&self.committed.get(partition)?.commit.committed)
    }

    pub(super) fn committed_count(&self) -> usize {
        self.committed.len()
    }

    /// Partitions with a committed offset, in a stable order.
    pub(super) fn partitions(&self) -> Vec<TopicPartition> {
        let mut all: Vec<_> = self.committed.keys().cloned().collect();
        all.sort();
        all
    }

    /// Partitions that have or will have an offset, in a stable order.
    pub(super) fn partitions_with_pending(&self) -> Vec<TopicPartition> {
        let known: HashSet<_> = (self.committed.keys().chain(self.pending.keys()))
            .chain(self.pending_transactions.values().flat_map(HashMap::keys))
            .collect();
        let mut all: Vec<_> = known.into_iter().cloned().collect();
        all.sort();
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty() && self.pending_transactions.is_empty()
    }

    /// Says whether a commit of the partition is in flight (KIP-447).
    pub(super) fn is_pending(&self, partition: &TopicPartition) -> bool {
        let in_transaction = || {
            self.pending_transactions
                .values()
                .any(|of| of.contains_key(partition))
        };
        self.pending.contains_key(partition) || in_transaction()
    }

    pub(super) fn begin_commit(&mut self, partition: &TopicPartition) {
        *self.pending.entry(partition.clone()).or_insert(0) += 1;
    }

    pub(super) fn end_commit(&mut self, partition: &TopicPartition) {
        if let Some(count) = self.pending.get_mut(partition) {
            *count -= 1;
            if *count == 0 {
                self.pending.remove(partition);
            }
        }
    }

    /// Takes over a record of the log; `None` is its tombstone.
    pub(super) fn replay(
        &mut self,
        partition: TopicPartition,
        commit: Option<Commit>,
        log_offset: i64,
    ) {
        match commit {
            Some(commit) => {
                insert_newer(&mut self.committed, partition, Entry { commit, log_offset })
            }
            None => {
                self.committed.remove(&partition);
            }
        }
    }

    /// Takes over a record that counts once its transaction commits.
    pub(super) fn replay_transactional(
        &mut self,
        producer_id: i64,
        partition: TopicPartition,
        commit: Option<Commit>,
        log_offset: i64,
    ) {
        let open = self.pending_transactions.entry(producer_id).or_default();
        match commit {
            Some(commit) => {
                open.insert(partition, Entry { commit, log_offset });
            }
            None => {
                open.remove(&partition);
            }
        }
    }

    /// Forgets what open transactions hold for partitions that are given up.
    pub(super) fn drop_pending(&mut self, partitions: &[TopicPartition]) {
        for open in self.pending_transactions.values_mut() {
            for partition in partitions {
                open.remove(partition);
            }
        }
        self.pending_transactions.retain(|_, open| !open.is_empty());
    }

    /// Ends the producer's transaction as its marker says.
    pub(super) fn replay_marker(&mut self, producer_id: i64, committed: bool) {
        let Some(open) = self.pending_transactions.remove(&producer_id) else {
            return;
        };
        if committed {
            for (partition, entry) in open {
                insert_newer(&mut self.committed, partition, entry);
            }
        }
    }

    /// Partitions whose offsets have outlived `retention_ms`.
    pub(super) fn expired(
        &self,
        expiry: Expiry<'_>,
        now_ms: i64,
        retention_ms: i64,
    ) -> Vec<TopicPartition> {
        let is_expired = |partition: &TopicPartition, commit: &Commit| {
            let base_ms = match expiry {
                Expiry::Never => return false,
                Expiry::OutsideSubscription(topics)
                    if topics.contains(partition.topic.as_str()) =>
                {
                    return false;
                }
                Expiry::SinceEmpty(Some(since_ms)) => since_ms,
                Expiry::SinceEmpty(None) | Expiry::OutsideSubscription(_) | Expiry::SinceCommit => {
                    commit.commit_timestamp_ms
                }
            };
            match commit.expire_timestamp_ms {
                Some(expire_ms) => now_ms >= expire_ms,
                None => now_ms.saturating_sub(base_ms) >= retention_ms,
            }
        };
        let mut expired: Vec<_> = (self.committed.iter())
            .filter(|(partition, entry)| {
                !self.pending.contains_key(*partition) && is_expired(partition, &entry.commit)
            })
            .map(|(partition, _)| partition.clone())
            .collect();
        expired.sort();
        expired
    }
}

fn insert_newer(
    table: &mut HashMap<TopicPartition, Entry>,
    partition: TopicPartition,
    entry: Entry,
) {
    match table.get(&partition) {
        Some(present) if present.log_offset > entry.log_offset => {}
        _ => {
            table.insert(partition, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicName;

    const RETENTION_MS: i64 = 1_000;

    fn tp(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), partition)
    }

    fn commit(offset: i64, timestamp_ms: i64) -> Commit {
        Commit {
            committed: CommittedOffset {
                offset,
                leader_epoch: Some(3),
                metadata: "m".into(),
            },
            commit_timestamp_ms: timestamp_ms,
            expire_timestamp_ms: None,
        }
    }

    fn offset_of(offsets: &Offsets, partition: &TopicPartition) -> Option<i64> {
        offsets.get(partition).map(|committed| committed.offset)
    }

    #[test]
    fn the_later_record_wins_and_a_tombstone_removes() {
        let mut offsets = Offsets::default();
        offsets.replay(tp("a", 0), Some(commit(10, 0)), 5);
        offsets.replay(tp("a", 0), Some(commit(9, 0)), 4);
        assert_eq!(offset_of(&offsets, &tp("a", 0)), Some(10));
        offsets.replay(tp("a", 0), Some(commit(3, 0)), 6);
        assert_eq!(offset_of(&offsets, &tp("a", 0)), Some(3));
        offsets.replay(tp("a", 0), None, 7);
        assert!(offsets.is_empty());
    }

    #[test]
    fn a_transaction_counts_once_it_is_committed() {
        let mut offsets = Offsets::default();
        offsets.replay(tp("a", 0), Some(commit(1, 0)), 1);
        offsets.replay_transactional(7, tp("a", 0), Some(commit(2, 0)), 2);
        offsets.replay_transactional(8, tp("a", 1), Some(commit(5, 0)), 3);
        assert!(offsets.is_pending(&tp("a", 0)));
        assert_eq!(offset_of(&offsets, &tp("a", 0)), Some(1));
        offsets.replay_marker(8, false);
        offsets.replay_marker(7, true);
        assert_eq!(offset_of(&offsets, &tp("a", 0)), Some(2));
        assert_eq!(offset_of(&offsets, &tp("a", 1)), None);
        assert!(!offsets.is_pending(&tp("a", 0)));
    }

    #[test]
    fn a_plain_commit_after_the_transactional_one_survives_its_marker() {
        let mut offsets = Offsets::default();
        offsets.replay_transactional(7, tp("a", 0), Some(commit(2, 0)), 2);
        offsets.replay(tp("a", 0), Some(commit(9, 0)), 3);
        offsets.replay_marker(7, true);
        assert_eq!(offset_of(&offsets, &tp("a", 0)), Some(9));
    }

    #[test]
    fn pending_commits_are_counted() {
        let mut offsets = Offsets::default();
        offsets.begin_commit(&tp("a", 0));
        offsets.begin_commit(&tp("a", 0));
        offsets.end_commit(&tp("a", 0));
        assert!(offsets.is_pending(&tp("a", 0)));
        offsets.end_commit(&tp("a", 0));
        assert!(!offsets.is_pending(&tp("a", 0)));
    }

    #[test]
    fn kafkas_expiration_rules() {
        let mut offsets = Offsets::default();
        offsets.replay(tp("old", 0), Some(commit(1, 0)), 0);
        offsets.replay(tp("new", 0), Some(commit(1, 900)), 1);
        let explicit = Commit {
            expire_timestamp_ms: Some(5_000),
            ..commit(1, 0)
        };
        offsets.replay(tp("explicit", 0), Some(explicit), 2);
        let subscribed: HashSet<String> = ["old".to_owned()].into();
        let other: HashSet<String> = ["new".to_owned()].into();
        let cases: [(Expiry<'_>, i64, &[&str]); 9] = [
            (Expiry::SinceCommit, 999, &[]),
            (Expiry::SinceCommit, 1_000, &["old"]),
            (Expiry::SinceCommit, 1_900, &["new", "old"]),
            (Expiry::SinceCommit, 5_000, &["explicit", "new", "old"]),
            (Expiry::SinceEmpty(Some(4_000)), 4_999, &[]),
            (Expiry::SinceEmpty(None), 1_000, &["old"]),
            (Expiry::OutsideSubscription(&subscribed), 1_900, &["new"]),
            (Expiry::OutsideSubscription(&other), 1_900, &["old"]),
            (Expiry::Never, i64::MAX, &[]),
        ];
        for (expiry, now_ms, expected) in cases {
            let expired = offsets.expired(expiry, now_ms, RETENTION_MS);
            let topics: Vec<_> = expired.iter().map(|tp| tp.topic.as_str()).collect();
            assert_eq!(topics, expected, "{expiry:?} at {now_ms}");
        }
    }

    #[test]
    fn an_offset_with_a_pending_commit_does_not_expire() {
        let mut offsets = Offsets::default();
        offsets.replay(tp("a", 0), Some(commit(1, 0)), 0);
        offsets.begin_commit(&tp("a", 0));
        let expired = |offsets: &Offsets| offsets.expired(Expiry::SinceCommit, 9_999, RETENTION_MS);
        assert_eq!(expired(&offsets), []);
        offsets.end_commit(&tp("a", 0));
        assert_eq!(expired(&offsets), [tp("a", 0)]);
    }
}
