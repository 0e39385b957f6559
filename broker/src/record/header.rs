//! The 61 bytes before a batch's records, and what stands for them in older
//! formats.

use super::compression::Compression;
use super::legacy::{Format, stored};
use super::{Error, MAGIC, NO_PRODUCER_ID, NO_SEQUENCE};

/// Size of the header of a batch of format 2.
pub const HEADER_SIZE: usize = 61;
/// Base offset and length: what `Header::length` does not count.
pub const LOG_OVERHEAD: usize = 12;
/// Bytes that show format and length of any message format.
pub(super) const PREFIX_SIZE: usize = 17;

const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// Who set the timestamps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// A decoded batch header.
///
/// **Invariant** (of `decode`): size, offsets and counts are in range, so
/// `last_offset` and `next_offset` cannot overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message format: 2, or an older one in files of old brokers.
    pub magic: i8,
    pub base_offset: i64,
    /// Bytes after the length field.
    pub length: i32,
    pub partition_leader_epoch: i32,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

impl Header {
    /// Decodes and checks the header at the front of `bytes`; the records and
    /// the CRC are not looked at.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (size, magic) = claimed_size(bytes)?;
        let header = match Format::of_magic(magic) {
            Some(format) => stored::header(bytes, format)?,
            None => Self::decode_batch(bytes, size)?,
        };
        if header.base_offset < 0 || header.base_offset > i64::MAX - (1 << 32) {
            return Err(Error::Malformed("the base offset is out of range"));
        }
        if header.last_offset_delta < 0 {
            return Err(Error::Malformed("the last offset delta is negative"));
        }
        if header.record_count < 0 {
            return Err(Error::Malformed("the record count is negative"));
        }
        Compression::from_id(header.compression_id())?;
        Ok(header)
    }

    fn decode_batch(bytes: &[u8], size: usize) -> Result<Self, Error> {
        let Some(bytes) = bytes.first_chunk::<HEADER_SIZE>() else {
            return Err(Error::Truncated {
                available: bytes.len(),
                needed: size,
            });
        };
        let mut fields = Fields(bytes);
        Ok(Self {
            magic: MAGIC,
            base_offset: i64::from_be_bytes(fields.take()),
            length: i32::from_be_bytes(fields.take()),
            partition_leader_epoch: i32::from_be_bytes(fields.take()),
            crc: {
                let [_magic] = fields.take();
                u32::from_be_bytes(fields.take())
            },
            attributes: i16::from_be_bytes(fields.take()),
            last_offset_delta: i32::from_be_bytes(fields.take()),
            base_timestamp: i64::from_be_bytes(fields.take()),
            max_timestamp: i64::from_be_bytes(fields.take()),
            producer_id: i64::from_be_bytes(fields.take()),
            producer_epoch: i16::from_be_bytes(fields.take()),
            base_sequence: i32::from_be_bytes(fields.take()),
            record_count: i32::from_be_bytes(fields.take()),
        })
    }

    /// The header of a batch of format 2 as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut out = Vec::with_capacity(HEADER_SIZE);
        out.extend_from_slice(&self.base_offset.to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
        out.extend_from_slice(&self.partition_leader_epoch.to_be_bytes());
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&self.crc.to_be_bytes());
        out.extend_from_slice(&self.attributes.to_be_bytes());
        out.extend_from_slice(&self.last_offset_delta.to_be_bytes());
        out.extend_from_slice(&self.base_timestamp.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp.to_be_bytes());
        out.extend_from_slice(&self.producer_id.to_be_bytes());
        out.extend_from_slice(&self.producer_epoch.to_be_bytes());
        out.extend_from_slice(&self.base_sequence.to_be_bytes());
        out.extend_from_slice(&self.record_count.to_be_bytes());
        out.try_into().expect("the fields add up to the header")
    }

    /// Size of the whole batch.
    #[must_use]
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.length).expect("decode refuses negative lengths")
    }

    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    #[must_use]
    pub fn compression(&self) -> Compression {
        Compression::from_id(self.compression_id()).expect("decode refuses unknown codecs")
    }

    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When tombstones and markers of a compacted log may go (KIP-534).
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    #[must_use]
    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence number of the last record; wraps to 0 after `i32::MAX`.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        increment_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// Marks the batch with the time of its append; the CRC must be renewed.
    pub(super) fn set_log_append_time(&mut self, now_ms: i64) {
        self.attributes |= LOG_APPEND_TIME;
        self.max_timestamp = now_ms;
    }

    /// Gives the times back to the records; the CRC must be renewed.
    pub(super) fn set_create_time(&mut self, max_timestamp: i64) {
        self.attributes &= !LOG_APPEND_TIME;
        self.max_timestamp = max_timestamp;
    }

    fn compression_id(&self) -> u8 {
        u8::try_from(self.attributes & COMPRESSION_MASK).expect("three bits")
    }
}

