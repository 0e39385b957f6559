//! Cutting the end of the log, as a follower does to agree with its leader.

use std::io;

use super::segment::{ALL_SUFFIXES, Segment};
use super::{Error, Log, PendingDelete};
use crate::model::Offset;

impl Log {
    /// Drops the batches from the one that contains `offset` on. Says whether
    /// anything was dropped.
    pub fn truncate_to(&mut self, offset: Offset, now_ms: i64) -> Result<bool, Error> {
        self.check_usable()?;
        if offset >= self.log_end_offset {
            // An epoch may have begun here without a single record.
            self.epochs.truncate_from_end(self.log_end_offset);
            return Ok(false);
        }
        let first = self.floor_segment(0);
        if offset < first {
            self.truncate_fully_and_start_at(offset, now_ms)?;
            return Ok(true);
        }
        self.interrupt_cleaning();
        self.lower_cleaner_checkpoint(offset)?;
        let result = self.truncate_files(offset, now_ms);
        self.io(result)?;
        self.epochs.truncate_from_end(self.log_end_offset);
        self.lower_high_watermark_seen(offset);
        let result = self.reload_producers(now_ms);
        self.io(result)?;
        Ok(true)
    }

    fn lower_cleaner_checkpoint(&self, offset: Offset) -> Result<(), Error> {
        match &self.home {
            Some(home) => Ok(home.cleaner_checkpoint.lower(&self.partition, offset)?),
            None => Ok(()),
        }
    }

    fn truncate_files(&mut self, offset: Offset, now_ms: i64) -> io::Result<()> {
        let floor = self.floor_segment(offset);
        let removed = self.segments.split_off(&(floor + 1));
        if !removed.is_empty() {
            self.delete_segments(removed.into_values(), now_ms)?;
            // Came they back after a crash, they would lie over new records.
            self.storage.sync_dir(&self.dir)?;
        }
        let active = self.active();
        active.truncate_to(offset)?;
        let end = active.next_offset()?;
        // A batch that straddles `offset` is gone as a whole, but the offsets
        // up to `offset` stay taken.
        debug_assert!(end <= offset);
        self.log_end_offset = offset;
        self.log_start_offset = self.log_start_offset.min(offset);
        self.recovery_point = self.recovery_point.min(offset);
        self.directory_synced = false;
        Ok(())
    }

    /// Drops everything; the next record gets `offset`.
    pub fn truncate_fully_and_start_at(
        &mut self,
        offset: Offset,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.check_usable()?;
        self.interrupt_cleaning();
        self.lower_cleaner_checkpoint(offset)?;
        let result = self.start_empty(offset, now_ms);
        self.io(result)?;
        self.epochs.clear()?;
        Ok(())
    }

    pub(super) fn start_empty(&mut self, offset: Offset, now_ms: i64) -> io::Result<()> {
        let removed = std::mem::take(&mut self.segments);
        if !removed.is_empty() {
            self.delete_segments(removed.into_values(), now_ms)?;
            self.storage.sync_dir(&self.dir)?;
        }
        let dir = self.dir.clone();
        self.snapshots.retain(&dir, |_| false)?;
        let segment = Segment::create(&self.dir, &self.storage, offset, &self.config, now_ms)?;
        self.segments.insert(offset, Box::new(segment));
        self.producers.clear(offset);
        self.lower_high_watermark_seen(offset);
        self.log_start_offset = offset;
        self.log_end_offset = offset;
        self.recovery_point = self.recovery_point.min(offset);
        self.directory_synced = false;
        Ok(())
    }

    /// Renames the segments' files; `delete_due_files` removes them later, so
    /// that readers of the moment can finish.
    pub(super) fn delete_segments(
        &mut self,
        segments: impl Iterator<Item = Box<Segment>>,
        now_ms: i64,
    ) -> io::Result<()> {
        let mut files = Vec::new();
        for segment in segments {
            files.extend(segment.rename_to_deleted(&ALL_SUFFIXES)?);
            self.snapshots.forget(segment.base_offset());
        }
        if !files.is_empty() {
            let due_ms = now_ms.saturating_add(self.config.file_delete_delay_ms);
            self.pending_deletes.push(PendingDelete { due_ms, files });
        }
        Ok(())
    }
}
