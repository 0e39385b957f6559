//! The transaction log.
//!
//! A file is a header and batches; each batch was written by one group commit
//! and synced before the next began. All numbers are big-endian.
//!
//! ```text
//! file    magic "ODRKTLOG" · version u32 · first zxid i64 · CRC-32C of these u32
//! batch   marker u32 · CRC-32C u32 · length u32 · first zxid i64 · entries u32 · payload
//! ```
//!
//! The CRC of a batch covers everything behind it; the payload is the entries in
//! the encoding of `common::persist`. Behind the last batch stands a mark, a batch
//! of no entries; it is written when the sync is done, and the next batch takes its
//! place. Behind it the file is zeros.
//!
//! **Invariant:** because each batch is synced before the next, only the last one
//! can be torn; a bad batch with a good one or a mark behind it is damage.
//! **Invariant:** a write that failed for want of space has done nothing and may be
//! tried again; after any other failure this file is not written any more.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use common::checksum::crc32c;
use common::fs::sync_dir;

use super::{Error, IoContext};
use crate::txn::Entry;

const MAGIC: &[u8; 8] = b"ODRKTLOG";
const VERSION: u32 = 1;
const FILE_HEADER_LEN: usize = 24;
const MARKER: u32 = 0xB0_7C_A5_ED;
const BATCH_HEADER_LEN: usize = 24;
/// Where the fields of a batch's header are.
const CRC_AT: usize = 4;
const CRC_COVERS_FROM: usize = 8;
const LENGTH_AT: usize = 8;
const FIRST_ZXID_AT: usize = 12;
/// The first step of growth; later ones double, up to the configured step. So a
/// small installation does not pay for 64 MiB at its first write.
const GROWTH_MIN: u64 = 64 << 10;

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) preallocate: u64,
    pub(super) sync: bool,
}

/// What a log is written to; a seam for tests and simulation.
pub(super) trait Medium: std::fmt::Debug + Send {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn grow(&mut self, from: u64, to: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// Drops what lies behind `len`.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Medium for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn grow(&mut self, from: u64, to: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&*self, FallocateFlags::empty(), from, to - from) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.set_len(to),
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// The end of a log that recovery read.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(super) path: PathBuf,
    pub(super) end: u64,
    pub(super) next_zxid: i64,
}

/// Appends to one log file.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    medium: Box<dyn Medium>,
    end: u64,
    allocated: u64,
    next_zxid: i64,
    settings: Settings,
    failed: bool,
}

impl Writer {
    /// Begins a log whose first transaction will be `first_zxid`.
    pub(super) fn create(dir: &Path, first_zxid: i64, settings: Settings) -> Result<Self, Error> {
        let path = file_path(dir, first_zxid);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&path).at(&path)?;
        file.write_all_at(&file_header(first_zxid), 0).at(&path)?;
        file.sync_all().at(&path)?;
        sync_dir(dir).at(dir)?;
        let end = FILE_HEADER_LEN as u64;
        Ok(Self::over(Box::new(file), path, end, first_zxid, settings))
    }

    /// As [`Writer::create`]; what it could not finish is removed.
    pub(super) fn create_or_nothing(
        dir: &Path,
        first_zxid: i64,
        settings: Settings,
    ) -> Result<Self, Error> {
        Self::create(dir, first_zxid, settings).inspect_err(|_| {
            let path = file_path(dir, first_zxid);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "nothing was begun");
            }
        })
    }

    /// Goes on behind the last good batch; what lies behind it is cut off.
    pub(super) fn resume(tail: &Tail, settings: Settings) -> Result<Self, Error> {
        let path = tail.path.clone();
        let file = OpenOptions::new().write(true).open(&path).at(&path)?;
        file.set_len(tail.end).at(&path)?;
        file.sync_all().at(&path)?;
        let medium = Box::new(file);
        Ok(Self::over(medium, path, tail.end, tail.next_zxid, settings))
    }

    pub(super) fn over(
        medium: Box<dyn Medium>,
        path: PathBuf,
        end: u64,
        next_zxid: i64,
        settings: Settings,
    ) -> Self {
        Self {
            path,
            medium,
            end,
            allocated: end,
            next_zxid,
            settings,
            failed: false,
        }
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    pub(super) fn len(&self) -> u64 {
        self.end
    }

    pub(super) fn next_zxid(&self) -> i64 {
        self.next_zxid
    }

    /// Says whether nothing was appended since the file began.
    pub(super) fn is_empty(&self) -> bool {
        self.end == FILE_HEADER_LEN as u64
    }

    /// Writes and syncs one batch.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        assert_eq!(first.zxid, self.next_zxid, "zxids have no gaps");
        if self.failed {
            return Err(Error::Failed);
        }
        let batch = encode_batch(self.next_zxid, entries)?;
        let end = self.end + batch.len() as u64;
        self.make_room(end + BATCH_HEADER_LEN as u64)?;
        self.write_at(&batch, self.end)?;
        self.sync()?;
        self.end = end;
        self.next_zxid += i64::try_from(entries.len()).unwrap_or(i64::MAX);
        match self.mark() {
            // The batch is there; its mark is only a help.
            Err(error) if error.is_disk_full() => Ok(()),
            marked => marked,
        }
    }

    /// Makes sure that also the mark is on the disk.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if self.failed {
            return Err(Error::Failed);
        }
        self.make_room(self.end + BATCH_HEADER_LEN as u64)?;
        self.mark()?;
        self.sync()
    }

    /// Says that the last batch is on the disk, so that from here on damage to it
    /// cannot be taken for a crash. The mark itself need not be there after one.
    fn mark(&mut self) -> Result<(), Error> {
        let mark = encode_batch(self.next_zxid, &[])?;
        self.write_at(&mark, self.end)
    }

    fn make_room(&mut self, end: u64) -> Result<(), Error> {
        if end <= self.allocated {
            return Ok(());
        }
        let step = self
            .allocated
            .clamp(GROWTH_MIN, self.settings.preallocate.max(GROWTH_MIN));
        let target = end.max(self.allocated + step);
        // When the disk is nearly full the step may not fit, but the batch may.
        let mut grown = self.medium.grow(self.allocated, target);
        let mut allocated = target;
        if grown.as_ref().is_err_and(is_full) {
            grown = self.medium.grow(self.allocated, end);
            allocated = end;
        }
        self.done(grown)?;
        self.allocated = allocated;
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let written = self.medium.write_at(bytes, offset);
        self.done(written)
    }

    fn sync(&mut self) -> Result<(), Error> {
        if !self.settings.sync {
            return Ok(());
        }
        let Err(error) = self.medium.sync() else {
            return Ok(());
        };
        self.failed = true;
        // The kernel may show a start what it never brought to the disk, so the
        // batch that nobody was told of goes away. If that fails too, the batch is
        // either there or not, as after a crash.
        if let Err(error) = self.medium.cut(self.end) {
            tracing::warn!(path = %self.path.display(), %error, "the failed batch stays");
        }
        Err(error).at(&self.path)
    }

    /// Nothing is known to have happened after a failure, but want of space is one
    /// that does no harm: the same place is written again.
    fn done(&mut self, outcome: io::Result<()>) -> Result<(), Error> {
        match outcome {
            Ok(()) => Ok(()),
            Err(source) if is_full(&source) => Err(Error::DiskFull {
                path: self.path.clone(),
                source,
            }),
            Err(source) => {
                self.failed = true;
                Err(source).at(&self.path)
            }
        }
    }
}

