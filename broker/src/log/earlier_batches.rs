//! Batches of a producer that a snapshot has forgotten.
//!
//! Kafka's snapshot names the last batch of each producer, and so does ours. A
//! producer may have five under way: when their answers get lost and the broker
//! that leads next has just been restarted, it sends the first of them again and
//! is told of a gap, although all five lie in the log. Clients take that for lost
//! records: some give up for good, others begin a new epoch and send twice. So
//! before such a batch is refused the log is asked for what the snapshot lacks.
//! Kafka 3.9.1 refuses it.
//!
//! **Invariant:** what is recognised is what would have been without a restart:
//! the last five batches of a producer, whole.

use std::collections::VecDeque;
use std::io;

use super::Log;
use super::append::AppendError;
use super::producer_state::{BATCHES_KEPT, BatchMetadata, ProducerEntry, Verdict};
use crate::record::Header;

/// How many offsets the walk goes back: other producers wrote in between.
const OFFSETS_MAX: i64 = 20_000;

impl Log {
    /// The verdict on a batch for which the remembered ones gave `error`.
    pub(super) fn judge_by_log(
        &self,
        batch: &Header,
        error: AppendError,
    ) -> Result<Verdict, AppendError> {
        if !matches!(error, AppendError::OutOfOrderSequence { .. }) {
            return Err(error);
        }
        let Some(entry) = self.producers.forgetful_entry(batch) else {
            return Err(error);
        };
        let earlier = self.io(self.earlier_batches(batch.producer_id, entry))?;
        let range = (batch.base_sequence, batch.last_sequence());
        let found = earlier.iter().find(|known| known.sequences() == range);
        found.map_or(Err(error), |known| Ok(Verdict::Duplicate(*known)))
    }

    /// The batches that come before those of `entry`, as many as it lacks.
    fn earlier_batches(
        &self,
        producer_id: i64,
        entry: &ProducerEntry,
    ) -> io::Result<VecDeque<BatchMetadata>> {
        let mut found = VecDeque::new();
        let Some(oldest) = entry.batches.front() else {
            return Ok(found);
        };
        let end = oldest.first_offset();
        let from = (end - OFFSETS_MAX).max(self.log_start_offset);
        for segment in self.segments.range(self.floor_segment(from)..end) {
            let Some((position, _)) = segment.1.find(from)? else {
                continue;
            };
            let mut scan = segment.1.scan(position)?;
            while let Some((_, header)) = scan.next_header()? {
                if header.base_offset >= end {
                    return Ok(found);
                }
                let is_of_producer = header.producer_id == producer_id && !header.is_control();
                if is_of_producer && header.producer_epoch == entry.epoch {
                    found.push_back(BatchMetadata::of(&header, header.last_offset()));
                    if found.len() + entry.batches.len() > BATCHES_KEPT {
                        found.pop_front();
                    }
                }
            }
        }
        Ok(found)
    }
}
