//! Writes records as messages, in a wrapper where there is a codec.

use super::message::Fields;
use super::{Format, lz4};
use crate::record::{Compression, Error, NO_TIMESTAMP, Record, TimestampType, compress};

/// Collects what becomes one wrapper; without a codec each record stands for
/// itself.
#[derive(Debug)]
pub(super) struct Wrapper {
    format: Format,
    codec: Compression,
    timestamp_type: TimestampType,
    inner: Vec<u8>,
    extent: Option<Extent>,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    first_offset: i64,
    last_offset: i64,
    latest: i64,
}

impl Wrapper {
    pub(super) fn new(format: Format, codec: Compression, timestamp_type: TimestampType) -> Self {
        Self {
            format,
            codec,
            timestamp_type,
            inner: Vec::new(),
            extent: None,
        }
    }

    /// Takes one record; without a codec it is in `out` at once.
    pub(super) fn push(&mut self, record: &Record, out: &mut Vec<u8>) -> Result<(), Error> {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let mut fields = Fields {
            format: self.format,
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: self.timestamp_type,
            compression: Compression::None,
        };
        if self.codec == Compression::None {
            return fields.write(out, key, value);
        }
        let extent = self.extent.get_or_insert(Extent {
            first_offset: record.offset,
            last_offset: record.offset,
            latest: NO_TIMESTAMP,
        });
        extent.last_offset = record.offset;
        extent.latest = extent.latest.max(record.timestamp);
        if self.format == Format::V1 {
            fields.offset = record.offset.wrapping_sub(extent.first_offset);
        }
        fields.write(&mut self.inner, key, value)
    }

    /// Writes the wrapper, if there is anything to wrap; `append_time` is its
    /// time if the broker set it.
    pub(super) fn finish(self, append_time: i64, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(extent) = self.extent else {
            return Ok(());
        };
        let mut packed = compress(self.codec, &self.inner)?;
        if (self.codec, self.format) == (Compression::Lz4, Format::V0) {
            packed = lz4::with_broken_checksum(packed)?;
        }
        let fields = Fields {
            format: self.format,
            offset: extent.last_offset,
            timestamp: match self.timestamp_type {
                TimestampType::CreateTime => extent.latest,
                TimestampType::LogAppendTime => append_time,
            },
            timestamp_type: self.timestamp_type,
            compression: self.codec,
        };
        fields.write(out, None, Some(&packed))
    }
}
