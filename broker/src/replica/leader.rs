//! What a leader knows of its followers, and the high watermark that follows.
//!
//! **Invariant:** pure: no log, no clock, no I/O.

use std::collections::BTreeMap;

use crate::model::{BrokerId, LeaderEpoch, Offset, PartitionEpoch};

/// The leader's view of its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaderState {
    pub(super) epoch: LeaderEpoch,
    pub(super) partition_epoch: PartitionEpoch,
    pub(super) isr: Vec<BrokerId>,
    /// Log end offsets of the other replicas, as far as they have fetched.
    followers: BTreeMap<BrokerId, Option<Offset>>,
}

impl LeaderState {
    /// A new leader knows nothing of how far its followers are.
    pub(super) fn new(
        own_id: BrokerId,
        epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        isr: &[BrokerId],
        replicas: &[BrokerId],
    ) -> Self {
        let others = replicas.iter().copied().filter(|id| *id != own_id);
        Self {
            epoch,
            partition_epoch,
            isr: isr.to_vec(),
            followers: others.map(|id| (id, None)).collect(),
        }
    }

    /// The same leader after its in-sync replicas or its replicas changed.
    pub(super) fn with_replicas(
        &self,
        partition_epoch: PartitionEpoch,
        isr: &[BrokerId],
        own_id: BrokerId,
        replicas: &[BrokerId],
    ) -> Self {
        let mut next = Self::new(own_id, self.epoch, partition_epoch, isr, replicas);
        for (id, known) in &mut next.followers {
            *known = self.followers.get(id).copied().flatten();
        }
        next
    }

    /// The offset that every in-sync replica has reached: the smallest log end
    /// offset among them; `None` while one of them has not been heard of.
    pub(super) fn high_watermark(&self, own_log_end: Offset) -> Option<Offset> {
        let mut lowest = own_log_end;
        for (id, log_end) in &self.followers {
            if self.isr.contains(id) {
                lowest = lowest.min((*log_end)?);
            }
        }
        Some(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_in_sync_replica_decides() {
        let alone = LeaderState::new(1, 0, 0, &[1], &[1]);
        assert_eq!(alone.high_watermark(7), Some(7));
        let silent = LeaderState::new(1, 0, 0, &[1, 2], &[1, 2, 3]);
        assert_eq!(silent.high_watermark(7), None);
        let mut heard = silent;
        heard.followers.insert(2, Some(5));
        assert_eq!(heard.high_watermark(7), Some(5));
        let shrunk = heard.with_replicas(1, &[1], 1, &[1, 2, 3]);
        assert_eq!(shrunk.high_watermark(7), Some(7));
        let grown = shrunk.with_replicas(2, &[1, 2], 1, &[1, 2, 3]);
        assert_eq!(grown.high_watermark(7), Some(5), "what was heard is kept");
    }
}
