//! One cleaning of one log.
//!
//! Flow: the keys of the dirty part go into the map; then all segments up to
//! there are copied, in groups that fit one segment, without what the filter
//! drops, and each copy takes its group's place.
//!
//! **Invariant:** the log's lock is held only to look up a segment and to swap;
//! whatever cut or removed the log meanwhile ends the pass without a trace.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::super::index::AbortedTransaction;
use super::super::scan::Scan;
use super::super::{Error as LogError, LogHandle, Segment};
use super::candidate::Candidate;
use super::filter::{RECORDS_SIZE_MAX, Rules};
use super::group::{Source, groups};
use super::offset_map::{Full, OffsetMap};
use super::throttle::Throttle;
use super::transactions::CleanedTransactions;
use crate::model::Offset;
use crate::record::{Batch, Header};

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the log changed or the broker stops")]
    Interrupted,
    #[error("the segment at {base_offset} cannot be read: {source}")]
    Corrupt {
        base_offset: Offset,
        source: crate::record::Error,
    },
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Stats {
    pub(super) map_bytes_read: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) records_read: u64,
    pub(super) records_written: u64,
    pub(super) buffer_utilization: f64,
}

/// Buffers of one cleaner thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) map_bytes: usize,
    pub(super) load_factor: f64,
    pub(super) io_buffer_bytes: usize,
}

/// Tells a pass to end.
pub(super) struct Guard<'a> {
    pub(super) stop: &'a AtomicBool,
    /// The log's count of cuts, and what it was when the pass began.
    pub(super) cuts: Arc<AtomicU64>,
    pub(super) cuts_at_start: u64,
    /// Rests for a while, or until a stop.
    pub(super) rest: &'a dyn Fn(Duration),
}

impl Guard<'_> {
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.is_interrupted() {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.cuts.load(Ordering::Acquire) != self.cuts_at_start
    }
}

/// What the groups of a pass have in common.
struct Around<'a> {
    map: &'a OffsetMap,
    aborted: &'a [AbortedTransaction],
    old_horizon: Option<SystemTime>,
}

pub(super) struct Pass<'a> {
    pub(super) log: &'a LogHandle,
    pub(super) candidate: Candidate,
    pub(super) limits: Limits,
    pub(super) throttle: &'a Throttle,
    pub(super) guard: Guard<'a>,
    pub(super) now_ms: i64,
    pub(super) stats: Stats,
}

