//! Records in and out of batches.

use bytes::Bytes;

use super::{Error, Record};
use crate::record::{Batch, BatchBuilder, Batches, Compression};

/// The largest batch of the internal topic after decompression; far above what
/// any topic accepts.
const DECOMPRESSED_SIZE_MAX: usize = 256 * 1024 * 1024;

/// Makes one batch, to be placed by the log. Kafka never compresses them.
pub(in crate::txn) fn encode(records: &[Record], now_ms: i64) -> Result<Bytes, Error> {
    let mut builder = BatchBuilder::new(Compression::None);
    for record in records {
        let (key, value) = record.encode()?;
        if !builder.push(now_ms, Some(&key), value.as_deref(), &[]) {
            return Err(Error::BatchTooLarge);
        }
    }
    builder.build().map_err(|_| Error::BatchTooLarge)
}

/// Reads whole batches; records before `from` are left out. Gives the offset to
/// go on with, or `None` when there is nothing. A record that cannot be read is
/// reported and skipped, and so is a batch that is not what was written: neither
/// takes all other ids with it.
pub(in crate::txn) fn decode(batches: &Bytes, from: i64, records: &mut Vec<Record>) -> Option<i64> {
    let mut next = None;
    for batch in Batches::strict(batches.clone()) {
        let Ok(batch) = batch else { break };
        next = Some(batch.header().next_offset())
            .filter(|next| *next > from)
            .or(next);
        if batch.header().is_control() {
            continue;
        }
        let sound = records.len();
        if let Err(error) = decode_batch(&batch, from, records) {
            records.truncate(sound);
            let offset = batch.header().base_offset;
            tracing::error!(offset, %error, "a batch of the transaction topic is skipped");
        }
    }
    next
}

fn decode_batch(batch: &Batch, from: i64, records: &mut Vec<Record>) -> Result<(), Error> {
    batch.check_crc().map_err(|_| Error::DamagedBatch)?;
    let found = batch
        .records(DECOMPRESSED_SIZE_MAX)
        .map_err(|_| Error::DamagedBatch)?;
    for record in found {
        let record = record.map_err(|_| Error::DamagedBatch)?;
        let offset = record.offset;
        if offset < from {
            continue;
        }
        let key = record.key.as_deref().ok_or(Error::NoKey);
        match key.and_then(|key| Record::decode(key, record.value.as_deref())) {
            Ok(Some(record)) => records.push(record),
            Ok(None) => tracing::warn!(offset, "a record of an unknown kind is skipped"),
            Err(error) => tracing::error!(offset, %error, "an unreadable record is skipped"),
        }
    }
    Ok(())
}
