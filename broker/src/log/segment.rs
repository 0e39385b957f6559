//! One segment: a file of batches with its indexes.
//!
//! **Invariant:** `size` counts whole, valid batches; bytes behind it (a
//! failed write) are overwritten by the next append and never served.
//! **Invariant:** only the active segment keeps its descriptor; a closed one
//! shares the descriptor of whoever reads it just now.

mod files;
mod rebuild;
mod times;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::config::LogConfig;
use super::index::{
    AbortedTransaction, OffsetIndex, OffsetPosition, TimeIndex, TimestampOffset, TransactionIndex,
};
use super::scan::Scan;
use super::storage::{FileSlice, SegmentFile, Storage};
use crate::model::Offset;
use crate::record::Header;
pub(super) use files::{
    ALL_SUFFIXES, CLEANED_TAIL, INDEX_SUFFIX, LOG_SUFFIX, OWN_SUFFIXES, SNAPSHOT_SUFFIX, SWAP_TAIL,
    TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_name,
};

#[derive(Debug)]
enum Descriptor {
    Active(Arc<dyn SegmentFile>),
    Closed(Weak<dyn SegmentFile>),
}

#[derive(Debug)]
pub(super) struct Segment {
    dir: PathBuf,
    storage: Arc<dyn Storage>,
    base_offset: Offset,
    /// What follows the usual names of the files: nothing, or one of the tails.
    tail: &'static str,
    size: u64,
    descriptor: Mutex<Descriptor>,
    offsets: OffsetIndex,
    times: TimeIndex,
    transactions: TransactionIndex,
    bytes_since_index: u64,
    /// The largest timestamp; unknown until somebody asks.
    max_timestamp: Mutex<Option<TimestampOffset>>,
    /// Maximum timestamp of the first batch, from which the roll is counted.
    first_timestamp: Mutex<Option<i64>>,
    created_ms: i64,
    synced: bool,
}

/// What an append adds to a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appended {
    pub(super) last_offset: Offset,
    pub(super) max_timestamp: TimestampOffset,
}

impl Segment {
    /// Creates an empty segment, replacing leftovers of the same name.
    pub(super) fn create(
        dir: &Path,
        storage: &Arc<dyn Storage>,
        base_offset: Offset,
        config: &LogConfig,
        now_ms: i64,
    ) -> io::Result<Self> {
        let mut segment = Self::open(dir, storage, base_offset, config, now_ms)?;
        let file = segment.file()?;
        segment.empty(&file)?;
        segment.offsets.trim()?;
        segment.times.trim()?;
        if config.preallocate {
            file.allocate(u64::try_from(config.segment_bytes).unwrap_or(0))?;
        }
        segment.activate()?;
        Ok(segment)
    }

    fn empty(&mut self, file: &Arc<dyn SegmentFile>) -> io::Result<()> {
        file.set_length(0)?;
        self.size = 0;
        self.synced = false;
        self.start_rebuild()
    }

    /// Opens a segment as it lies on the disk, as a closed one.
    pub(super) fn open(
        dir: &Path,
        storage: &Arc<dyn Storage>,
        base_offset: Offset,
        config: &LogConfig,
        now_ms: i64,
    ) -> io::Result<Self> {
        let mut segment = Self::open_with(dir, storage, base_offset, config, "")?;
        segment.created_ms = now_ms;
        Ok(segment)
    }

    fn open_with(
        dir: &Path,
        storage: &Arc<dyn Storage>,
        base_offset: Offset,
        config: &LogConfig,
        tail: &'static str,
    ) -> io::Result<Self> {
        let index_size = usize::try_from(config.segment_index_bytes).unwrap_or(0);
        let path = |suffix| dir.join(file_name(base_offset, suffix) + tail);
        let file = storage.create(&path(LOG_SUFFIX))?;
        Ok(Self {
            dir: dir.to_owned(),
            storage: Arc::clone(storage),
            base_offset,
            tail,
            size: file.length()?,
            descriptor: Mutex::new(Descriptor::Closed(Arc::downgrade(&file))),
            offsets: OffsetIndex::open(path(INDEX_SUFFIX), base_offset, index_size)?,
            times: TimeIndex::open(path(TIME_INDEX_SUFFIX), base_offset, index_size)?,
            transactions: TransactionIndex::new(path(TXN_INDEX_SUFFIX)),
            bytes_since_index: 0,
            max_timestamp: Mutex::new(None),
            first_timestamp: Mutex::new(None),
            created_ms: 0,
            synced: true,
        })
    }

    pub(super) fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn path(&self, suffix: &str) -> PathBuf {
        self.dir
            .join(file_name(self.base_offset, suffix) + self.tail)
    }

