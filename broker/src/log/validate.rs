//! What a batch must be before the leader appends it, and what the topic's
//! configuration makes of it: Kafka's LogValidator.
//!
//! **Invariant:** nothing here knows the partition's state, nor changes it.
//! **Invariant:** a client's records are walked over, decompressed bit by bit
//! where they are compressed, so that what readers will find is well formed;
//! nothing is decompressed whole unless it is to be written anew.

use super::append::{AppendError, AppendOrigin, RecordFault};
use super::config::LogConfig;
use crate::record::{
    self, Batch, BatchBuilder, Compression, Header, NO_PRODUCER_EPOCH, NO_TIMESTAMP, Record,
    TimestampType,
};

/// Checks batches for one append.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validator<'a> {
    pub(super) config: &'a LogConfig,
    pub(super) origin: AppendOrigin,
    pub(super) now_ms: i64,
}

/// What the records said.
struct Seen {
    max_timestamp: i64,
    /// Each record's offset follows that of the one before.
    in_sequence: bool,
    faults: Vec<RecordFault>,
}

impl Validator<'_> {
    /// The batch as it will be stored, but for its offsets.
    pub(super) fn check(&self, batch: Batch) -> Result<Batch, AppendError> {
        let header = *batch.header();
        let is_client = self.origin == AppendOrigin::Client;
        if is_client && header.base_offset != 0 {
            return Err(AppendError::InvalidRecord("the base offset is not 0"));
        }
        self.check_size(batch.bytes().len())?;
        batch.check_crc()?;
        if is_client {
            batch.check_count()?;
            check_client_header(&header)?;
        }
        let seen = match self.must_see(&header) {
            true => Some(self.see(&batch)?),
            false => None,
        };
        let batch = match self.target_compression(&header, seen.as_ref()) {
            Some(target) => self.rewritten(&batch, target)?,
            None => batch,
        };
        Ok(self.with_times(batch, seen))
    }

    fn check_size(&self, size: usize) -> Result<(), AppendError> {
        let size_max = self.config.max_message_bytes;
        if i64::try_from(size).unwrap_or(i64::MAX) > i64::from(size_max) {
            return Err(AppendError::TooLarge { size, size_max });
        }
        Ok(())
    }

    fn stamps(&self) -> bool {
        self.config.message_timestamp_type == TimestampType::LogAppendTime
    }

    fn must_see(&self, header: &Header) -> bool {
        let config = self.config;
        let bounded_times = !self.stamps()
            && (config.message_timestamp_before_max_ms != i64::MAX
                || config.message_timestamp_after_max_ms != i64::MAX);
        let by_client = self.origin == AppendOrigin::Client;
        !header.is_control() && (config.compact || bounded_times || by_client)
    }

    fn see(&self, batch: &Batch) -> Result<Seen, AppendError> {
        let header = batch.header();
        let is_stamped = header.timestamp_type() == TimestampType::LogAppendTime;
        let mut seen = Seen {
            max_timestamp: NO_TIMESTAMP,
            in_sequence: true,
            faults: Vec::new(),
        };
        batch.walk(self.config.decompressed_bytes_max(), |record| {
            let timestamp = match is_stamped {
                true => header.max_timestamp,
                false => header.base_timestamp.wrapping_add(record.timestamp_delta),
            };
            seen.max_timestamp = seen.max_timestamp.max(timestamp);
            seen.in_sequence &= record.offset_delta == record.index;
            let fault = self.fault(record.index, record.has_key, timestamp, is_stamped);
            seen.faults.extend(fault);
        })?;
        match seen.faults.is_empty() {
            true => Ok(seen),
            false => Err(AppendError::InvalidRecords(seen.faults)),
        }
    }

    fn fault(
        &self,
        index: i32,
        has_key: bool,
        timestamp: i64,
        is_stamped: bool,
    ) -> Option<RecordFault> {
        let config = self.config;
        if config.compact && self.origin == AppendOrigin::Client && !has_key {
            return Some(RecordFault::WithoutKey { index });
        }
        if self.stamps() || timestamp == NO_TIMESTAMP {
            let by_client = self.origin == AppendOrigin::Client;
            return (is_stamped && by_client).then_some(RecordFault::StampedByProducer { index });
        }
        let age_ms = self.now_ms.saturating_sub(timestamp);
        let out_of_range = age_ms > config.message_timestamp_before_max_ms
            || age_ms.saturating_neg() > config.message_timestamp_after_max_ms;
        out_of_range.then(|| RecordFault::Timestamp {
            index,
            timestamp,
            earliest: self
                .now_ms
                .wrapping_sub(config.message_timestamp_before_max_ms),
            latest: self
                .now_ms
                .wrapping_add(config.message_timestamp_after_max_ms),
        })
    }

    /// The codec to write the records anew with, unless they stay as they are.
    /// Old clients number compressed records wrongly: as in Kafka, those are
    /// numbered again.
    fn target_compression(&self, header: &Header, seen: Option<&Seen>) -> Option<Compression> {
        let came_with = header.compression();
        if header.is_control() {
            return None;
        }
        let target = self.config.compression_type.unwrap_or(came_with);
        let is_misnumbered =
            came_with != Compression::None && seen.is_some_and(|seen| !seen.in_sequence);
        (target != came_with || is_misnumbered).then_some(target)
    }

    fn rewritten(&self, batch: &Batch, target: Compression) -> Result<Batch, AppendError> {
        let header = batch.header();
        let builder = recompressing_builder(header, target).level(self.config.level_of(target));
        let mut builder = builder.base_offset(header.base_offset, -1);
        for (offset, record) in (header.base_offset..).zip(self.records(batch)?) {
            let record = Record { offset, ..record? };
            if !builder.push_record(&record) {
                return Err(AppendError::InvalidRecord(
                    "a record does not fit the batch",
                ));
            }
        }
        let batch = Batch::only(builder.build()?)?;
        self.check_size(batch.bytes().len())?;
        Ok(batch)
    }

    fn records(
        &self,
        batch: &Batch,
    ) -> Result<impl Iterator<Item = Result<Record, record::Error>>, record::Error> {
        batch.records(self.config.decompressed_bytes_max())
    }

    /// Stamped by the broker, or with the largest time that the records have:
    /// the index of times relies on it.
    fn with_times(&self, batch: Batch, seen: Option<Seen>) -> Batch {
        if self.stamps() {
            return batch.with_log_append_time(self.now_ms);
        }
        match seen {
            Some(seen) => batch.with_create_time(seen.max_timestamp),
            None => batch,
        }
    }
}

fn recompressing_builder(header: &Header, target: Compression) -> BatchBuilder {
    let builder = BatchBuilder::new(target).producer(
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
    );
    if header.is_transactional() {
        builder.transactional()
    } else {
        builder
    }
}

fn check_client_header(header: &Header) -> Result<(), AppendError> {
    if header.is_control() {
        return Err(AppendError::InvalidRecord(
            "Clients are not allowed to write control records",
        ));
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(AppendError::InvalidRecord("Invalid sequence number"));
    }
    if header.has_producer_id() && header.producer_epoch <= NO_PRODUCER_EPOCH {
        return Err(AppendError::InvalidRecord("Invalid producer epoch"));
    }
    Ok(())
}
