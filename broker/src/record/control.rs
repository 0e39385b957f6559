//! The control record that ends a transaction in a partition.

use bytes::Bytes;

use super::{BatchBuilder, Compression, Error, NO_SEQUENCE, Record};

/// Version of a control record's key and value.
const VERSION: i16 = 0;
/// Kinds of control records, in the record's key.
const ABORT: i16 = 0;
const COMMIT: i16 = 1;

/// The marker that ends a transaction in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    pub commit: bool,
    pub coordinator_epoch: i32,
    pub timestamp: i64,
}

impl EndTxnMarker {
    /// Reads the marker from the first record of a control batch; `None` for
    /// an unknown kind of control record.
    pub fn from_record(record: &Record) -> Result<Option<Self>, Error> {
        const BAD: Error = Error::Malformed("a control record cannot be read");
        let key = record.key.as_deref().ok_or(BAD)?;
        let [_, _, kind @ ..] = key.first_chunk::<4>().ok_or(BAD)?;
        let commit = match i16::from_be_bytes(*kind) {
            ABORT => false,
            COMMIT => true,
            _ => return Ok(None),
        };
        let value = record.value.as_deref().ok_or(BAD)?;
        let [_, _, epoch @ ..] = value.first_chunk::<6>().ok_or(BAD)?;
        Ok(Some(Self {
            commit,
            coordinator_epoch: i32::from_be_bytes(*epoch),
            timestamp: record.timestamp,
        }))
    }

    /// The batch that holds this marker alone, on behalf of a producer.
    pub fn batch(&self, producer_id: i64, producer_epoch: i16) -> Result<Bytes, Error> {
        let kind = if self.commit { COMMIT } else { ABORT };
        let mut key = VERSION.to_be_bytes().to_vec();
        key.extend(kind.to_be_bytes());
        let mut value = VERSION.to_be_bytes().to_vec();
        value.extend(self.coordinator_epoch.to_be_bytes());
        let mut builder = BatchBuilder::new(Compression::None)
            .producer(producer_id, producer_epoch, NO_SEQUENCE)
            .transactional()
            .control();
        if !builder.push(self.timestamp, Some(&key), Some(&value), &[]) {
            return Err(Error::Malformed("the batch is too large"));
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Batch;

    /// As Kafka 3.9.1's `MemoryRecords.withEndTransactionMarker` writes it.
    #[test]
    fn a_marker_is_written_as_kafka_does() {
        let marker = EndTxnMarker {
            commit: true,
            coordinator_epoch: 5,
            timestamp: 1_000,
        };
        let batch = Batch::only(marker.batch(9, 2).unwrap()).unwrap();
        batch.check_crc().unwrap();
        let header = batch.header();
        assert!(header.is_control() && header.is_transactional());
        assert_eq!((header.producer_id, header.producer_epoch), (9, 2));
        assert_eq!(
            (header.base_sequence, header.record_count),
            (NO_SEQUENCE, 1)
        );
        let record = batch.records(100).unwrap().next().unwrap().unwrap();
        assert_eq!(record.key.as_deref(), Some(&[0, 0, 0, 1][..]));
        assert_eq!(record.value.as_deref(), Some(&[0, 0, 0, 0, 0, 5][..]));
        assert_eq!(EndTxnMarker::from_record(&record), Ok(Some(marker)));
    }
}
