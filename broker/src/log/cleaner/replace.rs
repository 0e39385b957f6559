//! What a cleaning pass needs of a log, and how a copy takes its place.
//!
//! **Invariant:** at every moment the directory holds, for each part of the
//! log, the old segments or the whole copy (`.swap`): a copy without its end is
//! named `.cleaned`, and the next start drops it.

use std::io;
use std::sync::atomic::Ordering;

use super::super::scan::Scan;
use super::super::segment::{ALL_SUFFIXES, OWN_SUFFIXES, SWAP_TAIL};
use super::super::{Error, Log, PendingDelete, Segment};
use super::filter::{LastRecord, LastRecords};
use super::group::Source;
use super::pass::Copy;
use crate::model::Offset;

impl Log {
    /// Every pass that is under way must end: what it saw is no more.
    pub(in crate::log) fn interrupt_cleaning(&self) {
        self.cuts.fetch_add(1, Ordering::AcqRel);
    }

    /// The segments before `end`, as they are now.
    pub(super) fn cleaning_sources(&self, end: Offset) -> Result<Vec<Source>, Error> {
        let bases: Vec<_> = self.segments.keys().copied().collect();
        let end_of = |base: Offset| {
            let after = bases.partition_point(|&other| other <= base);
            bases.get(after).copied().unwrap_or(self.log_end_offset)
        };
        let sources = self
            .segments_between(0, end)
            .map(|segment| Source::of(segment, end_of(segment.base_offset())));
        self.io(sources.collect())
    }

    /// Walks the segment at `base_offset` from the batch with `from` on, if
    /// the segment is still there.
    pub(super) fn scan_for_cleaning(
        &self,
        base_offset: Offset,
        from: Offset,
    ) -> Result<Option<Scan>, Error> {
        let Some(segment) = self.segments.get(&base_offset) else {
            return Ok(None);
        };
        let scan = || -> io::Result<Scan> {
            match from > base_offset {
                true => {
                    let found = segment.find(from)?;
                    segment.scan(found.map_or_else(|| segment.size(), |(position, _)| position))
                }
                false => segment.scan(0),
            }
        };
        self.io(scan()).map(Some)
    }

    /// Starts a copy that begins at `base_offset`.
    pub(super) fn begin_copy(&self, base_offset: Offset) -> Result<Copy, Error> {
        let config = &self.config;
        let segment = Segment::create_cleaned(&self.dir, &self.storage, base_offset, config);
        Ok(Copy::new(
            self.io(segment)?,
            u64::try_from(config.index_interval_bytes).unwrap_or(0),
            config.delete_retention_ms,
        ))
    }

    /// What must stay of each active producer.
    pub(super) fn last_records(&self) -> LastRecords {
        let producers = self.producers.entries();
        producers
            .map(|(id, entry)| {
                let last = LastRecord {
                    data_offset: entry.batches.back().map(|batch| batch.last_offset),
                    epoch: entry.epoch,
                };
                (id, last)
            })
            .collect()
    }

    /// Says whether all of `bases` are segments that no longer grow.
    pub(super) fn has_closed_segments(&self, bases: &[Offset]) -> bool {
        let active = self.active_base_offset();
        bases
            .iter()
            .all(|base| *base < active && self.segments.contains_key(base))
    }

    /// Puts `copy` into the place of the segments `replaced`. After a failure
    /// halfway the log takes no more appends; the next start completes it.
    pub(super) fn replace_segments(
        &mut self,
        copy: Segment,
        replaced: &[Offset],
        now_ms: i64,
    ) -> Result<(), Error> {
        let result = self.swap(copy, replaced, now_ms);
        if result.is_err() {
            self.failed = true;
        }
        self.io(result)
    }

    fn swap(&mut self, mut copy: Segment, replaced: &[Offset], now_ms: i64) -> io::Result<()> {
        copy.rename_tail(SWAP_TAIL)?;
        self.storage.sync_dir(&self.dir)?;
        let mut files = Vec::new();
        for base_offset in replaced {
            let Some(old) = self.segments.get(base_offset) else {
                continue;
            };
            // The snapshot at the copy's own start stays with it.
            files.extend(match *base_offset == copy.base_offset() {
                true => old.rename_to_deleted(&OWN_SUFFIXES)?,
                false => old.rename_to_deleted(&ALL_SUFFIXES)?,
            });
        }
        copy.rename_tail("")?;
        self.storage.sync_dir(&self.dir)?;
        // Only now, so that a failure above does not make a gap to readers.
        for base_offset in replaced {
            self.segments.remove(base_offset);
            if *base_offset != copy.base_offset() {
                self.snapshots.forget(*base_offset);
            }
        }
        self.segments.insert(copy.base_offset(), Box::new(copy));
        let due_ms = now_ms.saturating_add(self.config.file_delete_delay_ms);
        self.pending_deletes.push(PendingDelete { due_ms, files });
        Ok(())
    }

    /// Notes that everything before `end` was cleaned, unless the log was cut
    /// meanwhile.
    pub(super) fn finish_cleaning(&self, cuts_at_start: u64, end: Offset) -> Result<(), Error> {
        // A cut takes the lock for writing, so none comes in between.
        if self.cuts.load(Ordering::Acquire) == cuts_at_start
            && let Some(home) = &self.home
        {
            home.cleaner_checkpoint.set(&self.partition, end)?;
        }
        Ok(())
    }
}
