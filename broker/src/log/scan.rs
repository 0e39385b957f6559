//! Walks the batch headers of a segment file.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::storage::{SegmentFile, read_full};
use crate::model::Offset;
use crate::record::{Batch, Error, HEADER_SIZE, Header};

/// Read ahead at once: an index interval of small batches and a header.
const WINDOW: usize = 8 * 1024;

/// Yields header after header. A header that makes no sense ends the walk,
/// as the end of the file does; `damage` tells the two apart.
#[derive(Debug)]
pub(super) struct Scan {
    file: Arc<dyn SegmentFile>,
    position: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    damage: Option<Error>,
}

impl Scan {
    pub(super) fn new(file: Arc<dyn SegmentFile>, position: u64, end: u64) -> Self {
        Self {
            file,
            position,
            end,
            window: Vec::new(),
            window_at: position,
            damage: None,
        }
    }

    /// The same walk from where the last read began; what it read is kept.
    pub(super) fn restarted(self) -> Self {
        Self {
            position: self.window_at,
            damage: None,
            ..self
        }
    }

    /// The next batch's position and header.
    pub(super) fn next_header(&mut self) -> io::Result<Option<(u64, Header)>> {
        if self.position >= self.end || self.damage.is_some() {
            return Ok(None);
        }
        let remaining = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let bytes = self.bytes_at(self.position, HEADER_SIZE.min(remaining))?;
        let header = Header::decode(bytes).and_then(|header| {
            if header.size() > remaining {
                return Err(Error::Truncated {
                    available: remaining,
                    needed: header.size(),
                });
            }
            Ok(header)
        });
        match header {
            Ok(header) => {
                let position = self.position;
                self.position += header.size() as u64;
                Ok(Some((position, header)))
            }
            Err(damage) => {
                self.damage = Some(damage);
                Ok(None)
            }
        }
    }

    /// The next batch that ends at or behind `offset`.
    pub(super) fn find(&mut self, offset: Offset) -> io::Result<Option<(u64, Header)>> {
        while let Some((position, header)) = self.next_header()? {
            if header.last_offset() >= offset {
                return Ok(Some((position, header)));
            }
        }
        Ok(None)
    }

    /// The next batch whole, with its CRC checked.
    pub(super) fn next_batch(&mut self) -> io::Result<Option<(u64, Batch)>> {
        let Some((position, header)) = self.next_header()? else {
            return Ok(None);
        };
        // The size is bounded by what the file really holds.
        let bytes = match header.size() {
            size if size <= WINDOW => Bytes::copy_from_slice(self.bytes_at(position, size)?),
            size => {
                let mut bytes = vec![0; size];
                let filled = read_full(self.file.as_ref(), position, &mut bytes)?;
                bytes.truncate(filled);
                Bytes::from(bytes)
            }
        };
        let batch = Batch::stored(bytes).and_then(|batch| {
            batch.check_crc()?;
            Ok(batch)
        });
        match batch {
            Ok(batch) => Ok(Some((position, batch))),
            Err(damage) => {
                self.position = position;
                self.damage = Some(damage);
                Ok(None)
            }
        }
    }

    /// Where the walk stands: behind the last batch that it yielded.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What ended the walk before the end.
    pub(super) fn damage(&self) -> Option<&Error> {
        self.damage.as_ref()
    }

    fn bytes_at(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let offset = usize::try_from(position - self.window_at).unwrap_or(usize::MAX);
        let inside = offset
            .checked_add(length)
            .is_some_and(|end| end <= self.window.len());
        if !inside {
            let rest = usize::try_from(self.end - position).unwrap_or(usize::MAX);
            self.window.resize(WINDOW.min(rest).max(length), 0);
            let filled = read_full(self.file.as_ref(), position, &mut self.window)?;
            self.window.truncate(filled);
            self.window_at = position;
        }
        let start = usize::try_from(position - self.window_at).unwrap_or(0);
        let end = (start + length).min(self.window.len());
        Ok(&self.window[start..end])
    }
}
