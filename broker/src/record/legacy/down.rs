//! From batches of the log to a set that old consumers understand.

use bytes::Bytes;

use super::message::Fields;
use super::{Format, lz4};
use crate::record::{
    Batch, Batches, Compression, Error, NO_TIMESTAMP, Record, TimestampType, compress,
};

/// A converted run of batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownConverted {
    pub set: Vec<u8>,
    /// Bytes of what the first batch with records became.
    pub first_length: usize,
}

/// Converts the whole batches at the front of `batches` for a reader that
/// wants records from `first_offset` on. Control batches and headers are left
/// out; batches keep their codec, so zstd, which the formats do not know, is
/// refused. Decompression of a batch stops at `limit` bytes.
pub fn down_convert(
    batches: Bytes,
    format: Format,
    first_offset: i64,
    limit: usize,
) -> Result<DownConverted, Error> {
    let mut converted = DownConverted::default();
    for batch in Batches::tolerant(batches) {
        let batch = batch?;
        if batch.header().is_control() {
            continue;
        }
        match append(&batch, format, first_offset, limit, &mut converted.set) {
            // What comes before it is given; the reader then asks for it alone.
            Err(Error::NotInFormat { .. }) if converted.first_length > 0 => break,
            result => result?,
        }
        if converted.first_length == 0 {
            converted.first_length = converted.set.len();
        }
    }
    Ok(converted)
}

fn append(
    batch: &Batch,
    format: Format,
    first_offset: i64,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let header = batch.header();
    let codec = header.compression();
    if codec == Compression::Zstd {
        return Err(Error::NotInFormat { codec });
    }
    let fields = |record: &Record, offset| Fields {
        format,
        offset,
        timestamp: record.timestamp,
        timestamp_type: header.timestamp_type(),
        compression: Compression::None,
    };
    if codec == Compression::None {
        for record in batch.records(limit)? {
            let record = record?;
            // Without a wrapper each message stands for itself, and old
            // consumers rely on getting none that they did not ask for.
            if record.offset >= first_offset {
                let (key, value) = (record.key.as_deref(), record.value.as_deref());
                fields(&record, record.offset).write(out, key, value)?;
            }
        }
        return Ok(());
    }
    let mut inner = Vec::new();
    let mut wrapper = None;
    for record in batch.records(limit)? {
        let record = record?;
        let (first, _, latest) = wrapper.unwrap_or((record.offset, 0, NO_TIMESTAMP));
        let offset = match format {
            Format::V0 => record.offset,
            Format::V1 => record.offset - first,
        };
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        fields(&record, offset).write(&mut inner, key, value)?;
        wrapper = Some((first, record.offset, record.timestamp.max(latest)));
    }
    let Some((_, last_offset, latest)) = wrapper else {
        return Ok(());
    };
    let mut packed = compress(codec, &inner)?;
    if (codec, format) == (Compression::Lz4, Format::V0) {
        packed = lz4::with_broken_checksum(packed)?;
    }
    let wrapper = Fields {
        format,
        offset: last_offset,
        timestamp: match header.timestamp_type() {
            TimestampType::CreateTime => latest,
            TimestampType::LogAppendTime => header.max_timestamp,
        },
        timestamp_type: header.timestamp_type(),
        compression: codec,
    };
    wrapper.write(out, None, Some(&packed))
}