/// Says whether there was no room for what was to be written.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

fn file_path(dir: &Path, first_zxid: i64) -> PathBuf {
    dir.join(format!("log.{first_zxid:016x}"))
}

fn file_header(first_zxid: i64) -> [u8; FILE_HEADER_LEN] {
    let mut header = [0; FILE_HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_be_bytes());
    header[12..20].copy_from_slice(&first_zxid.to_be_bytes());
    let crc = crc32c(&header[..20]);
    header[20..].copy_from_slice(&crc.to_be_bytes());
    header
}

fn encode_batch(first_zxid: i64, entries: &[Entry]) -> Result<Vec<u8>, Error> {
    let payload = match entries {
        [] => Vec::new(),
        entries => common::persist::encode(&entries)?,
    };
    let length = u32::try_from(payload.len()).map_err(|_| Error::Failed)?;
    let count = u32::try_from(entries.len()).map_err(|_| Error::Failed)?;
    let mut batch = Vec::with_capacity(BATCH_HEADER_LEN + payload.len());
    batch.extend_from_slice(&MARKER.to_be_bytes());
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(&length.to_be_bytes());
    batch.extend_from_slice(&first_zxid.to_be_bytes());
    batch.extend_from_slice(&count.to_be_bytes());
    batch.extend_from_slice(&payload);
    let crc = crc32c(&batch[CRC_COVERS_FROM..]);
    batch[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
    Ok(batch)
}

/// Reads four bytes of a header; the caller knows that they are there.
fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_be_bytes(number)
}

fn i64_at(bytes: &[u8], offset: usize) -> i64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[offset..offset + 8]);
    i64::from_be_bytes(number)
}

/// How the reading of a file went on.
#[derive(Debug)]
pub(super) enum Next {
    Batch(Vec<Entry>),
    /// The file ends in order: zeros or nothing follow.
    End,
    /// What follows is no batch. Whether a crash explains it depends on what
    /// follows it and on whether this is the last file.
    Bad,
}

/// Reads one log file from its beginning.
#[derive(Debug)]
pub(super) struct LogReader {
    pub(super) path: PathBuf,
    source: BufReader<File>,
    /// Where the next batch begins.
    pub(super) offset: u64,
    file_len: u64,
    pub(super) next_zxid: i64,
}

