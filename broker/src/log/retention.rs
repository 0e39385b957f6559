//! Letting go of the start of the log: by age, by size, by request.

use std::io;

use super::{Error, Log, Segment};
use crate::model::Offset;

impl Log {
    /// Moves the start of the log forward; the caller has checked that
    /// `offset` is not beyond the high watermark. Says whether it moved.
    pub fn maybe_increment_log_start_offset(&mut self, offset: Offset) -> Result<bool, Error> {
        self.check_usable()?;
        let offset = offset.min(self.log_end_offset);
        if offset <= self.log_start_offset {
            return Ok(false);
        }
        self.log_start_offset = offset;
        self.epochs.truncate_from_start(offset)?;
        if self.producers.end_offset() < offset {
            self.producers.set_end_offset(offset);
        }
        Ok(true)
    }

    /// Deletes the segments that retention lets go, oldest first, never one
    /// with records at or beyond the high watermark. Returns how many.
    pub fn delete_old_segments(
        &mut self,
        now_ms: i64,
        high_watermark: Offset,
    ) -> Result<usize, Error> {
        self.check_usable()?;
        let result = self.count_deletable(now_ms, high_watermark);
        let mut count = self.io(result)?;
        if count == 0 {
            return Ok(0);
        }
        if count == self.segments.len() {
            match self.roll(now_ms) {
                // The last one stays until the others have made room.
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {
                    count -= 1;
                }
                rolled => rolled?,
            }
        }
        let bases: Vec<_> = self.segments.keys().copied().collect();
        let (Some(&first_kept), true) = (bases.get(count), count > 0) else {
            return Ok(0);
        };
        self.maybe_increment_log_start_offset(first_kept)?;
        let kept = self.segments.split_off(&first_kept);
        let removed = std::mem::replace(&mut self.segments, kept);
        let result = self.delete_segments(removed.into_values(), now_ms);
        self.io(result)?;
        Ok(count)
    }

    fn count_deletable(&self, now_ms: i64, high_watermark: Offset) -> io::Result<usize> {
        let segments: Vec<&Segment> = self.segments.values().map(AsRef::as_ref).collect();
        let next_base = |index: usize| segments.get(index + 1).map(|next| next.base_offset());
        let mut excess = match u64::try_from(self.config.retention_bytes) {
            Ok(limit) if self.config.delete => self.size().saturating_sub(limit),
            _ => 0,
        };
        let mut count = 0;
        for (index, segment) in segments.iter().enumerate() {
            let end = next_base(index).unwrap_or(self.log_end_offset);
            let is_empty_active = next_base(index).is_none() && segment.size() == 0;
            if is_empty_active || high_watermark < end {
                break;
            }
            let below_start = next_base(index).is_some_and(|base| base <= self.log_start_offset);
            let over_size = segment.size() > 0 && segment.size() <= excess;
            if !(below_start || over_size || self.is_too_old(segment, now_ms)?) {
                break;
            }
            excess = excess.saturating_sub(segment.size());
            count += 1;
        }
        Ok(count)
    }

    fn is_too_old(&self, segment: &Segment, now_ms: i64) -> io::Result<bool> {
        if !self.config.delete || self.config.retention_ms < 0 {
            return Ok(false);
        }
        let age = now_ms.saturating_sub(segment.retention_time()?);
        Ok(age > self.config.retention_ms)
    }

    /// Removes the files whose deletion was due by now.
    pub fn delete_due_files(&mut self, now_ms: i64) -> Result<(), Error> {
        let is_due = |due_ms: i64| due_ms <= now_ms;
        let due = self.pending_deletes.extract_if(.., |p| is_due(p.due_ms));
        let files: Vec<_> = due.flat_map(|pending| pending.files).collect();
        for file in files {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return self.io(Err(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
