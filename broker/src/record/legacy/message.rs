//! One message: offset, size, CRC-32, magic, attributes, timestamp, key, value.

use bytes::{Buf, Bytes};

use super::Format;
use crate::record::{Compression, Error, NO_TIMESTAMP, TimestampType};

/// Offset and size, which the size does not count.
pub(super) const LOG_OVERHEAD: usize = 12;
/// CRC, magic, attributes, and the lengths of key and value.
pub(super) const SIZE_MIN: usize = 14;
pub(super) const TIMESTAMP_SIZE: usize = 8;

const COMPRESSION_MASK: u8 = 0x07;
const LOG_APPEND_TIME: u8 = 0x08;

const CUT: Error = Error::Malformed("a message is shorter than its fields");

/// A message, or the wrapper around compressed ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) offset: i64,
    pub(super) crc: u32,
    pub(super) format: Format,
    pub(super) attributes: u8,
    /// -1 in format 0.
    pub(super) timestamp: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
}

impl Message {
    /// Takes the first message from the front of `bytes`, its CRC checked;
    /// `None` when it is cut off, as the last one of a set may be.
    pub(super) fn split_from(bytes: &mut Bytes) -> Result<Option<Self>, Error> {
        let Some(head) = bytes.first_chunk::<LOG_OVERHEAD>() else {
            return Ok(None);
        };
        let [o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3] = *head;
        let offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
        let claimed = i32::from_be_bytes([s0, s1, s2, s3]);
        let size = usize::try_from(claimed).map_err(|_| Error::TooSmall(claimed))?;
        if size < SIZE_MIN {
            return Err(Error::TooSmall(claimed));
        }
        if bytes.len() < LOG_OVERHEAD + size {
            return Ok(None);
        }
        let message = bytes.split_to(LOG_OVERHEAD + size).slice(LOG_OVERHEAD..);
        Self::decode(offset, message).map(Some)
    }

    fn decode(offset: i64, mut bytes: Bytes) -> Result<Self, Error> {
        let stored = bytes.get_u32();
        let computed = common::checksum::crc32(&bytes);
        let magic = bytes.get_i8();
        let format = Format::of_magic(magic).ok_or(Error::UnsupportedMagic(magic))?;
        if stored != computed {
            return Err(Error::Crc { stored, computed });
        }
        let attributes = bytes.get_u8();
        let timestamp = match format {
            Format::V0 => NO_TIMESTAMP,
            Format::V1 => bytes.try_get_i64().map_err(|_| CUT)?,
        };
        let key = nullable_bytes(&mut bytes)?;
        let value = nullable_bytes(&mut bytes)?;
        if !bytes.is_empty() {
            return Err(Error::Malformed("a message is longer than its fields"));
        }
        Ok(Self {
            offset,
            crc: stored,
            format,
            attributes,
            timestamp,
            key,
            value,
        })
    }

    pub(super) fn compression(&self) -> Result<Compression, Error> {
        Compression::from_id(self.attributes & COMPRESSION_MASK)
    }

    pub(super) fn timestamp_type(&self) -> TimestampType {
        match self.attributes & LOG_APPEND_TIME {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }
}

fn nullable_bytes(bytes: &mut Bytes) -> Result<Option<Bytes>, Error> {
    let length = bytes.try_get_i32().map_err(|_| CUT)?;
    if length < 0 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| CUT)?;
    if bytes.len() < length {
        return Err(CUT);
    }
    Ok(Some(bytes.split_to(length)))
}

/// What a written message says besides key and value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) format: Format,
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) timestamp_type: TimestampType,
    pub(super) compression: Compression,
}

impl Fields {
    fn attributes(&self) -> u8 {
        let mut attributes = self.compression.id();
        if self.format == Format::V1 && self.timestamp_type == TimestampType::LogAppendTime {
            attributes |= LOG_APPEND_TIME;
        }
        attributes
    }

    /// Appends the message to `out`.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let with_time = match self.format {
            Format::V0 => 0,
            Format::V1 => TIMESTAMP_SIZE,
        };
        let payload = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        let size = length_field(SIZE_MIN + with_time + payload)?;
        out.reserve(LOG_OVERHEAD + SIZE_MIN + with_time + payload);
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&size);
        let crc_at = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(self.format as u8);
        out.push(self.attributes());
        if self.format == Format::V1 {
            out.extend_from_slice(&self.timestamp.to_be_bytes());
        }
        write_bytes(out, key)?;
        write_bytes(out, value)?;
        let crc = common::checksum::crc32(&out[crc_at + 4..]);
        out[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
        Ok(())
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), Error> {
    match bytes {
        None => out.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(bytes) => {
            out.extend_from_slice(&length_field(bytes.len())?);
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}

fn length_field(length: usize) -> Result<[u8; 4], Error> {
    let length = i32::try_from(length);
    let length = length.map_err(|_| Error::Malformed("a message is too large"))?;
    Ok(length.to_be_bytes())
}
