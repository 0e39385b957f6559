//! The records on their way into the log, and what follows when they are there.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;

use super::cleanup::Cleanup;
use super::commit::PendingCommit;
use super::{Group, Shard};
use crate::group::Error;
use crate::group::records::{Record, batch};
use crate::group::state::Stored;
use crate::state_log;

/// What follows a write.
#[derive(Debug)]
pub(super) enum Then {
    Stored(Stored),
    Committed(PendingCommit),
    Cleaned(Cleanup),
    Nothing,
}

#[derive(Debug)]
struct Write {
    group_id: String,
    records: Vec<Record>,
    then: Then,
    deadline: Duration,
    /// The client was told that it takes too long; the records may still come.
    is_late: bool,
}

/// Writes in flight, in the order of the log.
#[derive(Default)]
pub(super) struct Writes {
    queue: VecDeque<Write>,
    pub(super) appends: FuturesOrdered<BoxFuture<'static, Result<i64, state_log::Error>>>,
}

impl Writes {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Says whether somebody still waits for a write.
    pub(super) fn is_awaited(&self) -> bool {
        self.queue.iter().any(|write| !write.is_late)
    }

    pub(super) fn concerns(&self, group_id: &str) -> bool {
        self.queue.iter().any(|write| write.group_id == group_id)
    }

    /// All writes wait equally long, so the first that is not late is the next.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let next = self.queue.iter().find(|write| !write.is_late);
        next.map(|write| write.deadline)
    }
}

impl Shard {
    /// Appends the records as one batch; `then` follows when it is committed or
    /// has failed.
    pub(super) fn append(&mut self, group_id: &str, records: Vec<Record>, then: Then) {
        let now = self.now();
        let batch = match batch::encode(&records, now.wall_ms, &self.config) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(group = group_id, %error, "records of a group cannot be written");
                return self.follow(group_id, then, Err(state_log::Error::TooLarge));
            }
        };
        self.writes
            .appends
            .push_back(self.log.append(self.partition, batch));
        self.writes.queue.push_back(Write {
            group_id: group_id.to_owned(),
            records,
            then,
            deadline: now.monotonic.saturating_add(self.config.commit_timeout),
            is_late: false,
        });
    }

    /// The oldest write is committed at the given base offset, or has failed.
    pub(super) fn on_written(&mut self, result: Result<i64, state_log::Error>) {
        let Some(write) = self.writes.queue.pop_front() else {
            return;
        };
        if let Ok(base_offset) = result {
            for (record, offset) in write.records.into_iter().zip(base_offset..) {
                self.replay(record, offset);
            }
        }
        self.follow(&write.group_id, write.then, result.map(|_| ()));
    }

    fn follow(&mut self, group_id: &str, then: Then, result: Result<(), state_log::Error>) {
        match then {
            Then::Stored(stored) => {
                let result = result.map_err(Error::from_group_store);
                self.step(group_id, |group, step| {
                    group.on_stored(step, stored, result)
                });
            }
            Then::Committed(commit) => self.finish_commit(group_id, commit, result),
            Then::Cleaned(cleanup) => self.finish_cleanup(group_id, cleanup, result),
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
            tracing::warn!(
                group = write.group_id,
                "records of a group are not committed in time"
            );
            match &mut write.then {
                Then::Committed(commit) => commit.answer(Err(Error::RequestTimedOut)),
                Then::Cleaned(cleanup) => cleanup.answer(Err(Error::RequestTimedOut)),
                Then::Nothing => {}
                then @ Then::Stored(_) => {
                    failed.push((
                        write.group_id.clone(),
                        std::mem::replace(then, Then::Nothing),
                    ));
                }
            }
        }
        for (group_id, then) in failed {
            self.follow(&group_id, then, Err(state_log::Error::Timeout));
        }
    }

    /// Takes over one committed record, now or at a load.
    pub(super) fn replay(&mut self, record: Record, offset: i64) {
        let now = self.now();
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
                self.group_of_record(&group_id).replay(value, now);
            }
            Record::Group {
                group_id,
                value: None,
            } => {
                self.group_of_record(&group_id).replay_tombstone(now);
            }
        }
    }

    /// A group in memory always outlives its writes, so a record of an unknown
    /// group can only come from a load.
    pub(super) fn group_of_record(&mut self, group_id: &str) -> &mut Group {
        let now = self.now();
        let new = || Group::loading(group_id.to_owned(), now);
        self.groups.entry(group_id.to_owned()).or_insert_with(new)
    }
}
