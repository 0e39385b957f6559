//! Offset -> position in the segment: 4 bytes relative offset, 4 bytes position.

use std::io;
use std::path::PathBuf;

use super::file::EntryFile;

const ENTRY_SIZE: usize = 8;

/// An entry: the last offset of an append and where its first batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct OffsetPosition {
    pub(in crate::log) offset: i64,
    pub(in crate::log) position: u64,
}

#[derive(Debug)]
pub(in crate::log) struct OffsetIndex {
    base_offset: i64,
    file: EntryFile<ENTRY_SIZE>,
    last_offset: i64,
}

impl OffsetIndex {
    pub(in crate::log) fn open(
        path: PathBuf,
        base_offset: i64,
        size_max: usize,
    ) -> io::Result<Self> {
        let file = EntryFile::open(path, size_max)?;
        let mut index = Self {
            base_offset,
            file,
            last_offset: base_offset,
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

    pub(in crate::log) fn is_full(&self) -> bool {
        self.file.entries() >= self.file.entries_max()
    }

    /// Says whether `offset` fits the four bytes of an entry.
    pub(in crate::log) fn can_hold(&self, offset: i64) -> bool {
        i32::try_from(offset - self.base_offset).is_ok_and(|relative| relative >= 0)
    }

    /// Adds an entry; ignored when full or not beyond the last one.
    pub(in crate::log) fn append(&mut self, entry: OffsetPosition) -> io::Result<()> {
        let relative = u32::try_from(entry.offset - self.base_offset);
        let (Ok(relative), Ok(position)) = (relative, u32::try_from(entry.position)) else {
            return Ok(());
        };
        let is_next = self.file.entries() == 0 || entry.offset > self.last_offset;
        if self.is_full() || !is_next {
            return Ok(());
        }
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..4].copy_from_slice(&relative.to_be_bytes());
        bytes[4..].copy_from_slice(&position.to_be_bytes());
        self.file.push(bytes)?;
        self.last_offset = entry.offset;
        Ok(())
    }

    /// The last entry at or before `offset`.
    pub(in crate::log) fn lookup(&self, offset: i64) -> io::Result<Option<OffsetPosition>> {
        let found = self
            .file
            .last_where(|entry| self.parse(entry).offset <= offset)?;
        Ok(found.map(|(_, entry)| self.parse(&entry)))
    }

    /// The first entry behind `offset`.
    pub(in crate::log) fn first_behind(&self, offset: i64) -> io::Result<Option<OffsetPosition>> {
        let behind = self
            .file
            .first_beyond(|entry| self.parse(entry).offset <= offset)?;
        Ok(behind.map(|entry| self.parse(&entry)))
    }

    /// An offset behind everything that lies before `position`, as near as the
    /// index knows.
    pub(in crate::log) fn upper_bound(&self, position: u64) -> io::Result<Option<i64>> {
        let beyond = self
            .file
            .first_beyond(|entry| self.parse(entry).position < position)?;
        Ok(beyond.map(|entry| self.parse(&entry).offset))
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
        self.last_offset = self.base_offset;
    }

    pub(in crate::log) fn trim(&mut self) -> io::Result<()> {
        self.file.trim()
    }

    pub(in crate::log) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn reload_last(&mut self) -> io::Result<()> {
        let last = self.file.last()?;
        self.last_offset = last.map_or(self.base_offset, |entry| self.parse(&entry).offset);
        Ok(())
    }

    fn parse(&self, entry: &[u8; ENTRY_SIZE]) -> OffsetPosition {
        let [a, b, c, d, position @ ..] = *entry;
        OffsetPosition {
            offset: self.base_offset + i64::from(u32::from_be_bytes([a, b, c, d])),
            position: u64::from(u32::from_be_bytes(position)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(offset: i64, position: u64) -> OffsetPosition {
        OffsetPosition { offset, position }
    }

    #[test]
    fn what_lies_behind_a_position_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000000.index");
        let mut index = OffsetIndex::open(path.clone(), 0, 1024).unwrap();
        for (offset, position) in [(10, 0), (20, 100), (30, 250)] {
            index.append(at(offset, position)).unwrap();
        }
        let check = |index: &OffsetIndex| {
            let cases = [(0, 10), (1, 20), (100, 20), (101, 30), (250, 30)];
            for (position, bound) in cases {
                assert_eq!(index.upper_bound(position).unwrap(), Some(bound));
            }
            assert_eq!(index.upper_bound(251).unwrap(), None);
        };
        check(&index);
        // Also when it is read entry by entry.
        index.trim().unwrap();
        drop(index);
        check(&OffsetIndex::open(path, 0, 1024).unwrap());
    }

    #[test]
    fn golden_bytes_and_lengths() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000100.index");
        let mut index = OffsetIndex::open(path.clone(), 100, 50).unwrap();
        index.append(at(105, 4242)).unwrap();
        index.append(at(300, 9000)).unwrap();
        // The first entries are in memory only, and no file stays open for them.
        assert!(!path.exists());
        assert_eq!(index.lookup(299).unwrap(), Some(at(105, 4242)));
        index.write_held().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 16);
        index.trim().unwrap();
        let expected = [0, 0, 0, 5, 0, 0, 0x10, 0x92, 0, 0, 0, 200, 0, 0, 0x23, 0x28];
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        let reopened = OffsetIndex::open(path, 100, 50).unwrap();
        assert_eq!(reopened.lookup(299).unwrap(), Some(at(105, 4242)));
        assert_eq!(reopened.lookup(104).unwrap(), None);
    }

    #[test]
    fn with_many_entries_the_file_is_preallocated_and_what_was_held_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.index");
        let mut index = OffsetIndex::open(path.clone(), 0, 8 * 200).unwrap();
        for offset in 1..=40 {
            index.append(at(offset, 10)).unwrap();
        }
        index.truncate_to(31).unwrap();
        drop(index);
        // What was only held is gone, as after a crash.
        let mut index = OffsetIndex::open(path.clone(), 0, 8 * 200).unwrap();
        assert_eq!(index.size(), 0);
        for offset in 1..=100 {
            index.append(at(offset, 20)).unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1600);
        assert_eq!(index.lookup(64).unwrap(), Some(at(64, 20)));
        assert_eq!(index.lookup(65).unwrap(), Some(at(65, 20)));
        index.trim().unwrap();
        // A few at the end of many are not held: the file has the others.
        let mut index = OffsetIndex::open(path.clone(), 0, 8 * 200).unwrap();
        index.truncate_to(11).unwrap();
        index.append(at(50, 30)).unwrap();
        index.write_held().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 8 * 11);
        let reopened = OffsetIndex::open(path, 0, 8 * 200).unwrap();
        assert_eq!(reopened.lookup(60).unwrap(), Some(at(50, 30)));
        assert_eq!(reopened.lookup(49).unwrap(), Some(at(10, 20)));
    }

    #[test]
    fn a_full_index_takes_no_more_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = OffsetIndex::open(dir.path().join("x.index"), 0, 16).unwrap();
        for offset in 0..5 {
            index.append(at(offset, 0)).unwrap();
        }
        assert!(index.is_full());
        assert_eq!(index.lookup(9).unwrap(), Some(at(1, 0)));
        assert!(!index.can_hold(1 << 31));
        assert!(index.can_hold((1 << 31) - 1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn lookup_and_truncation_agree_with_a_list(
            steps in proptest::collection::vec((1_i64..20, 1_u64..5000), 0..150),
            probes in proptest::collection::vec(0_i64..1300, 1..20),
            cut in 0_i64..1300,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.index");
            let mut index = OffsetIndex::open(path.clone(), 7, 8 * 160).unwrap();
            let mut list = Vec::new();
            let (mut offset, mut position) = (7, 0);
            for (gap, bytes) in steps {
                offset += gap;
                position += bytes;
                index.append(at(offset, position)).unwrap();
                list.push(at(offset, position));
            }
            for round in 0..3 {
                match round {
                    1 => { index.truncate_to(cut).unwrap(); list.retain(|e| e.offset < cut); }
                    2 => { index.trim().unwrap(); index = OffsetIndex::open(path.clone(), 7, 8 * 160).unwrap(); }
                    _ => {}
                }
                for probe in &probes {
                    let expected = list.iter().rfind(|e| e.offset <= *probe).copied();
                    prop_assert_eq!(index.lookup(*probe).unwrap(), expected);
                }
            }
        }
    }
}
