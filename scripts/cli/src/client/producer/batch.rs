//! One batch on its way: records gathered, then sealed into Kafka's format.

use std::time::Duration;

use broker::record::{BatchBuilder, Compression};
use bytes::Bytes;

use super::{Error, Failed, NO_OFFSET, NewRecord, Stored, failed};

/// Bytes of a batch besides its records.
const BATCH_OVERHEAD: usize = 61;
/// The most that a record needs besides what it holds.
const RECORD_OVERHEAD_MAX: usize = 21;
/// The most that the length of a header's part needs.
const LENGTH_MAX: usize = 5;

/// Who sends; makes repeated batches recognizable (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

/// The records of one partition that travel together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) partition: i32,
    pub(super) opened_at: Duration,
    /// At most this many bytes when sealed without compression.
    pub(super) size: usize,
    records: Vec<(NewRecord, i64)>,
    sealed: Bytes,
}

impl Batch {
    pub(super) fn new(partition: i32, now: Duration) -> Self {
        Self {
            partition,
            opened_at: now,
            size: BATCH_OVERHEAD,
            records: Vec::new(),
            sealed: Bytes::new(),
        }
    }

    pub(super) fn push(&mut self, record: NewRecord, size: usize, wall_ms: i64) {
        self.size += size - BATCH_OVERHEAD;
        self.records.push((record, wall_ms));
    }

    pub(super) fn count(&self) -> usize {
        self.records.len()
    }

    /// Fixes the bytes that are sent, however often; an error, and nothing to
    /// send, when the records cannot be compressed.
    pub(super) fn seal(
        &mut self,
        compression: Compression,
        identity: Option<Identity>,
        first_sequence: i32,
    ) -> Result<(), Error> {
        let mut builder = BatchBuilder::new(compression).size_max(usize::MAX);
        if let Some(identity) = identity {
            builder = builder.producer(identity.id, identity.epoch, first_sequence);
        }
        let mut fits = true;
        for (record, wall_ms) in &self.records {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let timestamp = record.timestamp_ms.unwrap_or(*wall_ms);
            fits &= builder.push(timestamp, key, value, &record.headers);
        }
        assert!(fits, "an unbounded batch takes every record");
        let built = builder.build();
        self.sealed = built.map_err(|error| Error::Unwritable(error.to_string()))?;
        Ok(())
    }

    pub(super) fn bytes(&self) -> Bytes {
        self.sealed.clone()
    }

    /// Each record, stored from `base_offset` on.
    pub(super) fn stored(&self, base_offset: i64, stored_ms: i64) -> impl Iterator<Item = Stored> {
        self.records
            .iter()
            .zip(0..)
            .map(move |((record, sent_ms), index)| Stored {
                sent_ms: *sent_ms,
                stored_ms,
                partition: self.partition,
                offset: match base_offset {
                    NO_OFFSET => NO_OFFSET,
                    base => base + index,
                },
                key: record.key.clone(),
                value: record.value.clone(),
            })
    }

    /// Each record, lost for `error`.
    pub(super) fn failed(&self, error: &Error) -> Vec<Failed> {
        self.records
            .iter()
            .map(|(record, _)| failed(record, error))
            .collect()
    }
}

/// The most that a record takes, alone in a batch.
pub(super) fn size_of_record(record: &NewRecord) -> usize {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers: usize = record
        .headers
        .iter()
        .map(|header| 2 * LENGTH_MAX + header.key.len() + length(&header.value))
        .sum();
    BATCH_OVERHEAD + RECORD_OVERHEAD_MAX + length(&record.key) + length(&record.value) + headers
}

#[cfg(test)]
mod tests {
    use broker::record::Batches;

    use super::*;

    fn record(value: &'static str) -> NewRecord {
        NewRecord {
            value: Some(Bytes::from_static(value.as_bytes())),
            ..NewRecord::default()
        }
    }

    #[test]
    fn a_sealed_batch_holds_what_was_pushed() {
        for compression in [Compression::None, Compression::Gzip, Compression::Lz4] {
            let mut batch = Batch::new(3, Duration::ZERO);
            for value in ["a", "bc"] {
                let record = record(value);
                let size = size_of_record(&record);
                batch.push(record, size, 1000);
            }
            let identity = Identity { id: 7, epoch: 2 };
            batch.seal(compression, Some(identity), 40).unwrap();
            assert!(compression != Compression::None || batch.bytes().len() <= batch.size);
            let stored = Batches::strict(batch.bytes()).next().unwrap().unwrap();
            stored.check_crc().unwrap();
            let header = stored.header();
            assert_eq!((header.producer_id, header.producer_epoch), (7, 2));
            assert_eq!((header.base_sequence, header.record_count), (40, 2));
            let values: Vec<_> = stored
                .records(1000)
                .unwrap()
                .map(|record| record.unwrap().value.unwrap())
                .collect();
            assert_eq!(values, [&b"a"[..], b"bc"]);
        }
    }
}
