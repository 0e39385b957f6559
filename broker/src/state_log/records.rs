//! Records of an internal topic, in and out of batches.
//!
//! **Invariant:** bytes from the log never panic and never make the reader
//! allocate more than they brought.

use bytes::Bytes;

use super::fields;
use crate::record::{self, Batch, BatchBuilder, Batches, EndTxnMarker};

/// The largest batch of an internal topic after decompression; far above what
/// any topic accepts.
const DECOMPRESSED_SIZE_MAX: usize = 256 * 1024 * 1024;

/// Why records cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Fields(#[from] fields::Error),
    #[error("the record has no key")]
    NoKey,
    #[error("value version {0} is not known")]
    UnknownValueVersion(i16),
    #[error("the records are too large for one batch")]
    BatchTooLarge,
    #[error("the batch that holds the record is damaged")]
    DamagedBatch,
}

/// A record as it is written; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl KeyValue {
    /// Bytes of key and value.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// What the coordinator of an internal topic reads there.
pub trait StateRecord: Sized {
    /// Reads a key and a value, which a tombstone has not; `None` for a kind of
    /// record that this version of the format does not know.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, Error>;
}

/// Something of the log that changes a coordinator's state.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<R> {
    Record {
        offset: i64,
        record: R,
    },
    /// Counts once its producer's transaction is committed.
    Transactional {
        offset: i64,
        producer_id: i64,
        record: R,
    },
    /// Ends the producer's transaction.
    Marker {
        producer_id: i64,
        committed: bool,
    },
}

/// Makes one batch of keys and values, to be placed by the log.
pub fn encode(
    mut builder: BatchBuilder,
    now_ms: i64,
    records: &[KeyValue],
) -> Result<Bytes, Error> {
    for KeyValue { key, value } in records {
        if !builder.push(now_ms, Some(key), value.as_deref(), &[]) {
            return Err(Error::BatchTooLarge);
        }
    }
    builder.build().map_err(|_| Error::BatchTooLarge)
}

/// Reads whole batches; entries before `from` are left out. Gives the offset to
/// go on with, or `None` when there is nothing. A record that cannot be read is
/// reported and skipped, and so is a batch that is not what was written: neither
/// takes all others with it.
pub fn decode<R: StateRecord>(
    batches: &Bytes,
    from: i64,
    mut replay: impl FnMut(Entry<R>),
) -> Option<i64> {
    let mut next = None;
    for batch in Batches::strict(batches.clone()) {
        let Ok(batch) = batch else { break };
        next = Some(batch.header().next_offset())
            .filter(|next| *next > from)
            .or(next);
        // Half of a batch would be a state that never was.
        let mut entries = Vec::new();
        match decode_batch(&batch, from, &mut entries) {
            Ok(()) => entries.into_iter().for_each(&mut replay),
            Err(error) => {
                let offset = batch.header().base_offset;
                tracing::error!(offset, %error, "a batch of an internal topic is skipped");
            }
        }
    }
    next
}

fn decode_batch<R: StateRecord>(
    batch: &Batch,
    from: i64,
    entries: &mut Vec<Entry<R>>,
) -> Result<(), Error> {
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
            if let Some(marker) = marker {
                let committed = marker.commit;
                entries.push(Entry::Marker {
                    producer_id,
                    committed,
                });
            }
            continue;
        }
        match decode_record(&record) {
            Ok(Some(record)) if header.is_transactional() => entries.push(Entry::Transactional {
                offset,
                producer_id,
                record,
            }),
            Ok(Some(record)) => entries.push(Entry::Record { offset, record }),
            Ok(None) => tracing::warn!(offset, "a record of an unknown kind is skipped"),
            Err(error) => tracing::error!(offset, %error, "an unreadable record is skipped"),
        }
    }
    Ok(())
}

fn decode_record<R: StateRecord>(record: &record::Record) -> Result<Option<R>, Error> {
    let key = record.key.as_deref().ok_or(Error::NoKey)?;
    R::decode(key, record.value.as_deref())
}
