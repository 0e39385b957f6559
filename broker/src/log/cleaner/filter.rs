//! What becomes of one batch when its log is compacted. Kafka's rules:
//!
//! - a record stays if no later one has its key, or if it lies behind what the
//!   pass has looked at; records without a key go;
//! - a tombstone stays until its batch's delete horizon, which the first pass
//!   that meets it sets `delete.retention.ms` ahead (KIP-534);
//! - in formats 0 and 1 tombstones go by the age of their segments instead;
//! - records of aborted transactions go; a marker stays while its transaction
//!   has batches, and then until its own delete horizon;
//! - a producer's last batch stays, if need be without records, because it
//!   carries the sequence number that the next one must follow.
//!
//! **Invariant:** pure: no file, no clock. Offsets, their order and the last
//! offset of a batch never change.

use std::collections::HashMap;

use bytes::Bytes;

use super::super::index::AbortedTransaction;
use super::offset_map::OffsetMap;
use super::transactions::CleanedTransactions;
use crate::model::Offset;
use crate::record::legacy::rewrite;
use crate::record::{Batch, BatchBuilder, Error, MAGIC, Record, TimestampType, empty_batch};

/// Bound on a stored batch's records when they are decompressed.
pub(super) const RECORDS_SIZE_MAX: usize = 1 << 30;

/// What the producer state holds of an active producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct LastRecord {
    /// The last offset of its last data batch, if that is known.
    pub(in crate::log) data_offset: Option<Offset>,
    pub(in crate::log) epoch: i16,
}

pub(in crate::log) type LastRecords = HashMap<i64, LastRecord>;

/// What holds for one pass over one log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) map: &'a OffsetMap,
    pub(super) last_records: &'a LastRecords,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    /// Tombstones of formats 0 and 1, which can note no horizon, stay: the
    /// segment was written to since the horizon that its age gives.
    pub(super) keeps_old_tombstones: bool,
}

/// The batch as it goes on, if it does.
#[derive(Debug, Default)]
pub(super) struct Filtered {
    pub(super) batch: Option<Bytes>,
    /// The entry of the transaction that this marker aborted.
    pub(super) aborted: Option<AbortedTransaction>,
    pub(super) records_read: u64,
    pub(super) records_kept: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenEmpty {
    Drop,
    KeepHeader,
}

impl Rules<'_> {
    /// Decides about the log's next batch.
    pub(super) fn filter(
        &self,
        batch: &Batch,
        transactions: &mut CleanedTransactions,
    ) -> Result<Filtered, Error> {
        let header = batch.header();
        let mut filtered = Filtered::default();
        let (can_go, discard_records) = if header.is_control() {
            let verdict = transactions.on_control_batch(batch)?;
            filtered.aborted = verdict.aborted;
            let horizon = header.delete_horizon_ms();
            let is_due = horizon.is_some_and(|horizon| horizon <= self.now_ms);
            (verdict.can_go, verdict.can_go && is_due)
        } else {
            let is_aborted = transactions.is_aborted(header);
            (is_aborted, is_aborted)
        };
        let when_empty = match self.is_last_of_producer(batch) {
            true => WhenEmpty::KeepHeader,
            false if discard_records => return Ok(filtered),
            false => WhenEmpty::Drop,
        };
        let mut kept = Vec::new();
        let mut is_whole = true;
        for record in batch.records(RECORDS_SIZE_MAX)? {
            let record = record?;
            filtered.records_read += 1;
            if !discard_records && (header.is_control() || self.retains(batch, &record)) {
                kept.push(record);
            } else {
                is_whole = false;
            }
        }
        filtered.records_kept = kept.len() as u64;
        if kept.is_empty() {
            filtered.batch = match when_empty {
                WhenEmpty::KeepHeader => Some(empty_batch(header)),
                WhenEmpty::Drop => None,
            };
            return Ok(filtered);
        }
        let ends = header.is_control() && can_go;
        let has_tombstones = kept.iter().any(|record| record.value.is_none());
        let horizon = match header.delete_horizon_ms() {
            None if header.magic == MAGIC && (ends || has_tombstones) => {
                is_whole = false;
                Some(self.now_ms.saturating_add(self.delete_retention_ms))
            }
            known => known,
        };
        filtered.batch = Some(match is_whole {
            true => batch.bytes().clone(),
            false => rebuild(batch, &kept, horizon)?,
        });
        Ok(filtered)
    }

    fn retains(&self, batch: &Batch, record: &Record) -> bool {
        if record.offset > self.map.latest_offset() {
            return true;
        }
        let Some(key) = &record.key else {
            return false;
        };
        let is_latest = self.map.get(key).is_none_or(|known| record.offset >= known);
        let header = batch.header();
        let keeps_tombstones = match header.magic {
            MAGIC => {
                let horizon = header.delete_horizon_ms();
                horizon.is_none_or(|horizon| self.now_ms < horizon)
            }
            _ => self.keeps_old_tombstones,
        };
        is_latest && (record.value.is_some() || keeps_tombstones)
    }

    /// Without a data batch the marker stands for the producer: its epoch
    /// fences older ones.
    fn is_last_of_producer(&self, batch: &Batch) -> bool {
        let header = batch.header();
        if !header.has_producer_id() {
            return false;
        }
        let Some(last) = self.last_records.get(&header.producer_id) else {
            return false;
        };
        match last.data_offset {
            Some(offset) => header.last_offset() == offset,
            None => header.is_control() && header.producer_epoch == last.epoch,
        }
    }
}

/// The batch with only the records in `kept`.
fn rebuild(batch: &Batch, kept: &[Record], horizon: Option<i64>) -> Result<Bytes, Error> {
    let header = batch.header();
    if header.magic != MAGIC {
        return rewrite(header, kept);
    }
    let mut builder = BatchBuilder::new(header.compression())
        .producer(
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        )
        .base_offset(header.base_offset, header.partition_leader_epoch)
        .last_offset(header.last_offset());
    if header.is_transactional() {
        builder = builder.transactional();
    }
    if header.is_control() {
        builder = builder.control();
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        builder = builder.log_append_time(header.max_timestamp);
    }
    if let Some(horizon) = horizon {
        builder = builder.delete_horizon(horizon);
    }
    for record in kept {
        if !builder.push_record(record) {
            return Err(Error::Malformed("a record does not fit its batch"));
        }
    }
    builder.build()
}

#[cfg(test)]
mod tests;
