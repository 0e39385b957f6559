//! What the replication throttles hold back of one partition.

use std::sync::atomic::Ordering;

use super::{Partition, Role};
use crate::model::{BrokerId, Offset};
use crate::replica::quota::Quota;

impl Partition {
    /// Whether what followers get of this replica counts as throttled.
    #[must_use]
    pub fn is_throttled_as_leader(&self) -> bool {
        let (partition, own_id) = (self.id.partition, self.around.own_id);
        self.log
            .read()
            .config()
            .leader_throttled
            .names(partition, own_id)
    }

    /// The limit of moves between directories.
    pub(in crate::replica) fn log_dirs_quota(&self) -> &Quota {
        &self.around.quotas.log_dirs
    }

    pub(in crate::replica) fn wall_ms(&self) -> i64 {
        self.around.clock.wall_ms()
    }

    fn is_throttled_as_follower(&self) -> bool {
        let (partition, own_id) = (self.id.partition, self.around.own_id);
        self.log
            .read()
            .config()
            .follower_throttled
            .names(partition, own_id)
    }

    /// Whether `follower` gets nothing now: those in sync are never slowed down.
    pub(super) fn holds_back(&self, follower: BrokerId) -> bool {
        if !self.around.quotas.leader.is_exceeded() || !self.is_throttled_as_leader() {
            return false;
        }
        match &self.state.lock().role {
            Role::Leader(leader) => !leader.isr.contains(&follower),
            Role::Follower(_) | Role::Stopped { .. } | Role::None => false,
        }
    }

    /// Whether this follower fetches nothing now.
    pub(in crate::replica) fn is_held_back(&self) -> bool {
        self.around.quotas.follower.is_exceeded()
            && self.lags.load(Ordering::Relaxed)
            && self.is_throttled_as_follower()
    }

    /// Notes what this follower got, and where the leader was then.
    pub(in crate::replica) fn on_fetched(&self, bytes: usize, leader_high_watermark: Offset) {
        let reached = self.log.read().log_end_offset();
        self.lags
            .store(reached < leader_high_watermark, Ordering::Relaxed);
        if bytes > 0 && self.is_throttled_as_follower() {
            self.around.quotas.follower.record(bytes);
        }
    }
}
