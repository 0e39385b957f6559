//! Appends: every check comes before the first byte is written.

use std::io;

use bytes::Bytes;

use super::index::TimestampOffset;
use super::producer_state::{Verdict, marker_of};
use super::segment::{Appended, Segment};
use super::validate::Validator;
use super::verification::Verification;
use super::{Error, Log};
use crate::model::{LeaderEpoch, Offset, TopicPartition};
use crate::record::{self, Batch, Batches, EndTxnMarker, Header, NO_TIMESTAMP, TimestampType};

/// Who appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer.
    Client,
    /// A group or transaction coordinator of this broker.
    Coordinator,
    /// The leader, whose batches are taken as they are.
    Replication,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendInfo {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// The broker's time if the topic stamps records with it, else -1.
    pub log_append_time: i64,
    pub log_start_offset: Offset,
    pub max_timestamp: i64,
    /// The batch was in the log already; the offsets are those of then.
    pub duplicate: bool,
}

/// Why a batch was not appended. Nothing was written, unless `Storage`.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error(transparent)]
    Corrupt(record::Error),
    #[error("message format {0} is not supported")]
    UnsupportedMagic(i8),
    #[error("invalid record: {0}")]
    InvalidRecord(&'static str),
    #[error("One or more records have been rejected")]
    InvalidRecords(Vec<RecordFault>),
    #[error("unknown compression type {0}")]
    UnsupportedCompression(u8),
    #[error(
        "The record batch size in the append is {size} bytes which exceeds the maximum configured value of {size_max}."
    )]
    TooLarge { size: usize, size_max: i32 },
    #[error(
        "Message batch size is {size} bytes in append, which exceeds the maximum configured segment size of {size_max}."
    )]
    LargerThanSegment { size: usize, size_max: i32 },
    #[error(
        "Out of order sequence number for producer {producer_id}: {sequence} (incoming seq. number), {last_sequence} (current end sequence number)"
    )]
    OutOfOrderSequence {
        producer_id: i64,
        sequence: i32,
        last_sequence: i32,
    },
    #[error(
        "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {last_epoch}"
    )]
    InvalidProducerEpoch {
        producer_id: i64,
        epoch: i16,
        last_epoch: i16,
    },
    #[error(
        "Invalid coordinator epoch for producerId {producer_id}: {epoch} (zombie), {last_epoch} (current)"
    )]
    CoordinatorFenced {
        producer_id: i64,
        epoch: i32,
        last_epoch: i32,
    },
    #[error("Expected transactional write from producer {producer_id}")]
    InvalidTxnState { producer_id: i64 },
    #[error("Record was not part of an ongoing transaction")]
    NotVerified { producer_id: i64 },
    #[error("first offset {first_offset} is less than the next offset {log_end_offset}")]
    UnexpectedOffset {
        first_offset: Offset,
        log_end_offset: Offset,
    },
    #[error("out of order offsets in the append")]
    OffsetsOutOfOrder,
    #[error(transparent)]
    Storage(#[from] Error),
}

/// What is wrong with one record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFault {
    /// The topic is compacted.
    WithoutKey { index: i32 },
    Timestamp {
        index: i32,
        timestamp: i64,
        earliest: i64,
        latest: i64,
    },
    /// A producer says that the broker set its times.
    StampedByProducer { index: i32 },
}

impl RecordFault {
    /// The record's place in its batch.
    #[must_use]
    pub fn index(self) -> i32 {
        match self {
            Self::WithoutKey { index }
            | Self::Timestamp { index, .. }
            | Self::StampedByProducer { index } => index,
        }
    }

    /// Says whether it is about the record's time.
    #[must_use]
    pub fn is_about_time(self) -> bool {
        !matches!(self, Self::WithoutKey { .. })
    }

    /// What Kafka says about such a record of `partition`.
    #[must_use]
    pub fn text(self, partition: &TopicPartition) -> String {
        match self {
            Self::WithoutKey { .. } => format!(
                "Compacted topic cannot accept message without key in topic partition {partition}"
            ),
            Self::Timestamp {
                index,
                timestamp,
                earliest,
                latest,
            } => format!(
                "Timestamp {timestamp} of message with offset {index} is out of range. The \
                 timestamp should be within [{earliest}, {latest}]"
            ),
            Self::StampedByProducer { index } => format!(
                "Invalid timestamp type in message with offset {index}. Producer should not set \
                 timestamp type to LogAppendTime."
            ),
        }
    }
}