impl LogReader {
    /// Opens a file; `None` if a crash left it before its header was finished.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let file = File::open(path).at(path)?;
        let file_len = file.metadata().at(path)?.len();
        let mut source = BufReader::new(file);
        let mut header = [0; FILE_HEADER_LEN];
        if file_len < FILE_HEADER_LEN as u64 {
            return Ok(None);
        }
        source.read_exact(&mut header).at(path)?;
        if &header[..8] != MAGIC || crc32c(&header[..20]) != u32_at(&header, 20) {
            // The header is synced before the first batch is written.
            if has_batch(path, 0, 0)? {
                return Err(header_damaged(path));
            }
            return Ok(None);
        }
        let version = u32_at(&header, 8);
        if version != VERSION {
            return Err(Error::Version {
                path: path.to_owned(),
                version,
                known: VERSION,
            });
        }
        Ok(Some(Self {
            path: path.to_owned(),
            source,
            offset: FILE_HEADER_LEN as u64,
            file_len,
            next_zxid: i64_at(&header, 12),
        }))
    }

    pub(super) fn next(&mut self) -> Result<Next, Error> {
        if self.file_len - self.offset < BATCH_HEADER_LEN as u64 {
            return self.end_or_bad(&[]);
        }
        let mut batch = vec![0; BATCH_HEADER_LEN];
        self.source.read_exact(&mut batch).at(&self.path)?;
        let length = u64::from(u32_at(&batch, LENGTH_AT));
        let left = self.file_len - self.offset - BATCH_HEADER_LEN as u64;
        if u32_at(&batch, 0) != MARKER || length > left {
            return self.end_or_bad(&batch);
        }
        let whole = BATCH_HEADER_LEN + usize::try_from(length).unwrap_or(usize::MAX);
        batch.resize(whole, 0);
        let payload = &mut batch[BATCH_HEADER_LEN..];
        self.source.read_exact(payload).at(&self.path)?;
        if !is_batch(&batch, self.next_zxid) || i64_at(&batch, FIRST_ZXID_AT) != self.next_zxid {
            return Ok(Next::Bad);
        }
        let entries = match &batch[BATCH_HEADER_LEN..] {
            [] => Vec::new(),
            payload => match common::persist::decode::<Vec<Entry>>(payload) {
                Ok(entries) => entries,
                Err(_) => return Ok(Next::Bad),
            },
        };
        self.offset += BATCH_HEADER_LEN as u64 + length;
        self.next_zxid += i64::try_from(entries.len()).unwrap_or(i64::MAX);
        Ok(Next::Batch(entries))
    }

    fn end_or_bad(&mut self, already_read: &[u8]) -> Result<Next, Error> {
        let mut rest = already_read.to_vec();
        self.source.read_to_end(&mut rest).at(&self.path)?;
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(Next::End);
        }
        Ok(Next::Bad)
    }

    /// After [`Next::Bad`]: says whether a good batch follows the bad one.
    pub(super) fn has_batch_behind(&self) -> Result<bool, Error> {
        has_batch(&self.path, self.offset + 1, self.next_zxid)
    }

    /// The error after [`Next::Bad`] where a crash does not explain it.
    pub(super) fn damaged(&self) -> Error {
        Error::LogDamaged {
            path: self.path.clone(),
            offset: self.offset,
            zxid: self.next_zxid - 1,
        }
    }

    pub(super) fn tail(&self) -> Tail {
        Tail {
            path: self.path.clone(),
            end: self.offset,
            next_zxid: self.next_zxid,
        }
    }
}

/// The error about a file of a log that has batches but no header.
pub(super) fn header_damaged(path: &Path) -> Error {
    let name = path.file_name().and_then(|name| name.to_str());
    let first = name
        .and_then(|name| name.strip_prefix("log."))
        .and_then(|hex| i64::from_str_radix(hex, 16).ok());
    Error::LogDamaged {
        path: path.to_owned(),
        offset: 0,
        zxid: first.map_or(0, |first| first.saturating_sub(1)),
    }
}

/// Says whether a good batch begins anywhere from `offset` on.
fn has_batch(path: &Path, offset: u64, zxid_min: i64) -> Result<bool, Error> {
    let file = File::open(path).at(path)?;
    let len = file.metadata().at(path)?.len();
    let rest_len = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut rest = vec![0; rest_len];
    file.read_exact_at(&mut rest, offset).at(path)?;
    let starts = 0..(rest.len() + 1).saturating_sub(BATCH_HEADER_LEN);
    Ok(starts
        .filter(|start| rest[*start] == MARKER.to_be_bytes()[0])
        .any(|start| is_batch(&rest[start..], zxid_min)))
}

/// Says whether `bytes`, at least a header long, begin with a good batch.
fn is_batch(bytes: &[u8], zxid_min: i64) -> bool {
    if u32_at(bytes, 0) != MARKER || i64_at(bytes, FIRST_ZXID_AT) < zxid_min {
        return false;
    }
    let length = usize::try_from(u32_at(bytes, LENGTH_AT)).unwrap_or(usize::MAX);
    let end = BATCH_HEADER_LEN.saturating_add(length);
    end <= bytes.len() && crc32c(&bytes[CRC_COVERS_FROM..end]) == u32_at(bytes, CRC_AT)
}
