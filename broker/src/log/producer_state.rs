//! What the partition remembers of idempotent producers: their epoch and
//! their last batches, so that a retry is recognised and a gap refused.
//!
//! Flow: an append calls `check` before it writes and `apply` after; a load
//! restores a snapshot and replays the batches behind it through `replay`.
//!
//! **Invariant:** `check` changes nothing, so a failed write leaves no trace.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::append::{AppendError, AppendOrigin};
use super::index::AbortedTransaction;
use crate::model::Offset;
use crate::record::{Batch, EndTxnMarker, Header, NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP};

/// Kafka remembers as many batches as a producer may have in flight.
pub(super) const BATCHES_KEPT: usize = 5;
/// Bound on a control batch's records when they are decoded.
const CONTROL_SIZE_MAX: usize = 1 << 16;

/// One remembered batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchMetadata {
    pub(super) last_sequence: i32,
    pub(super) last_offset: Offset,
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
}

impl BatchMetadata {
    pub(super) fn of(batch: &Header, last_offset: Offset) -> Self {
        Self {
            last_sequence: batch.last_sequence(),
            last_offset,
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        }
    }

    /// The first and the last sequence number.
    pub(super) fn sequences(&self) -> (i32, i32) {
        (self.first_sequence(), self.last_sequence)
    }

    pub(super) fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn first_sequence(&self) -> i32 {
        let first = self.last_sequence.wrapping_sub(self.offset_delta);
        if self.last_sequence >= self.offset_delta {
            return first;
        }
        // Before 0 comes `i32::MAX`.
        first.wrapping_add(i32::MAX).wrapping_add(1)
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProducerEntry {
    pub(super) epoch: i16,
    pub(super) coordinator_epoch: i32,
    pub(super) last_timestamp: i64,
    pub(super) txn_first_offset: Option<Offset>,
    pub(super) batches: VecDeque<BatchMetadata>,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: NO_TIMESTAMP,
            txn_first_offset: None,
            batches: VecDeque::new(),
        }
    }
}

impl ProducerEntry {
    fn last_sequence(&self) -> i32 {
        self.batches
            .back()
            .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }
}

/// What a partition tells of one producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    pub id: i64,
    pub epoch: i16,
    /// -1 when nothing is known of its batches.
    pub last_sequence: i32,
    /// Time of its last batch or marker; -1 when it is not known.
    pub last_timestamp: i64,
    /// Of the coordinator that ended its last transaction; -1 without one.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins.
    pub txn_first_offset: Option<Offset>,
}

impl ActiveProducer {
    pub(super) fn of(id: i64, entry: &ProducerEntry) -> Self {
        Self {
            id,
            epoch: entry.epoch,
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            txn_first_offset: entry.txn_first_offset,
        }
    }
}

/// The verdict on a batch that is about to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// The batch is in the log already.
    Duplicate(BatchMetadata),
}

/// The producers of one partition.
#[derive(Debug, Default)]
pub(super) struct ProducerState {
    producers: HashMap<i64, ProducerEntry>,
    open_transactions: BTreeMap<Offset, i64>,
    /// First offset -> marker of transactions whose marker is not known to be
    /// replicated: until then readers must not see past their start.
    ended_transactions: BTreeMap<Offset, Offset>,
    /// Up to where the log is reflected here.
    end_offset: Offset,
}

impl ProducerState {
    pub(super) fn end_offset(&self) -> Offset {
        self.end_offset
    }

    pub(super) fn set_end_offset(&mut self, offset: Offset) {
        self.end_offset = offset;
    }

    pub(super) fn clear(&mut self, end_offset: Offset) {
        self.producers.clear();
        self.open_transactions.clear();
        self.ended_transactions.clear();
        self.end_offset = end_offset;
    }

    /// First offset of the oldest transaction without a marker.
    pub(super) fn first_undecided_offset(&self) -> Option<Offset> {
        let first = self.open_transactions.first_key_value();
        first.map(|(&offset, _)| offset)
    }

