//! Making the log durable, with or without the partition's lock held.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::dir::is_of_the_process;
use super::segment::{INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX};
use super::snapshots::sync_file;
use super::storage::{SegmentFile, Storage};
use super::{Error, Log};
use crate::model::Offset;

/// What must be synced so that everything before `up_to` is durable. Made
/// under the lock, run without it, completed under it again.
#[derive(Debug)]
pub struct FlushPlan {
    up_to: Offset,
    dir: PathBuf,
    storage: Arc<dyn Storage>,
    segments: Vec<PlannedSegment>,
    snapshots: Vec<PathBuf>,
    sync_dir: bool,
}

#[derive(Debug)]
struct PlannedSegment {
    base_offset: Offset,
    size: u64,
    file: Arc<dyn SegmentFile>,
    indexes: [PathBuf; 3],
}

impl FlushPlan {
    /// Syncs; give the result to `Log::complete_flush`.
    pub fn run(&self) -> io::Result<()> {
        for segment in &self.segments {
            segment.file.sync()?;
            for index in &segment.indexes {
                sync_file(index)?;
            }
        }
        for snapshot in &self.snapshots {
            sync_file(snapshot)?;
        }
        if self.sync_dir {
            self.storage.sync_dir(&self.dir)?;
        }
        Ok(())
    }
}

impl Log {
    /// Makes everything appended so far durable.
    pub fn flush(&mut self, now_ms: i64) -> Result<(), Error> {
        self.check_usable()?;
        match self.flush_plan()? {
            Some(plan) => {
                let result = plan.run();
                self.complete_flush(&plan, result, now_ms)
            }
            None => Ok(()),
        }
    }

    /// Says whether `flush.ms` has passed over unflushed records or a rolled
    /// segment waits to be made durable.
    #[must_use]
    pub fn needs_flush(&self, now_ms: i64) -> bool {
        if self.check_usable().is_err() {
            return false;
        }
        let rolled = self
            .segments
            .iter()
            .rev()
            .skip(1)
            .any(|(_, segment)| !segment.is_synced());
        let overdue = self.recovery_point < self.log_end_offset
            && now_ms.saturating_sub(self.last_flush_ms) >= self.config.flush_ms;
        rolled || overdue
    }

    /// The work of a flush, or `None` when all is durable.
    pub fn flush_plan(&self) -> Result<Option<FlushPlan>, Error> {
        let mut segments = Vec::new();
        for segment in self
            .segments
            .values()
            .filter(|segment| !segment.is_synced())
        {
            self.io(segment.write_pending())?;
            let slice = self.io(segment.slice(0, 0))?;
            segments.push(PlannedSegment {
                base_offset: segment.base_offset(),
                size: segment.size(),
                file: slice.file,
                indexes: [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX]
                    .map(|suffix| segment.path(suffix)),
            });
        }
        let snapshots = self.snapshots.unsynced().to_vec();
        if segments.is_empty() && snapshots.is_empty() && self.directory_synced {
            return Ok(None);
        }
        Ok(Some(FlushPlan {
            up_to: self.log_end_offset,
            dir: self.dir.clone(),
            storage: Arc::clone(&self.storage),
            segments,
            // A new snapshot's name must last as well.
            sync_dir: !self.directory_synced || !snapshots.is_empty(),
            snapshots,
        }))
    }

    /// Notes that a plan was run. After a failure the log takes no more
    /// appends: what the kernel dropped cannot be written again.
    pub fn complete_flush(
        &mut self,
        plan: &FlushPlan,
        result: io::Result<()>,
        now_ms: i64,
    ) -> Result<(), Error> {
        if let Err(error) = &result {
            if !is_of_the_process(error) {
                self.failed = true;
                if let Some(home) = &self.home {
                    home.fail(error);
                }
            }
            return self.io(result);
        }
        for planned in &plan.segments {
            if let Some(segment) = self.segments.get_mut(&planned.base_offset)
                && segment.size() == planned.size
            {
                segment.mark_synced();
            }
        }
        self.snapshots.mark_synced(plan.snapshots.len());
        // A segment that was rolled meanwhile has a name that is not synced.
        if plan.sync_dir && self.segments.len() <= plan.segments.len() {
            self.directory_synced = true;
        }
        let up_to = plan.up_to.min(self.log_end_offset);
        self.recovery_point = self.recovery_point.max(up_to);
        self.last_flush_ms = now_ms;
        Ok(())
    }

    pub(super) fn maybe_flush(&mut self, now_ms: i64) -> Result<(), Error> {
        if self.log_end_offset - self.recovery_point >= self.config.flush_messages {
            self.flush(now_ms)?;
        }
        Ok(())
    }
}
