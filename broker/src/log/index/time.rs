//! Timestamp -> offset: 8 bytes timestamp, 4 bytes relative offset.

use std::io;
use std::path::PathBuf;

use super::file::EntryFile;
use crate::record::NO_TIMESTAMP;

const ENTRY_SIZE: usize = 12;

/// The largest timestamp so far and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct TimestampOffset {
    pub(in crate::log) timestamp: i64,
    pub(in crate::log) offset: i64,
}

#[derive(Debug)]
pub(in crate::log) struct TimeIndex {
    base_offset: i64,
    file: EntryFile<ENTRY_SIZE>,
    last: TimestampOffset,
}

impl TimeIndex {
    pub(in crate::log) fn open(
        path: PathBuf,
        base_offset: i64,
        size_max: usize,
    ) -> io::Result<Self> {
        let file = EntryFile::open(path, size_max)?;
        let mut index = Self {
            base_offset,
            file,
            last: none_since(base_offset),
        };
        index.reload_last()?;
        Ok(index)
    }

    pub(in crate::log) fn file(&self) -> &std::path::Path {
        self.file.path()
    }

    pub(in crate::log) fn set_path(&mut self, path: PathBuf) {
        self.file.set_path(path);
    }

    /// One slot stays free for the entry that a roll adds.
    pub(in crate::log) fn is_full(&self) -> bool {
        self.file.entries() + 1 >= self.file.entries_max()
    }

    /// The last entry, or no timestamp at the base offset.
    pub(in crate::log) fn last(&self) -> TimestampOffset {
        self.last
    }

    /// Adds an entry when its timestamp is a new maximum.
    pub(in crate::log) fn maybe_append(&mut self, entry: TimestampOffset) -> io::Result<()> {
        let Ok(relative) = u32::try_from(entry.offset - self.base_offset) else {
            return Ok(());
        };
        let is_new = entry.timestamp > self.last.timestamp
            && (self.file.entries() == 0 || entry.offset >= self.last.offset);
        if !is_new || self.file.entries() >= self.file.entries_max() {
            return Ok(());
        }
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&entry.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        self.file.push(bytes)?;
        self.last = entry;
        Ok(())
    }

    /// The last entry whose timestamp is less than `timestamp`: no record up
    /// to its offset can be the answer to a search for `timestamp`.
    pub(in crate::log) fn lookup_before(
        &self,
        timestamp: i64,
    ) -> io::Result<Option<TimestampOffset>> {
        let found = self
            .file
            .last_where(|entry| self.parse(entry).timestamp < timestamp)?;
        Ok(found.map(|(_, entry)| self.parse(&entry)))
    }

    /// Writes entries that are only in memory yet.
    pub(in crate::log) fn write_held(&self) -> io::Result<()> {
        self.file.write_held()
    }

    /// Bytes of the entries.
    pub(in crate::log) fn size(&self) -> usize {
        self.file.entries() * ENTRY_SIZE
    }

    /// Drops the entries at or beyond `offset`.
    pub(in crate::log) fn truncate_to(&mut self, offset: i64) -> io::Result<()> {
        let kept = self
            .file
            .last_where(|entry| self.parse(entry).offset < offset)?;
        self.file.keep(kept.map_or(0, |(slot, _)| slot + 1));
        self.reload_last()
    }

    /// Empties the index while its segment is read again; `trim` ends that.
    pub(in crate::log) fn start_rebuild(&mut self) {
        self.file.start_rebuild();
        self.last = none_since(self.base_offset);
    }

    pub(in crate::log) fn trim(&mut self) -> io::Result<()> {
        self.file.trim()
    }

    pub(in crate::log) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn reload_last(&mut self) -> io::Result<()> {
        let last = self.file.last()?;
        self.last = last.map_or_else(|| none_since(self.base_offset), |entry| self.parse(&entry));
        Ok(())
    }

    fn parse(&self, entry: &[u8; ENTRY_SIZE]) -> TimestampOffset {
        let [a, b, c, d, e, f, g, h, relative @ ..] = *entry;
        TimestampOffset {
            timestamp: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            offset: self.base_offset + i64::from(u32::from_be_bytes(relative)),
        }
    }
}

fn none_since(base_offset: i64) -> TimestampOffset {
    TimestampOffset {
        timestamp: NO_TIMESTAMP,
        offset: base_offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timestamp: i64, offset: i64) -> TimestampOffset {
        TimestampOffset { timestamp, offset }
    }

    #[test]
    fn golden_bytes_and_only_growing_timestamps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.timeindex");
        let mut index = TimeIndex::open(path.clone(), 10, 60).unwrap();
        index.maybe_append(at(0x0102, 12)).unwrap();
        index.maybe_append(at(0x0101, 13)).unwrap();
        index.maybe_append(at(0x0102, 14)).unwrap();
        index.maybe_append(at(0x0203, 15)).unwrap();
        index.trim().unwrap();
        let expected = [
            0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 5,
        ];
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        let mut index = TimeIndex::open(path, 10, 60).unwrap();
        assert_eq!(index.last(), at(0x0203, 15));
        assert_eq!(index.lookup_before(0x0102).unwrap(), None);
        assert_eq!(index.lookup_before(0x0203).unwrap(), Some(at(0x0102, 12)));
        index.truncate_to(15).unwrap();
        assert_eq!(index.last(), at(0x0102, 12));
    }

    #[test]
    fn one_slot_is_kept_for_the_roll() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = TimeIndex::open(dir.path().join("x"), 0, 24).unwrap();
        assert!(!index.is_full());
        index.maybe_append(at(5, 1)).unwrap();
        assert!(index.is_full());
        index.maybe_append(at(6, 2)).unwrap();
        assert_eq!(index.last(), at(6, 2));
    }
}
