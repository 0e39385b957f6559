//! How the log touches the disk: the seam behind which a simulation can lose
//! writes that were never synced.
//!
//! Only what durability depends on goes through here: segment files and the
//! replacement of small files. Indexes are mapped directly, since recovery
//! rebuilds them from the segments.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

/// Creates and opens the files of the log.
pub trait Storage: Debug + Send + Sync + 'static {
    /// Opens a segment's file, creating it when it is missing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;
    /// Opens an existing segment's file.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;
    /// Replaces a small file so that a crash leaves the old or the new one.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// One segment's file. Readers may hold it while the writer appends.
pub trait SegmentFile: Debug + Send + Sync + 'static {
    /// Writes all of `parts` one after the other from `position` on.
    fn write_at(&self, position: u64, parts: &[&[u8]]) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
    fn length(&self) -> io::Result<u64>;
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Takes room on the disk for a file of `length` bytes, which reads as
    /// zeros.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
    /// The descriptor for `sendfile`, where there is one.
    fn as_file(&self) -> Option<&File>;
}

/// Fills `buffer` from `position`; returns how much there was.
pub(super) fn read_full(
    file: &dyn SegmentFile,
    position: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(position + filled as u64, &mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Ok(Arc::new(DiskFile(options.open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        common::fs::replace_durably(path, content)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        common::fs::sync_dir(dir)
    }
}

#[derive(Debug)]
struct DiskFile(File);

impl SegmentFile for DiskFile {
    fn write_at(&self, mut position: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match rustix::io::pwritev(&self.0, rest, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    position += written as u64;
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buffer, position)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            // Not every file system can: a sparse file is what Kafka makes.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(length),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

/// A stretch of a segment that can be read without the partition's lock.
///
/// The bytes cannot change under a reader: segments only grow, and a
/// truncation makes the stretch shorter, which a read reports.
#[derive(Debug, Clone)]
pub struct FileSlice {
    pub file: Arc<dyn SegmentFile>,
    pub position: u64,
    pub length: usize,
}

impl FileSlice {
    /// Reads the whole stretch; fails when the log was truncated meanwhile.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut buffer = vec![0; self.length];
        let filled = read_full(self.file.as_ref(), self.position, &mut buffer)?;
        if filled < self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Bytes::from(buffer))
    }
}
