//! The records on their way into the log, and what follows when they are there.
//!
//! Offsets that several consumers commit at the same time share one batch: `gather`
//! collects them, and `flush` writes what has come. Kafka's loader, and ours, read
//! record by record, so how they lie in batches is nobody's concern.
//!
//! **Invariant:** what was gathered is written before anything else is.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;

use super::cleanup::Cleanup;
use super::commit::PendingCommit;
use super::{Group, Shard};
use crate::group::Error;
use crate::group::api::{Transaction, TransactionEnd};
use crate::group::records::{self, Record};
use crate::group::state::Stored;
use crate::record::EndTxnMarker;
use crate::state_log::records::{Error as RecordError, KeyValue};
use crate::state_log::{self, Reply, Verification};

/// A batch of gathered records takes no more keys and values than these bytes: enough
/// to share its cost, and far below any sensible limit of a batch's size.
const GATHERED_SIZE_MAX: usize = 16 * 1024;

/// What follows a write.
#[derive(Debug)]
pub(super) enum Then {
    Stored(Stored),
    Committed(PendingCommit),
    Cleaned(Cleanup),
    /// The producer's transaction is over.
    Ended(Ended),
    Nothing,
}

/// A marker on its way.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) producer_id: i64,
    pub(super) committed: bool,
    pub(super) reply: Option<Reply<Result<(), state_log::Error>>>,
}

impl Ended {
    /// Answers once; later calls find nobody waiting.
    fn answer(&mut self, result: Result<(), state_log::Error>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(result);
        }
    }
}

/// What one request writes.
#[derive(Debug)]
struct Part {
    group_id: String,
    records: Vec<Record>,
    then: Then,
}

/// One batch.
#[derive(Debug)]
struct Write {
    parts: Vec<Part>,
    /// Whose transaction the records are in.
    producer_id: Option<i64>,
    deadline: Duration,
    /// The clients were told that it takes too long; the records may still come.
    is_late: bool,
}

/// The batch that still takes records.
#[derive(Default)]
struct Gathered {
    parts: Vec<Part>,
    records: Vec<KeyValue>,
    size: usize,
}

/// Writes in flight, in the order of the log.
#[derive(Default)]
pub(super) struct Writes {
    gathered: Gathered,
    queue: VecDeque<Write>,
    pub(super) appends: FuturesOrdered<BoxFuture<'static, Result<i64, state_log::Error>>>,
}

impl Writes {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Says whether something waits for `flush`.
    pub(super) fn has_gathered(&self) -> bool {
        !self.gathered.parts.is_empty()
    }

    /// Says whether somebody still waits for a write.
    pub(super) fn is_awaited(&self) -> bool {
        self.queue.iter().any(|write| !write.is_late)
    }

    pub(super) fn concerns(&self, group_id: &str) -> bool {
        let in_flight = self.queue.iter().flat_map(|write| &write.parts);
        let mut parts = self.gathered.parts.iter().chain(in_flight);
        parts.any(|part| part.group_id == group_id)
    }

    /// All writes wait equally long, so the first that is not late is the next.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let next = self.queue.iter().find(|write| !write.is_late);
        next.map(|write| write.deadline)
    }
}

impl Shard {
    /// Writes the records with what else comes now; `then` follows when they are
    /// committed or could not be.
    pub(super) fn gather(&mut self, group_id: String, records: Vec<Record>, then: Then) {
        let part = Part {
            group_id,
            records,
            then,
        };
        let Some((part, encoded)) = self.encode(part) else {
            return;
        };
        let size: usize = encoded.iter().map(KeyValue::size).sum();
        if self.writes.gathered.size + size > GATHERED_SIZE_MAX {
            self.flush();
        }
        let gathered = &mut self.writes.gathered;
        gathered.size += size;
        gathered.records.extend(encoded);
        gathered.parts.push(part);
    }

    /// Appends what was gathered as one batch.
    pub(super) fn flush(&mut self) {
        let gathered = std::mem::take(&mut self.writes.gathered);
        if !gathered.parts.is_empty() {
            self.write(None, gathered.parts, &gathered.records);
        }
    }