    /// Says whether the indexes by offset and time are there and that of
    /// aborted transactions can be right.
    pub(super) fn has_sane_indexes(&self) -> io::Result<bool> {
        Ok(self.offsets.file().exists()
            && self.times.file().exists()
            && self.transactions.is_sane(self.base_offset)?)
    }

    /// Sizes of the entries by offset and by time, in bytes.
    pub(super) fn index_sizes(&self) -> [usize; 2] {
        [self.offsets.size(), self.times.size()]
    }

    /// Makes this the segment that grows: keeps its descriptor. The indexes are
    /// preallocated and mapped with their first entry, which the segments of an
    /// idle partition never get.
    pub(super) fn activate(&mut self) -> io::Result<()> {
        let file = self.file()?;
        *self.descriptor.lock() = Descriptor::Active(file);
        Ok(())
    }

    /// Ends the segment's growth: writes the last time entry, trims the
    /// indexes and gives the descriptor back.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let largest = self.largest_timestamp()?;
        self.times.maybe_append(largest)?;
        self.offsets.trim()?;
        self.times.trim()?;
        let file = self.file()?;
        if file.length()? != self.size {
            file.set_length(self.size)?;
        }
        *self.descriptor.lock() = Descriptor::Closed(Arc::downgrade(&file));
        Ok(())
    }

    /// Says whether `bytes` more up to `last_offset` must go to a new segment.
    pub(super) fn should_roll(
        &self,
        config: &LogConfig,
        bytes: u64,
        last: Appended,
        now_ms: i64,
    ) -> io::Result<bool> {
        let size_max = u64::try_from(config.segment_bytes).unwrap_or(0);
        if self.size + bytes > size_max && self.size > 0 {
            return Ok(true);
        }
        if self.offsets.is_full()
            || self.times.is_full()
            || !self.offsets.can_hold(last.last_offset)
        {
            return Ok(true);
        }
        if self.size == 0 {
            return Ok(false);
        }
        let waited = match self.first_timestamp()? {
            first if first >= 0 => last.max_timestamp.timestamp - first,
            _ => now_ms - self.created_ms,
        };
        Ok(waited > config.segment_ms_max() - self.jitter_ms(config))
    }

    /// Spreads the rolls of many partitions without a source of randomness.
    fn jitter_ms(&self, config: &LogConfig) -> i64 {
        let limit = config.segment_jitter_ms.min(config.segment_ms_max());
        if limit <= 0 {
            return 0;
        }
        let name = self.path(LOG_SUFFIX);
        let hash = common::checksum::crc32c(name.as_os_str().as_encoded_bytes());
        i64::from(hash) % limit
    }

    /// Writes whole batches at the end and, every so often, index entries.
    pub(super) fn append(
        &mut self,
        parts: &[&[u8]],
        appended: Appended,
        index_interval: u64,
    ) -> io::Result<()> {
        let position = self.size;
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        // Asked before the write, since nothing may fail after it.
        self.largest_timestamp()?;
        let file = self.file()?;
        if let Err(error) = file.write_at(position, parts) {
            // Best effort: what stays behind `size` is overwritten anyway.
            let _ = file.set_length(position);
            return Err(error);
        }
        self.synced = false;
        self.size += bytes;
        if position == 0 {
            *self.first_timestamp.lock() = Some(appended.max_timestamp.timestamp);
        }
        let largest = self.note_timestamp(appended.max_timestamp)?;
        if self.bytes_since_index > index_interval {
            let entry = OffsetPosition {
                offset: appended.last_offset,
                position,
            };
            self.add_index_entries(entry, largest);
        }
        self.bytes_since_index += bytes;
        Ok(())
    }

    /// An index may have gaps, so a disk without room for an entry passes.
    fn add_index_entries(&mut self, entry: OffsetPosition, largest: TimestampOffset) {
        let indexed = self.offsets.append(entry);
        if let Err(error) = indexed.and_then(|()| self.times.maybe_append(largest)) {
            let path = self.path(INDEX_SUFFIX);
            tracing::warn!(path = %path.display(), %error, "index entry left out");
        }
        self.bytes_since_index = 0;
    }

    fn note_timestamp(&self, new: TimestampOffset) -> io::Result<TimestampOffset> {
        let known = self.largest_timestamp()?;
        if new.timestamp <= known.timestamp {
            return Ok(known);
        }
        *self.max_timestamp.lock() = Some(new);
        Ok(new)
    }

    /// The batch that contains `offset`, or the first one after it.
    pub(super) fn find(&self, offset: Offset) -> io::Result<Option<(u64, Header)>> {
        self.scan_near(offset)?.find(offset)
    }

    /// The same for readers, who must not be led past damage as if nothing
    /// had been there: that is an error of the kind `InvalidData`.
    pub(super) fn find_for_reader(&self, offset: Offset) -> io::Result<Option<(u64, Header)>> {
        let mut scan = self.scan_near(offset)?;
        let found = scan.find(offset)?;
        match scan.damage() {
            Some(damage) if found.is_none() => {
                Err(io::Error::new(io::ErrorKind::InvalidData, damage.clone()))
            }
            _ => Ok(found),
        }
    }

    /// Reads batch headers from at or before the batch with `offset`. An index
    /// entry counts only if a batch begins there that is not beyond the entry.
    fn scan_near(&self, offset: Offset) -> io::Result<Scan> {
        let Some(entry) = self.offsets.lookup(offset)? else {
            return self.scan(0);
        };
        if entry.position >= self.size {
            return self.scan(0);
        }
        let mut scan = self.scan(entry.position)?;
        let fits = scan.next_header()?.is_some_and(|(_, header)| {
            header.base_offset >= self.base_offset && header.base_offset <= entry.offset
        });
        match fits {
            true => Ok(scan.restarted()),
            false => self.scan(0),
        }
    }

    /// Reads batch headers from `position` to the end of the segment.
    pub(super) fn scan(&self, position: u64) -> io::Result<Scan> {
        Ok(Scan::new(self.file()?, position, self.size))
    }

    /// An offset behind everything that lies before `position`, as near as the
    /// index knows; `None` for the end of the segment.
    pub(super) fn offset_behind(&self, position: u64) -> io::Result<Option<Offset>> {
        self.offsets.upper_bound(position)
    }

    /// The first entry of the index behind `offset`.
    pub(super) fn index_entry_behind(&self, offset: Offset) -> io::Result<Option<OffsetPosition>> {
        self.offsets.first_behind(offset)
    }

    pub(super) fn slice(&self, position: u64, length: usize) -> io::Result<FileSlice> {
        Ok(FileSlice {
            file: self.file()?,
            position,
            length,
        })
    }

    /// First offset after the last batch.
    pub(super) fn next_offset(&self) -> io::Result<Offset> {
        let last = self.last_header()?;
        Ok(last.map_or(self.base_offset, |header| header.next_offset()))
    }

    /// The last batch's header, if there is a batch.
    pub(super) fn last_header(&self) -> io::Result<Option<Header>> {
        let mut scan = self.scan_near(Offset::MAX)?;
        let mut last = None;
        while let Some((_, header)) = scan.next_header()? {
            last = Some(header);
        }
        Ok(last)
    }

    /// Cuts the batches from the one with `offset` on; the segment becomes
    /// the active one.
    pub(super) fn truncate_to(&mut self, offset: Offset) -> io::Result<u64> {
        let cut_at = self
            .find(offset)?
            .map_or(self.size, |(position, _)| position);
        self.offsets.truncate_to(offset)?;
        self.times.truncate_to(offset)?;
        self.transactions.truncate_to(offset)?;
        let cut = self.size - cut_at;
        self.cut(cut_at)?;
        self.activate()?;
        Ok(cut)
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        let file = self.file()?;
        if file.length()? != size {
            file.set_length(size)?;
        }
        self.size = size;
        self.synced = false;
        self.bytes_since_index = 0;
        *self.first_timestamp.lock() = None;
        *self.max_timestamp.lock() = None;
        Ok(())
    }

    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    pub(super) fn mark_synced(&mut self) {
        self.synced = true;
    }

    /// Makes everything up to now durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file()?.sync()?;
        self.offsets.sync()?;
        self.times.sync()?;
        self.transactions.sync()
    }

    /// Enters an aborted transaction whose marker lies in this segment.
    pub(super) fn note_aborted(&self, aborted: AbortedTransaction) {
        self.transactions.append(aborted);
    }

    /// The transactions whose abort markers lie in this segment.
    pub(super) fn aborted_transactions(&self) -> io::Result<Vec<AbortedTransaction>> {
        self.transactions.entries()
    }

    /// Puts entries into the files that are only in memory yet.
    pub(super) fn write_pending(&self) -> io::Result<()> {
        self.offsets.write_held()?;
        self.times.write_held()?;
        self.transactions.write_pending()
    }

    fn file(&self) -> io::Result<Arc<dyn SegmentFile>> {
        let mut descriptor = self.descriptor.lock();
        match &*descriptor {
            Descriptor::Active(file) => return Ok(Arc::clone(file)),
            Descriptor::Closed(shared) => {
                if let Some(file) = shared.upgrade() {
                    return Ok(file);
                }
            }
        }
        let file = self.storage.open(&self.path(LOG_SUFFIX))?;
        *descriptor = Descriptor::Closed(Arc::downgrade(&file));
        Ok(file)
    }
}