/// Kafka's sequence arithmetic: after `i32::MAX` comes 0.
pub(super) fn increment_sequence(sequence: i32, by: i32) -> i32 {
    match sequence.checked_add(by) {
        Some(sum) => sum,
        None => by - (i32::MAX - sequence) - 1,
    }
}

/// Attribute bits for a batch under construction.
pub(super) fn attributes(
    compression: Compression,
    timestamps: TimestampType,
    transactional: bool,
    control: bool,
) -> i16 {
    let mut bits = i16::from(compression.id());
    if timestamps == TimestampType::LogAppendTime {
        bits |= LOG_APPEND_TIME;
    }
    if transactional {
        bits |= TRANSACTIONAL;
    }
    if control {
        bits |= CONTROL;
    }
    bits
}

/// The attribute that says that the base timestamp is a delete horizon.
pub(super) fn delete_horizon_attribute(horizon_ms: Option<i64>) -> i16 {
    horizon_ms.map_or(0, |_| DELETE_HORIZON)
}

/// The checksum that a whole batch or older entry should have.
pub(super) fn expected_crc(header: &Header, bytes: &[u8]) -> u32 {
    match header.magic {
        MAGIC => computed_crc(bytes),
        _ => stored::computed_crc(bytes),
    }
}

/// CRC-32C of a batch, computed over everything from the attributes on.
pub(super) fn computed_crc(batch: &[u8]) -> u32 {
    common::checksum::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default())
}

/// Renews the CRC inside a whole batch.
pub(super) fn store_crc(batch: &mut [u8]) {
    let crc = computed_crc(batch);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
}

/// Writes attributes and maximum timestamp into a whole batch.
pub(super) fn store_times(batch: &mut [u8], header: &Header) {
    batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&header.attributes.to_be_bytes());
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8]
        .copy_from_slice(&header.max_timestamp.to_be_bytes());
}

/// Size and format that the bytes claim, after a check of both.
pub(super) fn claimed_size(bytes: &[u8]) -> Result<(usize, i8), Error> {
    let Some(prefix) = bytes.first_chunk::<PREFIX_SIZE>() else {
        return Err(Error::Truncated {
            available: bytes.len(),
            needed: PREFIX_SIZE,
        });
    };
    let [.., a, b, c, d, _, _, _, _, magic] = *prefix;
    let length = i32::from_be_bytes([a, b, c, d]);
    debug_assert_eq!(magic, prefix[MAGIC_AT]);
    let magic = magic.cast_signed();
    let size_min = match Format::of_magic(magic) {
        Some(format) => format.size_min(),
        None if magic == MAGIC => HEADER_SIZE,
        None => return Err(Error::UnsupportedMagic(magic)),
    };
    let size = usize::try_from(length).map_err(|_| Error::TooSmall(length))? + LOG_OVERHEAD;
    if size < size_min {
        return Err(Error::TooSmall(length));
    }
    Ok((size, magic))
}

/// Hands out the fields of a header in order.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk::<N>()
            .expect("the fields add up to the header");
        self.0 = rest;
        *field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(increment_sequence(0, 9), 9);
        assert_eq!(increment_sequence(i32::MAX, 1), 0);
        assert_eq!(increment_sequence(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn older_formats_are_told_apart_from_garbage() {
        for magic in [3, -1_i8] {
            let mut bytes = [0_u8; HEADER_SIZE];
            bytes[MAGIC_AT] = magic.cast_unsigned();
            assert_eq!(Header::decode(&bytes), Err(Error::UnsupportedMagic(magic)));
        }
        for magic in [0, 1] {
            let mut bytes = [0_u8; HEADER_SIZE];
            bytes[MAGIC_AT] = magic;
            assert_eq!(Header::decode(&bytes), Err(Error::TooSmall(0)));
        }
    }
}