    /// Appends the records as a batch of their own; `then` follows when it is committed
    /// or has failed.
    pub(super) fn append(&mut self, group_id: &str, records: Vec<Record>, then: Then) {
        self.append_inside(None, group_id, records, then);
    }

    /// The same inside a producer's transaction.
    pub(super) fn append_inside(
        &mut self,
        transaction: Option<Transaction>,
        group_id: &str,
        records: Vec<Record>,
        then: Then,
    ) {
        self.flush();
        let part = Part {
            group_id: group_id.to_owned(),
            records,
            then,
        };
        if let Some((part, encoded)) = self.encode(part) {
            self.write(transaction, vec![part], &encoded);
        }
    }

    /// Keys and values of the part's records. If one of them cannot be written, the
    /// part has come to its end.
    fn encode(&mut self, part: Part) -> Option<(Part, Vec<KeyValue>)> {
        let version = self.config.version;
        let encoded = part.records.iter().map(|record| record.encode(version));
        match encoded.collect::<Result<Vec<_>, _>>() {
            Ok(encoded) => Some((part, encoded)),
            Err(error) => {
                self.refuse(part, error);
                None
            }
        }
    }

    fn refuse(&mut self, part: Part, error: RecordError) {
        let group = &part.group_id;
        tracing::error!(group, %error, "records of a group cannot be written");
        self.follow(&part.group_id, part.then, Err(state_log::Error::TooLarge));
    }

    fn write(&mut self, transaction: Option<Transaction>, parts: Vec<Part>, records: &[KeyValue]) {
        let now_ms = self.clock.wall_ms();
        let batch = match records::encode(records, transaction, now_ms, &self.config) {
            Ok(batch) => batch,
            Err(error) => {
                for part in parts {
                    self.refuse(part, error);
                }
                return;
            }
        };
        let verification = transaction.map_or(Verification::NotRequired, |of| of.verification);
        let append = self
            .log
            .append_verified(self.partition, batch, verification);
        let producer_id = transaction.map(|of| of.producer_id);
        self.push(append, parts, producer_id);
    }

    /// Appends the marker of a transaction, behind the offsets committed in it.
    pub(super) fn append_marker(
        &mut self,
        end: &TransactionEnd,
        reply: Reply<Result<(), state_log::Error>>,
    ) {
        self.flush();
        let mut ended = Ended {
            producer_id: end.producer_id,
            committed: end.commit,
            reply: Some(reply),
        };
        let marker = EndTxnMarker {
            commit: end.commit,
            coordinator_epoch: end.coordinator_epoch,
            timestamp: self.clock.wall_ms(),
        };
        match marker.batch(end.producer_id, end.producer_epoch) {
            Ok(batch) => {
                let append = self.log.append(self.partition, batch);
                let part = Part {
                    group_id: String::new(),
                    records: Vec::new(),
                    then: Then::Ended(ended),
                };
                self.push(append, vec![part], None);
            }
            Err(error) => {
                tracing::error!(%error, "a marker cannot be written");
                ended.answer(Err(state_log::Error::TooLarge));
            }
        }
    }

    fn push(
        &mut self,
        append: BoxFuture<'static, Result<i64, state_log::Error>>,
        parts: Vec<Part>,
        producer_id: Option<i64>,
    ) {
        self.writes.appends.push_back(append);
        let now = self.clock.monotonic();
        self.writes.queue.push_back(Write {
            parts,
            producer_id,
            deadline: now.saturating_add(self.config.commit_timeout),
            is_late: false,
        });
    }

    /// The oldest write is committed at the given base offset, or has failed.
    pub(super) fn on_written(&mut self, result: Result<i64, state_log::Error>) {
        let Some(write) = self.writes.queue.pop_front() else {
            return;
        };
        if result == Err(state_log::Error::TooLarge) && write.parts.len() > 1 {
            // Each may be small enough for the topic's limit by itself.
            for part in write.parts {
                self.append(&part.group_id, part.records, part.then);
            }
            return;
        }
        let mut next_offset = result;
        for mut part in write.parts {
            if let Ok(offset) = &mut next_offset {
                for record in std::mem::take(&mut part.records) {
                    match write.producer_id {
                        Some(producer_id) => self.replay_inside(producer_id, record, *offset),
                        None => self.replay(record, *offset),
                    }
                    *offset += 1;
                }
            }
            self.follow(&part.group_id, part.then, result.map(|_| ()));
        }
    }

