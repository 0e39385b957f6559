//! The aborted transactions of a segment: 34 bytes each, in the order of their
//! markers. Most segments have none, and then there is no file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use parking_lot::Mutex;

use crate::model::Offset;

const ENTRY_SIZE: usize = 34;
const VERSION: i16 = 0;

/// One aborted transaction as a reader of committed records must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: Offset,
    /// Offset of the marker that aborted it.
    pub last_offset: Offset,
    /// Where the log was stable once the marker was written.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        let fields = [
            self.producer_id,
            self.first_offset,
            self.last_offset,
            self.last_stable_offset,
        ];
        for (slot, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8; ENTRY_SIZE]) -> Option<Self> {
        let (version, fields) = bytes.split_first_chunk::<2>()?;
        let mut fields = fields.as_chunks::<8>().0.iter();
        let mut next = || fields.next().map(|field| i64::from_be_bytes(*field));
        let entry = Self {
            producer_id: next()?,
            first_offset: next()?,
            last_offset: next()?,
            last_stable_offset: next()?,
        };
        (i16::from_be_bytes(*version) == VERSION).then_some(entry)
    }
}

/// **Invariant:** the markers' offsets grow strictly from entry to entry.
#[derive(Debug)]
pub(in crate::log) struct TransactionIndex {
    path: PathBuf,
    /// Entries for which the disk had no room yet; every sync tries again.
    pending: Mutex<Vec<AbortedTransaction>>,
}

impl TransactionIndex {
    pub(in crate::log) fn new(path: PathBuf) -> Self {
        Self {
            path,
            pending: Mutex::default(),
        }
    }

    pub(in crate::log) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Adds an entry. A batch is in the log when this is called, so a full
    /// disk only delays the entry's way into the file.
    pub(in crate::log) fn append(&self, entry: AbortedTransaction) {
        self.pending.lock().push(entry);
        if let Err(error) = self.write_pending() {
            let path = self.path.display();
            tracing::warn!(%path, %error, "an aborted transaction waits to be written");
        }
    }

    /// All entries, in order. Bytes that are no entry end the list.
    pub(in crate::log) fn entries(&self) -> io::Result<Vec<AbortedTransaction>> {
        let mut entries = self.stored()?;
        entries.extend(self.pending.lock().iter());
        Ok(entries)
    }

    fn stored(&self) -> io::Result<Vec<AbortedTransaction>> {
        let bytes = self.bytes()?;
        let (entries, _) = bytes.as_chunks::<ENTRY_SIZE>();
        Ok(entries
            .iter()
            .map_while(AbortedTransaction::decode)
            .collect())
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        match std::fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    /// Says whether the file can be what was written for a segment that
    /// begins at `base_offset`.
    pub(in crate::log) fn is_sane(&self, base_offset: Offset) -> io::Result<bool> {
        let bytes = self.bytes()?;
        let entries = self.stored()?;
        let fits = |entry: &AbortedTransaction| {
            entry.last_offset >= base_offset && entry.first_offset <= entry.last_offset
        };
        Ok(entries.len() * ENTRY_SIZE == bytes.len()
            && entries.iter().all(fits)
            && entries.is_sorted_by(|a, b| a.last_offset < b.last_offset))
    }

    /// Drops the transactions whose marker lies at or beyond `offset`.
    pub(in crate::log) fn truncate_to(&self, offset: Offset) -> io::Result<()> {
        self.pending.lock().retain(|e| e.last_offset < offset);
        let stored = self.stored()?;
        let kept = stored.iter().take_while(|e| e.last_offset < offset).count();
        if kept == stored.len() {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len((kept * ENTRY_SIZE) as u64)
    }

    /// Empties the index before its segment is read again.
    pub(in crate::log) fn reset(&self) -> io::Result<()> {
        self.pending.lock().clear();
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Makes the entries durable.
    pub(in crate::log) fn sync(&self) -> io::Result<()> {
        self.write_pending()?;
        match File::open(&self.path) {
            Ok(file) => file.sync_data(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts the entries that had no room into the file.
    pub(in crate::log) fn write_pending(&self) -> io::Result<()> {
        let mut pending = self.pending.lock();
        if pending.is_empty() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let file = options.open(&self.path)?;
        let whole = file.metadata()?.len() / ENTRY_SIZE as u64;
        let bytes: Vec<u8> = pending
            .iter()
            .flat_map(AbortedTransaction::encode)
            .collect();
        file.write_all_at(&bytes, whole * ENTRY_SIZE as u64)?;
        pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id,
            first_offset,
            last_offset,
            last_stable_offset: last_offset + 1,
        }
    }

    #[test]
    fn golden_bytes_truncation_and_sanity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00000000000000000010.txnindex");
        let index = TransactionIndex::new(path.clone());
        assert_eq!(index.entries().unwrap(), []);
        assert!(!path.exists(), "there is no file without a transaction");
        let (first, second) = (aborted(5, 7, 12), aborted(6, 11, 0x0102));
        index.append(first);
        index.append(second);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 68);
        let field = |n: u8| [0, 0, 0, 0, 0, 0, 0, n];
        let expected = [&[0, 0][..], &field(5), &field(7), &field(12), &field(13)].concat();
        assert_eq!(bytes[..34], expected);
        let reopened = TransactionIndex::new(path.clone());
        assert_eq!(reopened.entries().unwrap(), [first, second]);
        assert!(reopened.is_sane(10).unwrap());
        assert!(!reopened.is_sane(13).unwrap());
        reopened.truncate_to(0x0102).unwrap();
        assert_eq!(reopened.entries().unwrap(), [first]);
        std::fs::write(&path, &bytes[..40]).unwrap();
        assert!(!reopened.is_sane(10).unwrap(), "a torn entry");
        assert_eq!(reopened.entries().unwrap(), [first]);
    }

    #[test]
    fn an_entry_without_room_is_served_and_written_later() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("gone");
        let index = TransactionIndex::new(missing.join("x.txnindex"));
        index.append(aborted(1, 2, 3));
        assert!(index.sync().is_err());
        assert_eq!(index.entries().unwrap(), [aborted(1, 2, 3)]);
        std::fs::create_dir(&missing).unwrap();
        index.sync().unwrap();
        let reopened = TransactionIndex::new(missing.join("x.txnindex"));
        assert_eq!(reopened.entries().unwrap(), [aborted(1, 2, 3)]);
    }
}
