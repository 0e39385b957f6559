//! `cleaner-offset-checkpoint` of one log directory: up to where each of its
//! compacted logs was cleaned.
//!
//! **Invariant:** what the file says of a log never lies beyond an offset that
//! the log was cut at: the file is lowered before the log takes new records.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::CheckpointError;
use super::super::checkpoint::{self, CLEANER, Offsets};
use super::super::storage::Storage;
use crate::model::{Offset, TopicPartition};

#[derive(Debug)]
pub(in crate::log) struct CleanerCheckpoint {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    offsets: Mutex<Offsets>,
}

impl CleanerCheckpoint {
    /// Reads the file of `dir`. One that cannot be read costs another cleaning.
    pub(in crate::log) fn open(dir: &Path, storage: Arc<dyn Storage>) -> Self {
        let path = dir.join(CLEANER);
        let offsets = checkpoint::read_offsets(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, "checkpoint ignored");
            Offsets::new()
        });
        Self {
            path,
            storage,
            offsets: Mutex::new(offsets),
        }
    }

    pub(in crate::log) fn get(&self, partition: &TopicPartition) -> Option<Offset> {
        self.offsets.lock().get(partition).copied()
    }

    /// The log was cleaned up to `offset`.
    pub(in crate::log) fn set(
        &self,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<(), CheckpointError> {
        self.change(|offsets| offsets.insert(partition.clone(), offset) != Some(offset))
    }

    /// The log was cut at `offset`.
    pub(in crate::log) fn lower(
        &self,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<(), CheckpointError> {
        self.change(|offsets| match offsets.get_mut(partition) {
            Some(known) if *known > offset => {
                *known = offset;
                true
            }
            _ => false,
        })
    }

    /// The log is gone.
    pub(in crate::log) fn remove(&self, partition: &TopicPartition) -> Result<(), CheckpointError> {
        self.change(|offsets| offsets.remove(partition).is_some())
    }

    /// Forgets what belongs to none of the logs that the directory holds.
    pub(in crate::log) fn retain(&self, exists: impl Fn(&TopicPartition) -> bool) {
        self.offsets.lock().retain(|partition, _| exists(partition));
    }

    fn change(&self, change: impl FnOnce(&mut Offsets) -> bool) -> Result<(), CheckpointError> {
        let mut offsets = self.offsets.lock();
        match change(&mut offsets) {
            true => checkpoint::write_offsets(self.storage.as_ref(), &self.path, &offsets),
            false => Ok(()),
        }
    }
}
