//! One batch over `Bytes`, and runs of batches. Entries of formats 0 and 1,
//! which old brokers left in the log, are batches, too.

use bytes::Bytes;

use super::header::{self, HEADER_SIZE, Header};
use super::legacy::stored;
use super::records::Records;
use super::shallow::{self, Shallow, Window};
use super::{Compression, Error, MAGIC, compression};

/// A whole batch whose header was checked; the CRC only after `check_crc`.
#[derive(Debug, Clone)]
pub struct Batch {
    header: Header,
    bytes: Bytes,
}

impl Batch {
    /// Takes the first batch from the front of `bytes`.
    pub fn split_from(bytes: &mut Bytes) -> Result<Self, Error> {
        let (needed, _) = header::claimed_size(bytes)?;
        if bytes.len() < needed {
            return Err(Error::Truncated {
                available: bytes.len(),
                needed,
            });
        }
        let header = Header::decode(bytes)?;
        Ok(Self {
            header,
            bytes: bytes.split_to(needed),
        })
    }

    /// The one batch that `bytes` consist of, as `Produce` demands since
    /// message format 2.
    pub fn only(bytes: Bytes) -> Result<Self, Error> {
        match header::claimed_size(&bytes) {
            Ok((_, magic)) if magic != MAGIC => Err(Error::UnsupportedMagic(magic)),
            _ => Self::stored(bytes),
        }
    }

    /// The one batch of whatever format that `bytes` consist of.
    pub fn stored(mut bytes: Bytes) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::Malformed("there is no batch"));
        }
        let batch = Self::split_from(&mut bytes)?;
        if bytes.is_empty() {
            Ok(batch)
        } else {
            Err(Error::Malformed("there is more than one batch"))
        }
    }

    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What follows the header of a batch of format 2: the records,
    /// compressed or not.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_SIZE..)
    }

    pub fn check_crc(&self) -> Result<(), Error> {
        let computed = header::expected_crc(&self.header, &self.bytes);
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(Error::Crc {
                stored: self.header.crc,
                computed,
            })
        }
    }

    /// What Kafka demands of a batch from a client: as many records as
    /// offsets, and at least one.
    pub fn check_count(&self) -> Result<(), Error> {
        let header = &self.header;
        if header.record_count == 0 {
            return Err(Error::Malformed("the batch has no records"));
        }
        if i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1 {
            return Err(Error::Malformed("record count and offset range differ"));
        }
        Ok(())
    }

    /// The header with the place that the leader gave the batch. Both fields
    /// lie outside the CRC, so the body can stay where it is.
    #[must_use]
    pub fn header_at(&self, base_offset: i64, leader_epoch: i32) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes.copy_from_slice(&self.bytes[..HEADER_SIZE]);
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
        bytes
    }

    /// The batch as a topic with `message.timestamp.type=LogAppendTime` keeps
    /// it: attributes, maximum timestamp and CRC change. Copies.
    #[must_use]
    pub fn with_log_append_time(&self, now_ms: i64) -> Self {
        let mut header = self.header;
        header.set_log_append_time(now_ms);
        self.with_header(header)
    }

    /// The batch with its records' own times, the latest of which is
    /// `max_timestamp`; copies only where that was not so.
    #[must_use]
    pub fn with_create_time(self, max_timestamp: i64) -> Self {
        let mut header = self.header;
        header.set_create_time(max_timestamp);
        match header == self.header {
            true => self,
            false => self.with_header(header),
        }
    }

    fn with_header(&self, mut header: Header) -> Self {
        let mut bytes = self.bytes.to_vec();
        header::store_times(&mut bytes, &header);
        header::store_crc(&mut bytes);
        header.crc = header::computed_crc(&bytes);
        Self {
            header,
            bytes: Bytes::from(bytes),
        }
    }

    /// Shows every record without keeping it; decompression stops at `limit`
    /// bytes. An error says that the records are not what the header claims.
    /// Only for format 2, which is all that is appended.
    pub fn walk(&self, limit: usize, seen: impl FnMut(Shallow)) -> Result<(), Error> {
        if self.header.magic != MAGIC {
            return Err(Error::UnsupportedMagic(self.header.magic));
        }
        let (count, body) = (self.header.record_count, &self.bytes[HEADER_SIZE..]);
        match self.header.compression() {
            Compression::None => shallow::walk(body, count, seen),
            codec => {
                let reader = compression::reader(codec, body, limit)?;
                shallow::walk_window(Window::new(reader, codec, limit), count, seen)
            }
        }
    }

    /// Decodes the records; decompression stops at `limit` bytes.
    pub fn records(&self, limit: usize) -> Result<Records, Error> {
        if self.header.magic != MAGIC {
            return Ok(Records::of_old_format(stored::records(&self.bytes, limit)?));
        }
        let body = match self.header.compression() {
            Compression::None => self.body(),
            codec => Bytes::from(super::decompress(codec, &self.bytes[HEADER_SIZE..], limit)?),
        };
        Ok(Records::new(&self.header, body))
    }
}

/// The batches of a run of bytes, in order.
///
/// The strict form ends with an error at garbage or a cut-off batch; the
/// tolerant form treats a cut-off last batch as the end, as in fetched data.
#[derive(Debug)]
pub struct Batches {
    rest: Bytes,
    tolerant: bool,
}

impl Batches {
    #[must_use]
    pub fn strict(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            tolerant: false,
        }
    }

    #[must_use]
    pub fn tolerant(bytes: Bytes) -> Self {
        Self {
            rest: bytes,
            tolerant: true,
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let next = Batch::split_from(&mut self.rest);
        if next.is_err() {
            self.rest.clear();
        }
        match next {
            Err(Error::Truncated { .. }) if self.tolerant => None,
            next => Some(next),
        }
    }
}

/// Length of the whole batches at the front of `bytes`.
#[must_use]
pub fn whole_batches_length(bytes: &Bytes) -> usize {
    Batches::tolerant(bytes.clone())
        .map_while(Result::ok)
        .map(|batch| batch.bytes.len())
        .sum()
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
