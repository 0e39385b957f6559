//! A replica without room on its disk gives way to another.
//!
//! Kafka takes a full disk for a failed one: the broker leaves a note for the
//! controller, which asks it for all its replicas (LeaderAndIsr), hears a storage
//! error for those concerned, elects others and takes these out of the ISRs. Ours
//! says the same, where there is another in-sync replica; where there is none it
//! leads on, refuses records and serves readers. Kafka's directory is offline
//! until a restart; ours leaves another note when there is room, is told its
//! roles again, and catches up.
//!
//! **Invariant:** no replica gives way unless another in the ISR was heard of
//! lately, and its ISR does not shrink to itself between its word and the
//! election.

use super::{Partition, Role};
use crate::protocol::interbroker::PartitionState;

impl Partition {
    /// Whether the controller ought to ask this replica.
    pub(in crate::replica) fn would_give_way(&self) -> bool {
        if !self.log.read().is_full() {
            return false;
        }
        let now = self.around.clock.monotonic();
        match &self.state.lock().role {
            Role::Leader(leader) => leader.has_heir(now, &|id| self.is_alive(id)),
            Role::Follower(_) => true,
            Role::Stopped { .. } | Role::None => false,
        }
    }

    /// Whether this replica has no room and does not take the role in `decided`,
    /// since others can do without it.
    pub(in crate::replica) fn gives_way(&self, decided: &PartitionState) -> bool {
        let is_full = self.log.read().is_full();
        let own_id = self.around.own_id;
        let has_others = decided.isr.iter().any(|id| *id != own_id);
        let now = self.around.clock.monotonic();
        match &mut self.state.lock().role {
            Role::Leader(leader) if !is_full => {
                leader.stay();
                false
            }
            Role::Leader(leader) if decided.leader == own_id => {
                has_others && leader.hand_over(now, &|id| self.is_alive(id))
            }
            _ => is_full && has_others,
        }
    }
}
