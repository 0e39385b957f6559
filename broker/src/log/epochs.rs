//! Which leader epoch wrote which offsets of a partition (KIP-101).
//!
//! An epoch that begins at the end of the log, where no record is yet, comes and
//! goes in memory: a broker that takes or gives up a thousand partitions waits
//! for no disk. The file catches up before the next record is appended, and a
//! start drops what begins at or after the end of the log, so that until then
//! neither an entry too much nor one too few can be told from the truth.
//!
//! **Invariant:** epochs and their start offsets both grow strictly.
//! **Invariant:** no record is appended while the file lags behind.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::{self, Error};
use super::storage::Storage;
use crate::model::{LeaderEpoch, Offset};

/// A leader epoch and the end of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

#[derive(Debug)]
pub(super) struct LeaderEpochs {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    starts: BTreeMap<LeaderEpoch, Offset>,
    /// The file lags behind what is known.
    unwritten: bool,
}

impl LeaderEpochs {
    /// Reads the checkpoint; a malformed one is an error that the caller
    /// answers by rebuilding from the log.
    pub(super) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, Error> {
        let entries = checkpoint::read_epochs(&path)?;
        let mut epochs = Self::empty(path, storage);
        for (epoch, start_offset) in entries {
            epochs.insert(epoch, start_offset);
        }
        epochs.unwritten = false;
        Ok(epochs)
    }

    pub(super) fn empty(path: PathBuf, storage: Arc<dyn Storage>) -> Self {
        Self {
            path,
            storage,
            starts: BTreeMap::new(),
            unwritten: false,
        }
    }

    pub(super) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Notes that `epoch` begins at `start_offset`; durable on return.
    pub(super) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> Result<(), Error> {
        self.insert(epoch, start_offset);
        self.write_if_changed()
    }

    pub(super) fn write_if_changed(&mut self) -> Result<(), Error> {
        match self.unwritten {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// As `assign`, but the file is written later: at the end of a scan, or
    /// before the epoch's first record.
    pub(super) fn insert(&mut self, epoch: LeaderEpoch, start_offset: Offset) {
        if epoch < 0 || start_offset < 0 {
            return;
        }
        if let Some((&latest, &latest_start)) = self.starts.last_key_value()
            && latest == epoch
            && latest_start <= start_offset
        {
            return;
        }
        self.starts
            .retain(|&other, &mut start| other < epoch && start < start_offset);
        self.starts.insert(epoch, start_offset);
        self.unwritten = true;
    }

    pub(super) fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last_key_value().map(|(&epoch, _)| epoch)
    }

    /// The epoch that `offset` was written in.
    pub(super) fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.starts
            .iter()
            .take_while(|&(_, &start)| start <= offset)
            .last()
            .map(|(&epoch, _)| epoch)
    }