impl From<record::Error> for AppendError {
    fn from(error: record::Error) -> Self {
        match error {
            record::Error::UnsupportedMagic(magic @ (0 | 1)) => Self::UnsupportedMagic(magic),
            record::Error::Truncated { .. } => Self::InvalidRecord("there is no whole batch"),
            record::Error::UnknownCompression(id) => Self::UnsupportedCompression(id),
            record::Error::Malformed(what) => Self::InvalidRecord(what),
            record::Error::BadCompression(_) => {
                Self::InvalidRecord("the compressed records cannot be read")
            }
            // Clients split such a batch, or give up: they do not try it again.
            record::Error::DecompressedTooLarge { limit } => Self::TooLarge {
                size: limit.saturating_add(1),
                size_max: i32::try_from(limit).unwrap_or(i32::MAX),
            },
            other => Self::Corrupt(other),
        }
    }
}

impl Log {
    /// Appends the one batch that `records` hold, giving it the next offsets.
    pub fn append_as_leader(
        &mut self,
        records: Bytes,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        let verification = Verification::NotRequired;
        self.append_verified(records, leader_epoch, origin, verification, now_ms)
    }

    /// The same, refused where a transaction begins that was not verified.
    pub fn append_verified(
        &mut self,
        records: Bytes,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        verification: Verification,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        self.check_usable()?;
        let validator = Validator {
            config: &self.config,
            origin,
            now_ms,
        };
        let batch = validator.check(Batch::only(records)?)?;
        let header = *batch.header();
        let first_offset = self.log_end_offset;
        let last_offset = first_offset + i64::from(header.last_offset_delta);
        let log_append_time = match self.config.message_timestamp_type {
            TimestampType::CreateTime => NO_TIMESTAMP,
            TimestampType::LogAppendTime => now_ms,
        };
        let mut info = AppendInfo {
            first_offset,
            last_offset,
            log_append_time,
            log_start_offset: self.log_start_offset,
            max_timestamp: header.max_timestamp,
            duplicate: false,
        };
        let marker = match header.is_control() {
            true => marker_of(&batch),
            false => None,
        };
        let verdict = self.judge(&header, marker.as_ref(), origin, verification);
        let verdict = verdict.map_err(|error| self.cause_of(&header, error))?;
        if let Verdict::Duplicate(known) = verdict {
            info.first_offset = known.first_offset();
            info.last_offset = known.last_offset;
            info.log_append_time = known.timestamp;
            info.duplicate = true;
            return Ok(info);
        }
        let placed = batch.header_at(first_offset, leader_epoch);
        let appended = Appended {
            last_offset,
            max_timestamp: TimestampOffset {
                timestamp: header.max_timestamp,
                offset: last_offset,
            },
        };
        // Also for a batch of no epoch: the file must not lag behind records.
        let assigned = self.epochs.assign(leader_epoch, first_offset);
        assigned.map_err(Error::from)?;
        let parts: [&[u8]; 2] = [&placed, &batch.body()];
        let written = self.write(&parts, first_offset, appended, now_ms);
        self.note_write(&header, &written);
        written?;
        self.producers.apply(&header, first_offset);
        // Whether it was a marker or data, what was asked before is over.
        if header.has_producer_id() {
            self.verifications.end(header.producer_id);
        }
        if let Some(marker) = marker {
            let aborted = self.producers.apply_marker(&header, marker, first_offset);
            self.note_aborted(aborted);
        }
        self.forget_replicated_transactions();
        self.maybe_flush(now_ms)?;
        Ok(info)
    }

    fn judge(
        &self,
        batch: &Header,
        marker: Option<&EndTxnMarker>,
        origin: AppendOrigin,
        verification: Verification,
    ) -> Result<Verdict, AppendError> {
        // A retry of what is in the log needs no transaction any more.
        if let Some(known) = self.producers.duplicate(batch, origin) {
            return Ok(Verdict::Duplicate(known));
        }
        self.check_verification(batch, verification)?;
        if origin == AppendOrigin::Client {
            self.producers.check_epoch(batch)?;
            self.verifications.check_sequence(batch)?;
        }
        let verdict = self.producers.check(batch, marker, origin);
        verdict.or_else(|error| self.judge_by_log(batch, error))
    }

