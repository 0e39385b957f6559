//! What goes through a partition, counted.
//!
//! **Invariant:** whatever is counted of a partition is counted of the broker too,
//! which remembers it when the partition is gone.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Partition, Role};
use crate::log;
use crate::metrics::{Count, Traffic};
use crate::model::Offset;
use crate::replica::error::AppendError;

/// The counters of one partition.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; Traffic::OF_PARTITIONS.len()]);

/// A log in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
    /// Committed records behind the first open transaction.
    pub last_stable_lag: Offset,
    /// In bytes.
    pub size: u64,
    pub segments: usize,
    /// Idempotent producers that it remembers.
    pub producers: usize,
}

/// A leader's followers, as a monitor counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Replicas that the controller assigned.
    pub replicas: usize,
    pub in_sync: usize,
    /// `min.insync.replicas`, but not more than there are replicas.
    pub in_sync_min: usize,
}

impl Partition {
    /// Adds to the counters of the partition and of the broker.
    pub(crate) fn count(&self, what: Traffic, count: u64) {
        if let Some(own) = self.traffic.0.get(what.index()) {
            own.fetch_add(count, Ordering::Relaxed);
        }
        self.around.metrics.traffic.add(what, count);
    }

    /// What was counted of this partition since it was opened.
    #[must_use]
    pub fn counted(&self, what: Traffic) -> u64 {
        let own = self.traffic.0.get(what.index());
        own.map_or(0, |own| own.load(Ordering::Relaxed))
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        let high_watermark = self.high_watermark();
        let log = self.log.read();
        Shape {
            log_start_offset: log.log_start_offset(),
            log_end_offset: log.log_end_offset(),
            last_stable_lag: high_watermark - log.last_stable_offset(high_watermark),
            size: log.size(),
            segments: log.segment_count(),
            producers: log.producer_count(),
        }
    }

    /// `None` unless this replica leads.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        let state = self.state.lock();
        let Role::Leader(leader) = &state.role else {
            return None;
        };
        let in_sync_min = self.log.read().config().min_insync_replicas;
        Some(Standing {
            replicas: leader.replica_count(),
            in_sync: leader.isr.len(),
            in_sync_min: leader.in_sync_needed(in_sync_min),
        })
    }

    /// Counts records that were not taken. As in Kafka, only what clients do not run
    /// into in the normal course of things is a failure.
    pub(in crate::replica) fn count_refused(&self, error: &AppendError, bytes: u64) {
        let is_usual = match error {
            AppendError::UnknownPartition
            | AppendError::UnknownTopicId
            | AppendError::NotLeader => true,
            AppendError::Log(error) => matches!(
                **error,
                log::AppendError::TooLarge { .. }
                    | log::AppendError::LargerThanSegment { .. }
                    | log::AppendError::Corrupt(_)
                    | log::AppendError::Storage(_)
            ),
            AppendError::InternalTopic
            | AppendError::InvalidAcks
            | AppendError::NotEnoughReplicas
            | AppendError::NotEnoughReplicasAfterAppend
            | AppendError::TimedOut => false,
        };
        if let AppendError::Log(error) = error
            && matches!(**error, log::AppendError::TooLarge { .. })
        {
            self.count(Traffic::BytesRejected, bytes);
        }
        if !is_usual {
            self.count(Traffic::FailedProduceRequests, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_a_counter_for_each_that_is_its_own() {
        for (at, what) in Traffic::OF_PARTITIONS.into_iter().enumerate() {
            assert_eq!(what.index(), at, "{what:?}");
        }
    }
}