impl Pass<'_> {
    /// Cleans the log; returns up to where.
    pub(super) fn run(&mut self) -> Result<Offset, Error> {
        let result = self.clean();
        match result {
            // A path that is gone belongs to a log that was moved away.
            Err(Error::Io(_) | Error::Log(_)) if self.guard.is_interrupted() => {
                Err(Error::Interrupted)
            }
            other => other,
        }
    }

    fn clean(&mut self) -> Result<Offset, Error> {
        let aborted = {
            let log = self.log.read();
            log.aborted_transactions(0, self.candidate.first_uncleanable)?
        };
        let map = self.build_map(&aborted)?;
        self.stats.buffer_utilization = map.utilization();
        let end = map.latest_offset() + 1;
        let (sources, config) = {
            let log = self.log.read();
            (log.cleaning_sources(end)?, log.config().clone())
        };
        let old_horizon = self.old_tombstones_horizon(&sources, config.delete_retention_ms);
        let mut transactions = CleanedTransactions::default();
        for group in groups(&sources, &config) {
            let Some(sources) = sources.get(group) else {
                continue;
            };
            let around = Around {
                map: &map,
                aborted: &aborted,
                old_horizon,
            };
            self.clean_group(sources, &around, &mut transactions)?;
        }
        let end = end.max(self.candidate.first_dirty);
        self.log
            .read()
            .finish_cleaning(self.guard.cuts_at_start, end)?;
        Ok(end)
    }

    /// Tombstones of formats 0 and 1 go from segments that were last written
    /// to `delete.retention.ms` before the last one that was clean already.
    fn old_tombstones_horizon(&self, sources: &[Source], retention_ms: i64) -> Option<SystemTime> {
        let mut clean = sources.iter().rev();
        let last = clean.find(|source| source.base_offset < self.candidate.first_dirty)?;
        let retention = Duration::from_millis(u64::try_from(retention_ms).unwrap_or(0));
        last.modified.checked_sub(retention)
    }

    fn build_map(&mut self, aborted: &[AbortedTransaction]) -> Result<OffsetMap, Error> {
        let (from, to) = (self.candidate.first_dirty, self.candidate.first_uncleanable);
        let keys_max = u64::try_from(to - from).unwrap_or(0);
        let Limits {
            map_bytes,
            load_factor,
            ..
        } = self.limits;
        let mut map = OffsetMap::new(map_bytes, load_factor, keys_max);
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted(between(aborted, from, to));
        let bases: Vec<_> = {
            let log = self.log.read();
            log.segments_between(from, to)
                .map(Segment::base_offset)
                .collect()
        };
        for (index, &base_offset) in bases.iter().enumerate() {
            let next_base = bases.get(index + 1).copied().unwrap_or(to);
            let scan = self.scan(base_offset, from)?;
            match self.map_segment(base_offset, scan, &mut map, &mut transactions)? {
                // Offsets without records at the segment's end count as seen.
                Ok(()) => map.set_latest_offset(next_base - 1),
                Err(Full) => break,
            }
        }
        Ok(map)
    }

    fn map_segment(
        &mut self,
        base_offset: Offset,
        mut scan: Scan,
        map: &mut OffsetMap,
        transactions: &mut CleanedTransactions,
    ) -> Result<Result<(), Full>, Error> {
        let corrupt = |source| Error::Corrupt {
            base_offset,
            source,
        };
        let from = self.candidate.first_dirty;
        while let Some((_, batch)) = scan.next_batch()? {
            self.account(batch.bytes().len())?;
            self.stats.map_bytes_read += batch.bytes().len() as u64;
            let header = batch.header();
            if header.is_control() {
                transactions.on_control_batch(&batch).map_err(corrupt)?;
            } else if !transactions.is_aborted(header) {
                for record in batch.records(RECORDS_SIZE_MAX).map_err(corrupt)? {
                    let record = record.map_err(corrupt)?;
                    if let Some(key) = record.key.filter(|_| record.offset >= from)
                        && map.put(&key, record.offset).is_err()
                    {
                        return Ok(Err(Full));
                    }
                }
            }
            if header.last_offset() >= from {
                map.set_latest_offset(header.last_offset());
            }
        }
        check_end(&scan, base_offset)?;
        Ok(Ok(()))
    }

    fn clean_group(
        &mut self,
        sources: &[Source],
        around: &Around<'_>,
        transactions: &mut CleanedTransactions,
    ) -> Result<(), Error> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
            return Ok(());
        };
        self.guard.check()?;
        let (mut copy, last_records) = {
            let log = self.log.read();
            (log.begin_copy(first.base_offset)?, log.last_records())
        };
        let rules = Rules {
            map: around.map,
            last_records: &last_records,
            now_ms: self.now_ms,
            delete_retention_ms: copy.delete_retention_ms,
            keeps_old_tombstones: true,
        };
        let copied = self.copy_group(sources, around, &rules, &mut copy, transactions);
        let finished = copied.and_then(|()| Ok(copy.finish(last.modified)?));
        if let Err(error) = finished.and_then(|()| self.guard.check()) {
            copy.segment.discard();
            return Err(error);
        }
        self.stats.bytes_written += copy.segment.size();
        let replaced: Vec<_> = sources.iter().map(|source| source.base_offset).collect();
        let mut log = self.log.write();
        let is_unchanged = !self.guard.is_interrupted() && log.has_closed_segments(&replaced);
        if !is_unchanged {
            copy.segment.discard();
            return Err(Error::Interrupted);
        }
        Ok(log.replace_segments(copy.segment, &replaced, self.now_ms)?)
    }

    fn copy_group(
        &mut self,
        sources: &[Source],
        around: &Around<'_>,
        rules: &Rules<'_>,
        copy: &mut Copy,
        transactions: &mut CleanedTransactions,
    ) -> Result<(), Error> {
        for source in sources {
            let base_offset = source.base_offset;
            let corrupt = |source| Error::Corrupt {
                base_offset,
                source,
            };
            let aborted = between(around.aborted, base_offset, source.end_offset);
            transactions.add_aborted(aborted);
            let rules = Rules {
                keeps_old_tombstones: around
                    .old_horizon
                    .is_none_or(|horizon| source.modified > horizon),
                ..*rules
            };
            let mut scan = self.scan(base_offset, base_offset)?;
            while let Some((_, batch)) = scan.next_batch()? {
                let filtered = rules.filter(&batch, transactions).map_err(corrupt)?;
                self.stats.bytes_read += batch.bytes().len() as u64;
                self.stats.records_read += filtered.records_read;
                self.stats.records_written += filtered.records_kept;
                if let Some(aborted) = filtered.aborted {
                    copy.segment.note_aborted(aborted);
                }
                let mut written = 0;
                if let Some(bytes) = filtered.batch {
                    written = bytes.len();
                    let batch = Batch::stored(bytes).map_err(corrupt)?;
                    copy.push(&batch, self.limits.io_buffer_bytes)?;
                }
                self.account(batch.bytes().len() + written)?;
            }
            check_end(&scan, base_offset)?;
        }
        Ok(())
    }

    /// Walks a segment from the batch with `from` on.
    fn scan(&self, base_offset: Offset, from: Offset) -> Result<Scan, Error> {
        self.guard.check()?;
        let log = self.log.read();
        let scan = log.scan_for_cleaning(base_offset, from)?;
        scan.ok_or(Error::Interrupted)
    }

    fn account(&self, bytes: usize) -> Result<(), Error> {
        let pause = self.throttle.pause_after(bytes);
        if !pause.is_zero() {
            (self.guard.rest)(pause);
        }
        self.guard.check()
    }
}