    /// The largest epoch not beyond `requested` and where its records end.
    pub(super) fn end_offset_for(
        &self,
        requested: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<EpochEndOffset> {
        if requested < 0 {
            return None;
        }
        if self.latest() == Some(requested) {
            return Some(EpochEndOffset {
                epoch: requested,
                end_offset: log_end_offset,
            });
        }
        let after = (
            std::ops::Bound::Excluded(requested),
            std::ops::Bound::Unbounded,
        );
        let (_, &end_offset) = self.starts.range(after).next()?;
        let floor = self.starts.range(..=requested).next_back();
        Some(EpochEndOffset {
            epoch: floor.map_or(requested, |(&epoch, _)| epoch),
            end_offset,
        })
    }

    /// Drops the epochs that begin at or after the new end of the log; the file
    /// is written before the next record.
    pub(super) fn truncate_from_end(&mut self, end_offset: Offset) {
        let before = self.starts.len();
        self.starts.retain(|_, &mut start| start < end_offset);
        self.unwritten |= self.starts.len() != before;
    }

    /// Moves the start of the epoch at the new start of the log there.
    pub(super) fn truncate_from_start(&mut self, start_offset: Offset) -> Result<(), Error> {
        let Some(epoch) = self.epoch_for_offset(start_offset) else {
            return Ok(());
        };
        if self.starts.get(&epoch) == Some(&start_offset)
            && self.starts.first_key_value().map(|(&first, _)| first) == Some(epoch)
        {
            return Ok(());
        }
        self.starts.retain(|&other, _| other >= epoch);
        self.starts.insert(epoch, start_offset);
        // What the file says too much, the next start takes away again; and
        // retention must go on when the disk is full.
        match self.write() {
            Err(Error::Io { path, source }) if source.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(path = %path.display(), error = %source, "leader epochs wait to be written");
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn clear(&mut self) -> Result<(), Error> {
        if self.starts.is_empty() {
            return Ok(());
        }
        self.starts.clear();
        self.write()
    }

    pub(super) fn forget(&mut self) {
        self.starts.clear();
    }

    pub(super) fn write(&mut self) -> Result<(), Error> {
        self.unwritten = true;
        checkpoint::write_epochs(self.storage.as_ref(), &self.path, &self.starts)?;
        self.unwritten = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> (tempfile::TempDir, LeaderEpochs) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("leader-epoch-checkpoint");
        let mut epochs = LeaderEpochs::open(path, Arc::new(Disk)).unwrap();
        for &(epoch, start) in entries {
            epochs.assign(epoch, start).unwrap();
        }
        (dir, epochs)
    }

    fn list(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        epochs.starts.iter().map(|(&e, &o)| (e, o)).collect()
    }

    #[test]
    fn assigning_keeps_epochs_and_offsets_growing() {
        for (entries, expected) in [
            (&[(0, 0), (0, 5), (1, 10)][..], &[(0, 0), (1, 10)][..]),
            (&[(0, 0), (1, 10), (2, 10)], &[(0, 0), (2, 10)]),
            (&[(0, 0), (3, 10), (2, 20)], &[(0, 0), (2, 20)]),
            (&[(0, 5), (1, 3)], &[(1, 3)]),
            (&[(-1, 0), (2, 4)], &[(2, 4)]),
        ] {
            let (dir, epochs) = epochs(entries);
            assert_eq!(list(&epochs), expected);
            let path = dir.path().join("leader-epoch-checkpoint");
            let reopened = LeaderEpochs::open(path, Arc::new(Disk)).unwrap();
            assert_eq!(list(&reopened), expected);
        }
    }

    #[test]
    fn end_offsets_follow_kip_101() {
        let (_dir, epochs) = epochs(&[(2, 5), (4, 20), (7, 30)]);
        let end = |requested| {
            let found = epochs.end_offset_for(requested, 50);
            found.map(|found| (found.epoch, found.end_offset))
        };
        assert_eq!(end(-1), None);
        assert_eq!(end(1), Some((1, 5)));
        assert_eq!(end(2), Some((2, 20)));
        assert_eq!(end(3), Some((2, 20)));
        assert_eq!(end(4), Some((4, 30)));
        assert_eq!(end(7), Some((7, 50)));
        assert_eq!(end(8), None);
        assert_eq!(epochs.epoch_for_offset(4), None);
        assert_eq!(epochs.epoch_for_offset(20), Some(4));
        assert_eq!(epochs.epoch_for_offset(99), Some(7));
    }

    #[test]
    fn truncation_cuts_both_ends() {
        let (_dir, mut epochs) = epochs(&[(0, 0), (1, 10), (2, 20)]);
        epochs.truncate_from_end(20);
        assert_eq!(list(&epochs), [(0, 0), (1, 10)]);
        epochs.truncate_from_start(5).unwrap();
        assert_eq!(list(&epochs), [(0, 5), (1, 10)]);
        epochs.truncate_from_start(15).unwrap();
        assert_eq!(list(&epochs), [(1, 15)]);
    }

    #[test]
    fn what_no_record_has_is_written_with_the_next_record() {
        let reopened = |epochs: &LeaderEpochs| {
            let again = LeaderEpochs::open(epochs.path.clone(), Arc::new(Disk));
            list(&again.unwrap())
        };
        let (_dir, mut epochs) = epochs(&[(0, 0), (1, 10)]);
        epochs.truncate_from_end(10);
        assert_eq!(list(&epochs), [(0, 0)]);
        assert_eq!(reopened(&epochs), [(0, 0), (1, 10)]);
        // A leader of epoch 2 gives us records of epoch 0, which ours did not
        // have: the entry for 1 would be wrong from now on.
        epochs.assign(0, 10).unwrap();
        assert_eq!(reopened(&epochs), [(0, 0)]);

        epochs.insert(4, 20);
        assert_eq!(reopened(&epochs), [(0, 0)]);
        epochs.assign(4, 20).unwrap();
        assert_eq!(reopened(&epochs), [(0, 0), (4, 20)]);
        epochs.truncate_from_end(20);
        epochs.assign(-1, 20).unwrap();
        assert_eq!(reopened(&epochs), [(0, 0)]);
    }
}
