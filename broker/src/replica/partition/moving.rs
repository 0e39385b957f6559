//! What a replica does to lie in another log directory (KIP-113).
//!
//! **Invariant:** where the copy has a record, it is the log's: whenever the log
//! was cut, the copy is cut to where both have the same epochs.

use bytes::Bytes;

use super::{Partition, Role};
use crate::log::{self, Log, LogHandle, ReadBounds};
use crate::model::Offset;
use crate::replica::quota::Quota;

/// Bytes that are copied at a time.
const STRETCH: usize = 1 << 20;
/// Stretches between two looks at whether to go on.
const STRETCHES_MAX: usize = 16;
/// Stretches that may be copied while appends wait.
const LAST_STRETCHES: usize = 4;

/// Why a copy does not go on.
#[derive(Debug, thiserror::Error)]
pub(in crate::replica) enum MovingError {
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Append(#[from] log::AppendError),
    #[error(transparent)]
    Read(#[from] log::ReadError),
    #[error("the log cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replica) enum Progress {
    Behind,
    CaughtUp,
}

/// What was known of the log when it was copied from last.
#[derive(Debug, Default)]
pub(in crate::replica) struct Cursor {
    cuts: Option<u64>,
}

impl Partition {
    /// Copies what comes next, as long as the quota lets it.
    pub(in crate::replica) fn copy_to(
        &self,
        future: &LogHandle,
        cursor: &mut Cursor,
        quota: &Quota,
    ) -> Result<Progress, MovingError> {
        for _ in 0..STRETCHES_MAX {
            if quota.is_exceeded() {
                break;
            }
            let Some(slice) = self.next_stretch(future, cursor)? else {
                return Ok(Progress::CaughtUp);
            };
            let records = match slice.read() {
                Ok(records) => records,
                // The log was cut while it was read.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error.into()),
            };
            quota.record(records.len());
            let log = self.log.read();
            if cursor.cuts == Some(log.cuts()) {
                let now_ms = self.around.clock.wall_ms();
                future.write().append_as_follower(records, now_ms)?;
            }
        }
        Ok(Progress::Behind)
    }

    fn next_stretch(
        &self,
        future: &LogHandle,
        cursor: &mut Cursor,
    ) -> Result<Option<log::FileSlice>, MovingError> {
        let log = self.log.read();
        let mut future = future.write();
        let now_ms = self.around.clock.wall_ms();
        if cursor.cuts != Some(log.cuts()) {
            agree(&log, &mut future, now_ms)?;
            cursor.cuts = Some(log.cuts());
        }
        follow_start(&log, &mut future, now_ms)?;
        stretch(&log, future.log_end_offset())
    }

    /// Puts the copy in the log's place if it is whole; false when more came
    /// than can be copied while appends wait.
    pub(in crate::replica) fn replace_log(
        &self,
        logs: &log::Manager,
        future: &LogHandle,
        cursor: &Cursor,
    ) -> Result<bool, MovingError> {
        let now_ms = self.around.clock.wall_ms();
        // Nearly all of it, before anybody waits for it.
        future.write().flush(now_ms)?;
        let work = logs.directory_work();
        let state = self.state.lock();
        let mut log = self.log.write();
        if cursor.cuts != Some(log.cuts()) {
            return Ok(false);
        }
        follow_start(&log, &mut future.write(), now_ms)?;
        for _ in 0..LAST_STRETCHES {
            let from = future.read().log_end_offset();
            let Some(slice) = stretch(&log, from)? else {
                break;
            };
            let records: Bytes = slice.read()?;
            future.write().append_as_follower(records, now_ms)?;
        }
        if future.read().log_end_offset() != log.log_end_offset() {
            return Ok(false);
        }
        let leads_in = match &state.role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Follower(_) | Role::Stopped { .. } | Role::None => None,
        };
        logs.take_over(&work, &mut log, leads_in, now_ms)?;
        drop((log, state, work));
        self.waiters.wake();
        Ok(true)
    }

    /// The directory that the log lies in.
    #[must_use]
    pub fn log_dir(&self) -> Option<std::path::PathBuf> {
        Some(self.log.read().dir().parent()?.to_owned())
    }
}

/// What comes at `from`, if anything does.
fn stretch(log: &Log, from: Offset) -> Result<Option<log::FileSlice>, MovingError> {
    if from >= log.log_end_offset() {
        return Ok(None);
    }
    let bounds = ReadBounds {
        max_bytes: STRETCH,
        upper_bound: log.log_end_offset(),
        at_least_one_batch: true,
    };
    Ok(log.read(from, bounds)?.slice)
}

fn follow_start(log: &Log, future: &mut Log, now_ms: i64) -> Result<(), log::Error> {
    let start = log.log_start_offset();
    if future.log_end_offset() < start {
        return future.truncate_fully_and_start_at(start, now_ms);
    }
    future.maybe_increment_log_start_offset(start).map(drop)
}

/// Cuts the copy to what the log has, too: equal epochs end equal records.
fn agree(log: &Log, future: &mut Log, now_ms: i64) -> Result<(), log::Error> {
    loop {
        let Some(epoch) = future.latest_epoch() else {
            return future.truncate_to(log.log_end_offset(), now_ms).map(drop);
        };
        let Some(own) = log.end_offset_for(epoch) else {
            return future.truncate_fully_and_start_at(log.log_start_offset(), now_ms);
        };
        if own.epoch == epoch {
            return future.truncate_to(own.end_offset, now_ms).map(drop);
        }
        // An epoch that only the copy has.
        let end = future.end_offset_for(own.epoch).map(|end| end.end_offset);
        future.truncate_to(end.unwrap_or(0), now_ms)?;
        if future.latest_epoch() == Some(epoch) {
            return future.truncate_fully_and_start_at(log.log_start_offset(), now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::open_for_tests;
    use crate::record::{BatchBuilder, Compression};

    /// The epoch and the value of each record.
    type Records = &'static [(i32, &'static [u8])];

    fn batch(offset: Offset, epoch: i32, value: &[u8]) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None).base_offset(offset, epoch);
        assert!(builder.push(1, None, Some(value), &[]));
        builder.build().unwrap()
    }

    fn filled(dir: &std::path::Path, batches: Records) -> Log {
        let mut log = open_for_tests(dir, &log::LogConfig::default());
        for (offset, (epoch, value)) in (0..).zip(batches) {
            log.append_as_follower(batch(offset, *epoch, value), 1)
                .unwrap();
        }
        log
    }

    /// The log was cut and grew again under another leader while its copy was
    /// under way: the copy keeps nothing of before.
    #[test]
    fn a_copy_is_cut_where_its_log_was() {
        let root = tempfile::tempdir().unwrap();
        let dirs: Vec<_> = (0..8).map(|n| root.path().join(format!("{n}"))).collect();
        let table: [(Records, Records, Offset); 4] = [
            (
                &[(0, b"a"), (0, b"b")],
                &[(0, b"a"), (0, b"b"), (0, b"c")],
                2,
            ),
            (
                &[(0, b"a"), (2, b"x")],
                &[(0, b"a"), (1, b"b"), (1, b"c")],
                1,
            ),
            (&[(0, b"a"), (0, b"b")], &[(0, b"a")], 1),
            (&[(3, b"x")], &[(1, b"a"), (1, b"b")], 0),
        ];
        for ((log, copy, expected), dirs) in table.into_iter().zip(dirs.chunks(2)) {
            let log = filled(&dirs[0], log);
            let mut copy = filled(&dirs[1], copy);
            agree(&log, &mut copy, 1).unwrap();
            assert_eq!(copy.log_end_offset(), expected);
        }
    }
}