/// The transactions with records in `from..to`.
fn between(
    aborted: &[AbortedTransaction],
    from: Offset,
    to: Offset,
) -> impl Iterator<Item = AbortedTransaction> {
    let overlaps =
        move |entry: &&AbortedTransaction| entry.last_offset >= from && entry.first_offset < to;
    aborted.iter().filter(overlaps).copied()
}

/// A closed segment ends with its file; anything else is damage that must not
/// be cleaned away.
fn check_end(scan: &Scan, base_offset: Offset) -> Result<(), Error> {
    match scan.damage() {
        Some(damage) => Err(Error::Corrupt {
            base_offset,
            source: damage.clone(),
        }),
        None => Ok(()),
    }
}

/// A segment being written.
pub(super) struct Copy {
    pub(super) segment: Segment,
    pub(super) index_interval: u64,
    pub(super) delete_retention_ms: i64,
    buffer: Vec<u8>,
    headers: Vec<Header>,
}

impl Copy {
    pub(super) fn new(segment: Segment, index_interval: u64, delete_retention_ms: i64) -> Self {
        Self {
            segment,
            index_interval,
            delete_retention_ms,
            buffer: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn push(&mut self, batch: &Batch, buffer_max: usize) -> io::Result<()> {
        self.buffer.extend_from_slice(batch.bytes());
        self.headers.push(*batch.header());
        match self.buffer.len() >= buffer_max {
            true => self.write(),
            false => Ok(()),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (bytes, headers) = (&self.buffer, &self.headers);
        self.segment
            .append_cleaned(bytes, headers, self.index_interval)?;
        self.buffer.clear();
        self.headers.clear();
        Ok(())
    }

    /// Makes the copy durable; it looks as old as the segment `modified` is of,
    /// so that retention by time is not set back.
    fn finish(&mut self, modified: SystemTime) -> io::Result<()> {
        self.write()?;
        self.segment.close()?;
        self.segment.set_modified(modified)?;
        self.segment.sync()?;
        self.segment.mark_synced();
        Ok(())
    }
}
