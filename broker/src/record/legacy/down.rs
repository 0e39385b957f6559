//! From batches of the log to a set that old consumers understand.

use bytes::Bytes;

use super::Format;
use super::wrapper::Wrapper;
use crate::record::{Batch, Batches, Compression, Error};

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
/// refused. What is stored in `format` or an older one goes as it is.
/// Decompression of a batch stops at `limit` bytes.
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
    if Format::of_magic(header.magic).is_some_and(|stored| stored <= format) {
        out.extend_from_slice(batch.bytes());
        return Ok(());
    }
    let mut wrapper = Wrapper::new(format, codec, header.timestamp_type());
    for record in batch.records(limit)? {
        let record = record?;
        // Without a wrapper each message stands for itself, and old
        // consumers rely on getting none that they did not ask for.
        if codec != Compression::None || record.offset >= first_offset {
            wrapper.push(&record, out)?;
        }
    }
    wrapper.finish(header.max_timestamp, out)
}
