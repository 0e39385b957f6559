//! The producer snapshots in a partition's directory.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::producer_snapshot;
use super::producer_state::ProducerState;
use super::segment::{SNAPSHOT_SUFFIX, file_name};
use crate::model::Offset;

/// Which snapshots exist, and which were written but not synced.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    offsets: BTreeSet<Offset>,
    unsynced: Vec<PathBuf>,
}

impl Snapshots {
    pub(super) fn new(offsets: BTreeSet<Offset>) -> Self {
        Self {
            offsets,
            unsynced: Vec::new(),
        }
    }

    pub(super) fn latest(&self) -> Option<Offset> {
        self.offsets.last().copied()
    }

    pub(super) fn forget(&mut self, offset: Offset) {
        self.offsets.remove(&offset);
    }

    pub(super) fn unsynced(&self) -> &[PathBuf] {
        &self.unsynced
    }

    pub(super) fn mark_synced(&mut self, count: usize) {
        self.unsynced.drain(..count.min(self.unsynced.len()));
    }

    /// Writes a snapshot at the state's end, unless there is one as new. It is
    /// not synced: a torn one fails its checksum and the log is read instead.
    pub(super) fn take(&mut self, dir: &Path, state: &ProducerState) -> io::Result<()> {
        let offset = state.end_offset();
        if offset <= self.latest().unwrap_or(0) {
            return Ok(());
        }
        let path = dir.join(file_name(offset, SNAPSHOT_SUFFIX));
        if let Err(error) = std::fs::write(&path, producer_snapshot::encode(state)) {
            // Half a snapshot helps nobody; a start drops it in any case.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.offsets.insert(offset);
        self.unsynced.push(path);
        Ok(())
    }

    /// As `take`, but a disk without room only makes the next start slower.
    pub(super) fn take_if_room(&mut self, dir: &Path, state: &ProducerState) -> io::Result<()> {
        match self.take(dir, state) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(dir = %dir.display(), %error, "no producer snapshot");
                Ok(())
            }
            other => other,
        }
    }

    /// Deletes the snapshots that `is_wanted` does not name.
    pub(super) fn retain(
        &mut self,
        dir: &Path,
        is_wanted: impl Fn(Offset) -> bool,
    ) -> io::Result<()> {
        let unwanted: Vec<_> = self
            .offsets
            .iter()
            .copied()
            .filter(|o| !is_wanted(*o))
            .collect();
        for offset in unwanted {
            self.delete(dir, offset)?;
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, dir: &Path, offset: Offset) -> io::Result<()> {
        self.offsets.remove(&offset);
        match std::fs::remove_file(dir.join(file_name(offset, SNAPSHOT_SUFFIX))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The newest readable snapshot at or before `end`, restored.
    pub(super) fn restore_up_to(
        &self,
        dir: &Path,
        end: Offset,
        state: &mut ProducerState,
    ) -> io::Result<()> {
        for &offset in self.offsets.range(..=end).rev() {
            let path = dir.join(file_name(offset, SNAPSHOT_SUFFIX));
            if let Ok(entries) = producer_snapshot::decode(&std::fs::read(&path)?) {
                for (id, entry) in entries {
                    state.restore(id, entry);
                }
                state.set_end_offset(offset);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The newest readable snapshot, restored; unreadable ones are deleted.
    pub(super) fn restore_latest(
        &mut self,
        dir: &Path,
        state: &mut ProducerState,
    ) -> io::Result<Option<Offset>> {
        while let Some(offset) = self.latest() {
            let path = dir.join(file_name(offset, SNAPSHOT_SUFFIX));
            match producer_snapshot::decode(&std::fs::read(&path)?) {
                Ok(entries) => {
                    for (id, entry) in entries {
                        state.restore(id, entry);
                    }
                    state.set_end_offset(offset);
                    return Ok(Some(offset));
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "producer snapshot deleted");
                    self.delete(dir, offset)?;
                }
            }
        }
        Ok(None)
    }
}

/// Makes a file durable that may be gone by now.
pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    match std::fs::File::open(path) {
        Ok(file) => file.sync_data(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
