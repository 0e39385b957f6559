//! What readers of committed records need: where the log is stable, and which
//! transactions in a range were aborted.

use std::sync::atomic::Ordering;

use super::index::AbortedTransaction;
use super::{Error, Log, Read};
use crate::model::Offset;

impl Log {
    /// Every transaction below it has ended, and its end is replicated. Never
    /// beyond `high_watermark`.
    #[must_use]
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        self.high_watermark_seen
            .fetch_max(high_watermark, Ordering::Relaxed);
        match self.first_unstable_offset(high_watermark) {
            Some(first) => first.min(high_watermark),
            None => high_watermark,
        }
    }

    /// First offset of the oldest transaction that has no marker yet, or whose
    /// marker is not below `high_watermark`.
    #[must_use]
    pub fn first_unstable_offset(&self, high_watermark: Offset) -> Option<Offset> {
        let first = self.producers.first_unstable_offset(high_watermark)?;
        Some(first.max(self.log_start_offset))
    }

    /// The aborted transactions with records in `from..upper_bound`.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        upper_bound: Offset,
    ) -> Result<Vec<AbortedTransaction>, Error> {
        let mut found = Vec::new();
        let floor = self.floor_segment(from);
        for segment in self.segments.range(floor..).map(|(_, segment)| segment) {
            for entry in self.io(segment.aborted_transactions())? {
                if entry.last_offset >= from && entry.first_offset < upper_bound {
                    found.push(entry);
                }
                // What aborts later began at or behind the stable offset of then.
                if entry.last_stable_offset >= upper_bound {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The aborted transactions with records in what was read below
    /// `upper_bound`, and perhaps some that begin a little behind it.
    pub fn aborted_transactions_of(
        &self,
        read: &Read,
        upper_bound: Offset,
    ) -> Result<Vec<AbortedTransaction>, Error> {
        let floor = self.floor_segment(read.start_offset);
        let indexed = match (self.segments.get(&floor), &read.slice) {
            (Some(segment), Some(slice)) => {
                self.io(segment.offset_behind(slice.position + slice.length as u64))?
            }
            _ => None,
        };
        let mut later = self.segments.range(floor + 1..);
        let end = || later.next().map_or(self.log_end_offset, |(&base, _)| base);
        let end = indexed.unwrap_or_else(end);
        self.aborted_transactions(read.start_offset, upper_bound.min(end))
    }

    /// Enters the transaction that the batch just written has aborted.
    pub(super) fn note_aborted(&mut self, aborted: Option<AbortedTransaction>) {
        if let Some(aborted) = aborted {
            self.active().note_aborted(aborted);
        }
    }

    /// What lies from `offset` on is not known to be replicated any more.
    pub(super) fn lower_high_watermark_seen(&self, offset: Offset) {
        self.high_watermark_seen
            .fetch_min(offset, Ordering::Relaxed);
    }

    /// Forgets the transactions of which the markers are known to be replicated.
    pub(super) fn forget_replicated_transactions(&mut self) {
        let seen = self.high_watermark_seen.load(Ordering::Relaxed);
        self.producers.forget_replicated(seen);
    }
}