    fn follow(&mut self, group_id: &str, then: Then, result: Result<(), state_log::Error>) {
        match then {
            Then::Stored(stored) => {
                let result = result.map_err(Error::from_group_store);
                self.step(group_id, |group, step| {
                    group.on_stored(step, stored, result)
                });
            }
            Then::Committed(commit) => {
                self.finish_commit(group_id, commit, result);
                return self.forget_if_void(group_id);
            }
            Then::Cleaned(cleanup) => self.finish_cleanup(group_id, cleanup, result),
            Then::Ended(mut ended) => {
                if result.is_ok() {
                    self.end_transaction(ended.producer_id, ended.committed);
                }
                return ended.answer(result);
            }
            Then::Nothing => {}
        }
        self.reschedule(group_id);
    }

    /// Tells those whose write takes too long. The write stays in the queue: if
    /// the log commits it after all, memory follows the log.
    pub(super) fn on_write_deadline(&mut self, now: Duration) {
        let mut failed = Vec::new();
        for write in self.writes.queue.iter_mut() {
            if write.is_late || write.deadline > now {
                continue;
            }
            write.is_late = true;
            for part in &mut write.parts {
                let group = &part.group_id;
                tracing::warn!(group, "records of a group are not committed in time");
                match &mut part.then {
                    Then::Committed(commit) => commit.answer(Err(Error::RequestTimedOut)),
                    Then::Cleaned(cleanup) => cleanup.answer(Err(Error::RequestTimedOut)),
                    Then::Ended(ended) => ended.answer(Err(state_log::Error::Timeout)),
                    Then::Nothing => {}
                    then @ Then::Stored(_) => {
                        failed.push((group.clone(), std::mem::replace(then, Then::Nothing)));
                    }
                }
            }
        }
        for (group_id, then) in failed {
            self.follow(&group_id, then, Err(state_log::Error::Timeout));
        }
    }

    /// Takes over one committed record, now or at a load.
    pub(super) fn replay(&mut self, record: Record, offset: i64) {
        match record {
            Record::Offset {
                group_id,
                partition,
                commit,
            } => {
                self.group_of_record(&group_id)
                    .offsets
                    .replay(partition, commit, offset);
            }
            Record::Group {
                group_id,
                value: Some(value),
            } => {
                let now = self.now();
                self.group_of_record(&group_id).replay(value, now);
            }
            Record::Group {
                group_id,
                value: None,
            } => {
                let now = self.now();
                self.group_of_record(&group_id).replay_tombstone(now);
            }
        }
    }

    /// Takes over a committed record that counts once its producer's transaction
    /// is committed.
    pub(super) fn replay_inside(&mut self, producer_id: i64, record: Record, offset: i64) {
        match record {
            Record::Offset {
                group_id,
                partition,
                commit,
            } => {
                let group = self.group_of_record(&group_id);
                group
                    .offsets
                    .replay_transactional(producer_id, partition, commit, offset);
                let groups = self.transactions.entry(producer_id).or_default();
                groups.insert(group_id);
            }
            metadata @ Record::Group { .. } => self.replay(metadata, offset),
        }
    }

    /// Takes over the marker of a producer's transaction. A group that was
    /// removed meanwhile has no offsets to take over.
    pub(super) fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        for group_id in self.transactions.remove(&producer_id).unwrap_or_default() {
            if let Some(group) = self.groups.get_mut(&group_id) {
                group.offsets.replay_marker(producer_id, committed);
                self.reschedule(&group_id);
            }
        }
    }

    /// A group in memory always outlives its writes, so a record of an unknown
    /// group can only come from a load.
    pub(super) fn group_of_record(&mut self, group_id: &str) -> &mut Group {
        if !self.groups.contains_key(group_id) {
            let group = Group::loading(group_id.to_owned(), self.now());
            self.groups.insert(group_id.to_owned(), group);
        }
        self.groups.get_mut(group_id).expect("it was put there")
    }
}
