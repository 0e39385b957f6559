//! Records in and out of batches.

use bytes::Bytes;

use super::{Error, Record};
use crate::group::Config;
use crate::group::api::Transaction;
use crate::record::{Batch, BatchBuilder, Batches, EndTxnMarker};

/// The largest batch of the internal topic after decompression; far above what
/// any topic accepts.
const DECOMPRESSED_SIZE_MAX: usize = 256 * 1024 * 1024;

/// The sequence of a coordinator's batches, which nobody checks.
const BASE_SEQUENCE: i32 = 0;

/// Something of the log that changes groups.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::group) enum Entry {
    Record {
        offset: i64,
        record: Record,
    },
    /// Counts once its producer's transaction is committed.
    Transactional {
        offset: i64,
        producer_id: i64,
        record: Record,
    },
    /// Ends the producer's transaction.
    Marker {
        producer_id: i64,
        committed: bool,
    },
}

/// Makes one batch, to be placed by the log: inside a producer's transaction, or
/// of no producer.
pub(in crate::group) fn encode(
    records: &[Record],
    transaction: Option<Transaction>,
    now_ms: i64,
    config: &Config,
) -> Result<Bytes, Error> {
    let mut builder = BatchBuilder::new(config.topic_compression);
    if let Some(transaction) = transaction {
        let (id, epoch) = (transaction.producer_id, transaction.producer_epoch);
        builder = builder.producer(id, epoch, BASE_SEQUENCE).transactional();
    }
    for record in records {
        let (key, value) = record.encode(config.version)?;
        if !builder.push(now_ms, Some(&key), value.as_deref(), &[]) {
            return Err(Error::BatchTooLarge);
        }
    }
    builder.build().map_err(|_| Error::BatchTooLarge)
}

/// Reads whole batches; entries before `from` are left out. Gives the offset to
/// go on with, or `None` when there is nothing. A record that cannot be read is
/// reported and skipped, and so is a batch that is not what was written: neither
/// takes all other groups with it.
pub(in crate::group) fn decode(
    batches: &Bytes,
    from: i64,
    entries: &mut Vec<Entry>,
) -> Option<i64> {
    let mut next = None;
    for batch in Batches::strict(batches.clone()) {
        let Ok(batch) = batch else { break };
        next = Some(batch.header().next_offset())
            .filter(|next| *next > from)
            .or(next);
        let sound = entries.len();
        if let Err(error) = decode_batch(&batch, from, entries) {
            // Half of a batch would be a state that never was.
            entries.truncate(sound);
            let offset = batch.header().base_offset;
            tracing::error!(offset, %error, "a batch of the group topic is skipped");
        }
    }
    next
}

fn decode_batch(batch: &Batch, from: i64, entries: &mut Vec<Entry>) -> Result<(), Error> {
    let header = batch.header();
    let producer_id = header.producer_id;
    batch.check_crc().map_err(|_| Error::DamagedBatch)?;
    let records = batch
        .records(DECOMPRESSED_SIZE_MAX)
        .map_err(|_| Error::DamagedBatch)?;
    for record in records {
        let record = record.map_err(|_| Error::DamagedBatch)?;
        let offset = record.offset;
        if offset < from {
            continue;
        }
        if header.is_control() {
            let marker = EndTxnMarker::from_record(&record).map_err(|_| Error::DamagedBatch)?;
            entries.extend(marker.map(|marker| Entry::Marker {
                producer_id,
                committed: marker.commit,
            }));
            continue;
        }
        match decode_record(&record) {
            Ok(Some(record)) if header.is_transactional() => {
                entries.push(Entry::Transactional {
                    offset,
                    producer_id,
                    record,
                });
            }
            Ok(Some(record)) => entries.push(Entry::Record { offset, record }),
            Ok(None) => tracing::warn!(offset, "a record of an unknown kind is skipped"),
            Err(error) => tracing::error!(offset, %error, "an unreadable record is skipped"),
        }
    }
    Ok(())
}

fn decode_record(record: &crate::record::Record) -> Result<Option<Record>, Error> {
    let key = record.key.as_deref().ok_or(Error::NoKey)?;
    Record::decode(key, record.value.as_deref())
}
