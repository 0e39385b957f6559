//! A file of fixed-size entries. The first few are held in memory; beyond that
//! it is mapped for writing while it grows.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::MmapMut;

use super::super::dir::is_out_of_room;

/// Room is made in the file in steps of this size.
const PAGE: usize = 4096;
/// So many entries are held in memory before the file is mapped: thousands of
/// small partitions would need two maps each, and a page of memory for each map.
const HELD_MAX: usize = 64;

/// Entries of `N` bytes each.
///
/// **Invariant:** `entries * N` never exceeds the length of `map`.
/// **Invariant:** the map is touched only below `allocated`: a write into a
/// hole of a full disk would be a signal instead of an error.
#[derive(Debug)]
pub(super) struct EntryFile<const N: usize> {
    path: PathBuf,
    size_max: usize,
    entries: usize,
    allocated: usize,
    map: Option<MmapMut>,
    /// All entries, while they are few or the segment is read again; the file
    /// then lags behind until `write_held` or `trim`.
    held: Option<Vec<[u8; N]>>,
    /// The segment is read again: there is no bound on what is held.
    is_rebuilt: bool,
}

impl<const N: usize> EntryFile<N> {
    /// Takes over a closed index: as many entries as the file has room for.
    pub(super) fn open(path: PathBuf, size_max: usize) -> io::Result<Self> {
        let length = match std::fs::metadata(&path) {
            Ok(metadata) => usize::try_from(metadata.len()).unwrap_or(usize::MAX),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path,
            size_max,
            entries: length / N,
            allocated: 0,
            map: None,
            held: None,
            is_rebuilt: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn entries_max(&self) -> usize {
        self.size_max / N
    }

    /// Appends an entry. With too many to hold, the file is mapped and
    /// preallocated.
    pub(super) fn push(&mut self, entry: [u8; N]) -> io::Result<()> {
        if self.held.is_none() && self.map.is_none() && self.entries < HELD_MAX {
            self.held = Some(self.stored()?);
        }
        if let Some(held) = &mut self.held {
            if self.is_rebuilt || held.len() < HELD_MAX {
                held.push(entry);
                self.entries += 1;
                return Ok(());
            }
            self.write_held()?;
            self.held = None;
        }
        let at = self.entries * N;
        self.map_for_writing(at + N)?;
        if at + N > self.allocated {
            self.allocate(at, at + N)?;
        }
        let map = self.map_for_writing(at + N)?;
        let Some(slot) = map.get_mut(at..at + N) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        slot.copy_from_slice(&entry);
        self.entries += 1;
        Ok(())
    }

    /// Forgets every entry; those that are pushed now are collected in memory.
    pub(super) fn start_rebuild(&mut self) {
        self.map = None;
        self.entries = 0;
        self.held = Some(Vec::new());
        self.is_rebuilt = true;
    }

    /// Forgets all but the first `entries`.
    pub(super) fn keep(&mut self, entries: usize) {
        self.entries = self.entries.min(entries);
        if let Some(held) = &mut self.held {
            held.truncate(entries);
        }
    }

    /// The entries in the file, of which there are few.
    fn stored(&self) -> io::Result<Vec<[u8; N]>> {
        let mut entries = vec![[0; N]; self.entries];
        if self.entries > 0 {
            File::open(&self.path)?.read_exact_at(entries.as_flattened_mut(), 0)?;
        }
        Ok(entries)
    }

    /// Writes what is held where the file does not have it.
    pub(super) fn write_held(&self) -> io::Result<()> {
        let Some(held) = &self.held else {
            return Ok(());
        };
        let file = self.open_for_writing()?;
        let wanted = held.as_flattened();
        let mut found = vec![0; wanted.len()];
        let is_right = file.read_exact_at(&mut found, 0).is_ok() && found == wanted;
        if !is_right {
            file.write_all_at(wanted, 0)?;
        }
        match file.metadata()?.len() == wanted.len() as u64 {
            true => Ok(()),
            false => file.set_len(wanted.len() as u64),
        }
    }

    /// Preallocates the file, as Kafka leaves the active segment's.
    fn preallocate(&mut self) -> io::Result<()> {
        let file = self.open_for_writing()?;
        let kept = (self.entries * N) as u64;
        let wanted = (self.entries_max() * N) as u64;
        self.map = None;
        self.allocated = self.entries * N;
        // Whatever lies behind the entries goes, so that the rest is zeros.
        if file.metadata()?.len() > kept {
            file.set_len(kept)?;
        }
        file.set_len(wanted.max(kept))
    }

    /// Unmaps the file and cuts it to its entries. On a full disk those that are
    /// held stay in memory, until a flush finds room for them.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        self.map = None;
        self.is_rebuilt = false;
        match self.write_held() {
            Err(error) if is_out_of_room(&error) => return Ok(()),
            written => written?,
        }
        self.held = None;
        let file = self.open_for_writing()?;
        let length = (self.entries * N) as u64;
        match file.metadata()?.len() == length {
            true => Ok(()),
            false => file.set_len(length),
        }
    }

    /// Makes the entries durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        match File::open(&self.path) {
            Ok(file) => file.sync_data(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The last entry for which `is_before` holds, given that it holds for a
    /// prefix of the entries.
    pub(super) fn last_where(
        &self,
        is_before: impl Fn(&[u8; N]) -> bool,
    ) -> io::Result<Option<(usize, [u8; N])>> {
        if self.entries == 0 {
            return Ok(None);
        }
        if let Some(entries) = &self.held {
            let count = entries.partition_point(|entry| is_before(entry));
            return Ok(count.checked_sub(1).map(|slot| (slot, entries[slot])));
        }
        if let Some(map) = &self.map {
            let bytes = map.get(..self.entries * N).unwrap_or_default();
            let entries = bytes.as_chunks::<N>().0;
            let count = entries.partition_point(|entry| is_before(entry));
            return Ok(count.checked_sub(1).map(|slot| (slot, entries[slot])));
        }
        self.last_in_file(is_before)
    }

    /// The first entry that `is_before` does not hold for; as [`Self::last_where`].
    pub(super) fn first_beyond(
        &self,
        is_before: impl Fn(&[u8; N]) -> bool,
    ) -> io::Result<Option<[u8; N]>> {
        let next = self.last_where(is_before)?.map_or(0, |(slot, _)| slot + 1);
        if next >= self.entries {
            return Ok(None);
        }
        if let Some(entries) = &self.held {
            return Ok(entries.get(next).copied());
        }
        if let Some(map) = &self.map {
            let bytes = map.get(..self.entries * N).unwrap_or_default();
            return Ok(bytes.as_chunks::<N>().0.get(next).copied());
        }
        let mut entry = [0; N];
        let position = (next * N) as u64;
        match File::open(&self.path).and_then(|file| file.read_exact_at(&mut entry, position)) {
            Ok(()) => Ok(Some(entry)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one entry after the other: less than a map costs, and a map would
    /// have to take room on the disk for the holes of a file that a crash left.
    fn last_in_file(
        &self,
        is_before: impl Fn(&[u8; N]) -> bool,
    ) -> io::Result<Option<(usize, [u8; N])>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let (mut low, mut high) = (0, self.entries.min(length / N));
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let mut entry = [0; N];
            file.read_exact_at(&mut entry, (middle * N) as u64)?;
            match is_before(&entry) {
                true => {
                    found = Some((middle, entry));
                    low = middle + 1;
                }
                false => high = middle,
            }
        }
        Ok(found)
    }

    pub(super) fn last(&self) -> io::Result<Option<[u8; N]>> {
        Ok(self.last_where(|_| true)?.map(|(_, entry)| entry))
    }

    fn map_for_writing(&mut self, needed: usize) -> io::Result<&mut MmapMut> {
        let map = match self.map.take() {
            Some(map) if map.len() >= needed => map,
            _ => {
                self.preallocate()?;
                let file = self.open_for_writing()?;
                if file.metadata()?.len() == 0 {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                // SAFETY: the file belongs to this process (the log directory
                // is locked) and every cut of it drops the map first.
                unsafe { MmapMut::map_mut(&file)? }
            }
        };
        Ok(self.map.insert(map))
    }

    /// Writes zeros up to the end of the page that holds `end`, so that the
    /// disk has room for the entries to come.
    fn allocate(&mut self, from: usize, end: usize) -> io::Result<()> {
        const ZEROS: [u8; 2 * PAGE] = [0; 2 * PAGE];
        let end = end.next_multiple_of(PAGE).min(self.entries_max() * N);
        let zeros = ZEROS.get(..end.saturating_sub(from)).unwrap_or(&ZEROS);
        self.open_for_writing()?.write_all_at(zeros, from as u64)?;
        self.allocated = end;
        Ok(())
    }

    fn open_for_writing(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.path)
    }
}