    /// First offset of the oldest transaction whose marker is missing or lies
    /// at or beyond `high_watermark`.
    pub(super) fn first_unstable_offset(&self, high_watermark: Offset) -> Option<Offset> {
        let mut ended = self.ended_transactions.iter();
        let unreplicated = ended.find(|&(_, &marker)| marker >= high_watermark);
        let unreplicated = unreplicated.map(|(&first, _)| first);
        let undecided = self.first_undecided_offset();
        undecided.into_iter().chain(unreplicated).min()
    }

    /// Forgets the transactions whose markers are replicated.
    pub(super) fn forget_replicated(&mut self, high_watermark: Offset) {
        self.ended_transactions
            .retain(|_, marker| *marker >= high_watermark);
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.producers.iter().map(|(&id, entry)| (id, entry))
    }

    pub(super) fn restore(&mut self, id: i64, entry: ProducerEntry) {
        if let Some(first) = entry.txn_first_offset {
            self.open_transactions.insert(first, id);
        }
        self.producers.insert(id, entry);
    }

    /// Forgets producers that were silent for `expiration_ms`.
    pub(super) fn remove_expired(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, entry| {
            entry.txn_first_offset.is_some()
                || now_ms.saturating_sub(entry.last_timestamp) < expiration_ms
        });
    }

    /// Says whether the producer's transaction has no marker yet.
    pub(super) fn has_open_transaction(&self, id: i64) -> bool {
        let known = self.producers.get(&id);
        known.is_some_and(|entry| entry.txn_first_offset.is_some())
    }

    /// A batch of a client that is in the log already.
    pub(super) fn duplicate(&self, batch: &Header, origin: AppendOrigin) -> Option<BatchMetadata> {
        if origin != AppendOrigin::Client {
            return None;
        }
        find_duplicate(self.producers.get(&batch.producer_id)?, batch)
    }

    /// Refuses what comes from before the producer's last epoch.
    pub(super) fn check_epoch(&self, batch: &Header) -> Result<(), AppendError> {
        match self.producers.get(&batch.producer_id) {
            Some(entry) if batch.producer_epoch < entry.epoch => {
                Err(AppendError::InvalidProducerEpoch {
                    producer_id: batch.producer_id,
                    epoch: batch.producer_epoch,
                    last_epoch: entry.epoch,
                })
            }
            _ => Ok(()),
        }
    }

    /// Judges the batch that `origin` wants to append; `marker` is what a
    /// control batch holds.
    pub(super) fn check(
        &self,
        batch: &Header,
        marker: Option<&EndTxnMarker>,
        origin: AppendOrigin,
    ) -> Result<Verdict, AppendError> {
        if !batch.has_producer_id() || origin == AppendOrigin::Replication {
            return Ok(Verdict::Append);
        }
        self.check_epoch(batch)?;
        let Some(entry) = self.producers.get(&batch.producer_id) else {
            return Ok(Verdict::Append);
        };
        if batch.is_control() {
            return match marker {
                Some(marker) if marker.coordinator_epoch < entry.coordinator_epoch => {
                    Err(AppendError::CoordinatorFenced {
                        producer_id: batch.producer_id,
                        epoch: marker.coordinator_epoch,
                        last_epoch: entry.coordinator_epoch,
                    })
                }
                _ => Ok(Verdict::Append),
            };
        }
        if origin == AppendOrigin::Client {
            check_sequence(entry, batch)?;
        }
        if entry.txn_first_offset.is_some() && !batch.is_transactional() {
            return Err(AppendError::InvalidTxnState {
                producer_id: batch.producer_id,
            });
        }
        Ok(Verdict::Append)
    }

    /// What is known of the batch's producer, in its epoch, if that may be less
    /// than its last five batches.
    pub(super) fn forgetful_entry(&self, batch: &Header) -> Option<&ProducerEntry> {
        let entry = self.producers.get(&batch.producer_id)?;
        let is_short = (1..BATCHES_KEPT).contains(&entry.batches.len());
        (entry.epoch == batch.producer_epoch && is_short).then_some(entry)
    }

    /// Notes a data batch that is now in the log at `first_offset`.
    pub(super) fn apply(&mut self, batch: &Header, first_offset: Offset) {
        self.end_offset = first_offset + i64::from(batch.last_offset_delta) + 1;
        if !batch.has_producer_id() || batch.is_control() {
            return;
        }
        let entry = self.producers.entry(batch.producer_id).or_default();
        entry.set_epoch(batch.producer_epoch);
        if entry.batches.len() == BATCHES_KEPT {
            entry.batches.pop_front();
        }
        entry
            .batches
            .push_back(BatchMetadata::of(batch, self.end_offset - 1));
        entry.last_timestamp = batch.max_timestamp;
        if batch.is_transactional() && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(first_offset);
            self.open_transactions
                .insert(first_offset, batch.producer_id);
        }
    }

    /// Notes a transaction's marker that is now in the log at `offset`. What is
    /// returned belongs into the index of aborted transactions.
    pub(super) fn apply_marker(
        &mut self,
        batch: &Header,
        marker: EndTxnMarker,
        offset: Offset,
    ) -> Option<AbortedTransaction> {
        if !batch.has_producer_id() {
            return None;
        }
        let entry = self.producers.entry(batch.producer_id).or_default();
        entry.set_epoch(batch.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = marker.timestamp;
        // A marker of a transaction without records changes nothing for readers.
        let first_offset = entry.txn_first_offset.take()?;
        self.open_transactions.remove(&first_offset);
        self.ended_transactions.insert(first_offset, offset);
        (!marker.commit).then(|| AbortedTransaction {
            producer_id: batch.producer_id,
            first_offset,
            last_offset: offset,
            last_stable_offset: self.first_undecided_offset().unwrap_or(offset + 1),
        })
    }

    /// Notes a batch that lies in the log with its final offsets, as `apply`
    /// and `apply_marker` do.
    pub(super) fn replay(&mut self, batch: &Batch) -> Option<AbortedTransaction> {
        let header = batch.header();
        self.apply(header, header.base_offset);
        if !header.is_control() {
            return None;
        }
        self.apply_marker(header, marker_of(batch)?, header.base_offset)
    }
}

