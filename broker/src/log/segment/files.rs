//! The names of a segment's files, and their way from one name to the next.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::{Descriptor, Segment};
use crate::log::config::LogConfig;
use crate::log::storage::Storage;
use crate::model::Offset;
use crate::record::Header;

pub(in crate::log) const LOG_SUFFIX: &str = "log";
pub(in crate::log) const INDEX_SUFFIX: &str = "index";
pub(in crate::log) const TIME_INDEX_SUFFIX: &str = "timeindex";
pub(in crate::log) const TXN_INDEX_SUFFIX: &str = "txnindex";
pub(in crate::log) const SNAPSHOT_SUFFIX: &str = "snapshot";
pub(in crate::log) const DELETED_SUFFIX: &str = "deleted";
/// Ends the names of a segment that compaction is still writing.
pub(in crate::log) const CLEANED_TAIL: &str = ".cleaned";
/// Ends the names of a whole segment that is about to replace others.
pub(in crate::log) const SWAP_TAIL: &str = ".swap";

/// The files of a segment that hold or describe its batches.
pub(in crate::log) const OWN_SUFFIXES: [&str; 4] = [
    LOG_SUFFIX,
    INDEX_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
];
/// What goes with a segment: its own files and the snapshot at its start.
pub(in crate::log) const ALL_SUFFIXES: [&str; 5] = [
    LOG_SUFFIX,
    INDEX_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
    SNAPSHOT_SUFFIX,
];

/// The name of a file that belongs to the segment at `base_offset`.
pub(in crate::log) fn file_name(base_offset: Offset, suffix: &str) -> String {
    format!("{base_offset:020}.{suffix}")
}

impl Segment {
    /// Creates an empty segment for compaction to write; it keeps its
    /// descriptor until it is closed.
    pub(in crate::log) fn create_cleaned(
        dir: &Path,
        storage: &Arc<dyn Storage>,
        base_offset: Offset,
        config: &LogConfig,
    ) -> io::Result<Self> {
        let mut segment = Self::open_with(dir, storage, base_offset, config, CLEANED_TAIL)?;
        let file = segment.file()?;
        segment.empty(&file)?;
        *segment.descriptor.lock() = Descriptor::Active(file);
        Ok(segment)
    }

    /// Adds batches at the end of a segment that compaction writes; `headers`
    /// are theirs.
    pub(in crate::log) fn append_cleaned(
        &mut self,
        bytes: &[u8],
        headers: &[Header],
        index_interval: u64,
    ) -> io::Result<()> {
        let mut position = self.size;
        self.file()?.write_at(position, &[bytes])?;
        self.size += bytes.len() as u64;
        for header in headers {
            self.index_batch(position, header, index_interval)?;
            position += header.size() as u64;
        }
        Ok(())
    }

    /// When the file was last written to.
    pub(in crate::log) fn modified(&self) -> io::Result<SystemTime> {
        std::fs::metadata(self.path(LOG_SUFFIX))?.modified()
    }

    /// Gives the files another time of their last write.
    pub(in crate::log) fn set_modified(&self, at: SystemTime) -> io::Result<()> {
        for suffix in [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
            let file = std::fs::File::options()
                .write(true)
                .open(self.path(suffix))?;
            file.set_modified(at)?;
        }
        Ok(())
    }

    /// Moves the files from one tail to another. The caller syncs the directory.
    pub(in crate::log) fn rename_tail(&mut self, tail: &'static str) -> io::Result<()> {
        for suffix in OWN_SUFFIXES {
            let to = self.dir.join(file_name(self.base_offset, suffix) + tail);
            match common::fs::rename(&self.path(suffix), &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.tail = tail;
        self.set_index_paths();
        Ok(())
    }

    /// Removes the files of a segment that nobody was shown.
    pub(in crate::log) fn discard(&self) {
        for suffix in OWN_SUFFIXES {
            let path = self.path(suffix);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "an unused file stays");
                }
                _ => {}
            }
        }
    }

    /// Marks files for deletion by renaming them; returns the new names. The
    /// caller syncs the directory where the order matters.
    pub(in crate::log) fn rename_to_deleted(&self, suffixes: &[&str]) -> io::Result<Vec<PathBuf>> {
        let mut renamed = Vec::new();
        for suffix in suffixes {
            let from = self.path(suffix);
            let to = from.with_extension(format!("{suffix}.{DELETED_SUFFIX}"));
            match common::fs::rename(&from, &to) {
                Ok(()) => renamed.push(to),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(renamed)
    }

    /// Follows a rename of the partition's directory.
    pub(in crate::log) fn set_dir(&mut self, dir: &Path) {
        self.dir = dir.to_owned();
        self.set_index_paths();
    }

    fn set_index_paths(&mut self) {
        self.offsets.set_path(self.path(INDEX_SUFFIX));
        self.times.set_path(self.path(TIME_INDEX_SUFFIX));
        self.transactions.set_path(self.path(TXN_INDEX_SUFFIX));
    }
}