    /// Appends batches as the leader sent them; a cut-off last batch is
    /// ignored. `None` when there was no whole batch.
    pub fn append_as_follower(
        &mut self,
        records: Bytes,
        now_ms: i64,
    ) -> Result<Option<AppendInfo>, AppendError> {
        self.check_usable()?;
        let mut batches = Vec::new();
        let mut next_offset = self.log_end_offset;
        let mut largest = TimestampOffset {
            timestamp: i64::MIN,
            offset: next_offset,
        };
        let mut size = 0;
        for batch in Batches::tolerant(records.clone()) {
            let batch = batch?;
            batch.check_crc()?;
            let header = batch.header();
            if header.base_offset < next_offset {
                if !batches.is_empty() {
                    return Err(AppendError::OffsetsOutOfOrder);
                }
                return Err(AppendError::UnexpectedOffset {
                    first_offset: header.base_offset,
                    log_end_offset: next_offset,
                });
            }
            if header.max_timestamp > largest.timestamp {
                largest = TimestampOffset {
                    timestamp: header.max_timestamp,
                    offset: header.last_offset(),
                };
            }
            next_offset = header.next_offset();
            size += batch.bytes().len();
            batches.push(batch);
        }
        let Some(first) = batches.first() else {
            return Ok(None);
        };
        let first_offset = first.header().base_offset;
        for batch in &batches {
            let header = batch.header();
            self.epochs
                .assign(header.partition_leader_epoch, header.base_offset)
                .map_err(Error::from)?;
        }
        let appended = Appended {
            last_offset: next_offset - 1,
            max_timestamp: largest,
        };
        let base_offset = match first.header().magic {
            record::MAGIC => first_offset,
            // Its first offset lies within. The log's end is not beyond it,
            // and what is left of a log may begin far behind the end.
            _ => (next_offset - 1 - i64::from(i32::MAX)).max(self.log_end_offset),
        };
        self.write(&[&records[..size]], base_offset, appended, now_ms)?;
        for batch in &batches {
            let aborted = self.producers.replay(batch);
            self.note_aborted(aborted);
        }
        self.forget_replicated_transactions();
        self.maybe_flush(now_ms)?;
        Ok(Some(AppendInfo {
            first_offset,
            last_offset: next_offset - 1,
            log_append_time: NO_TIMESTAMP,
            log_start_offset: self.log_start_offset,
            max_timestamp: largest.timestamp,
            duplicate: false,
        }))
    }

    /// Starts a new segment; without effect while the active one is empty.
    pub fn roll(&mut self, now_ms: i64) -> Result<(), Error> {
        self.check_usable()?;
        let result = self.roll_at(self.log_end_offset, now_ms);
        self.io(result)
    }

    pub(super) fn roll_at(&mut self, base_offset: Offset, now_ms: i64) -> io::Result<()> {
        if self.segments.contains_key(&base_offset) {
            return Ok(());
        }
        self.active().close()?;
        self.producers.set_end_offset(base_offset);
        self.snapshots.take_if_room(&self.dir, &self.producers)?;
        let segment = Segment::create(&self.dir, &self.storage, base_offset, &self.config, now_ms)?;
        self.segments.insert(base_offset, Box::new(segment));
        self.directory_synced = false;
        Ok(())
    }

    /// Writes at the end of the log; where a new segment is due, it begins at
    /// `base_offset`.
    fn write(
        &mut self,
        parts: &[&[u8]],
        base_offset: Offset,
        appended: Appended,
        now_ms: i64,
    ) -> Result<(), AppendError> {
        let size: usize = parts.iter().map(|part| part.len()).sum();
        let size_max = self.config.segment_bytes;
        if i64::try_from(size).unwrap_or(i64::MAX) > i64::from(size_max) {
            return Err(AppendError::LargerThanSegment { size, size_max });
        }
        let result = self.write_parts(parts, size as u64, base_offset, appended, now_ms);
        self.io(result)?;
        self.log_end_offset = appended.last_offset + 1;
        Ok(())
    }

    fn write_parts(
        &mut self,
        parts: &[&[u8]],
        size: u64,
        base_offset: Offset,
        appended: Appended,
        now_ms: i64,
    ) -> io::Result<()> {
        let interval = u64::try_from(self.config.index_interval_bytes).unwrap_or(0);
        let active = self
            .segments
            .last_entry()
            .expect("a log has at least one segment")
            .into_mut();
        if active.should_roll(&self.config, size, appended, now_ms)? {
            self.roll_at(base_offset, now_ms)?;
        }
        self.active().append(parts, appended, interval)
    }
}