/// The marker in a control batch; `None` when it holds something else.
pub(super) fn marker_of(batch: &Batch) -> Option<EndTxnMarker> {
    let record = batch.records(CONTROL_SIZE_MAX).ok()?.next()?.ok()?;
    EndTxnMarker::from_record(&record).ok()?
}

fn find_duplicate(entry: &ProducerEntry, batch: &Header) -> Option<BatchMetadata> {
    if entry.epoch != batch.producer_epoch {
        return None;
    }
    let range = (batch.base_sequence, batch.last_sequence());
    let mut known = entry.batches.iter();
    known.find(|known| known.sequences() == range).copied()
}

fn check_sequence(entry: &ProducerEntry, batch: &Header) -> Result<(), AppendError> {
    let gap = |expected_after| AppendError::OutOfOrderSequence {
        producer_id: batch.producer_id,
        sequence: batch.base_sequence,
        last_sequence: expected_after,
    };
    if entry.epoch == NO_PRODUCER_EPOCH {
        return Ok(());
    }
    if batch.producer_epoch != entry.epoch {
        return match batch.base_sequence {
            0 => Ok(()),
            _ => Err(gap(NO_SEQUENCE)),
        };
    }
    let last = entry.last_sequence();
    let next = last.checked_add(1).unwrap_or(0);
    if batch.base_sequence == next {
        Ok(())
    } else {
        Err(gap(last))
    }
}
