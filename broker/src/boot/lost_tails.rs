//! What a broker does about records that a power cut may have taken from it.
//!
//! Records are acknowledged before they are synced, since the other in-sync
//! replicas have them. A machine that goes down forgets what it did not sync;
//! if its replica then led again as one of the ISR, the others would cut their
//! logs to what it has left, and acknowledged records would be gone although
//! somebody had them (KIP-966). Kafka with ZooKeeper leaves the ISR only if the
//! controller saw the broker die, which a quick reboot, or a controller that
//! died with it, prevents; and a replica that was alone in the ISR stays in it.
//!
//! So a broker whose directories were not closed cleanly before the machine
//! went down (`log::Manager::may_lack_tail`) does this before it registers:
//!
//! 1. It waits until its old registration is gone, so that nobody lives under
//!    its id whose ISRs it would take away.
//! 2. Where the ISR has other members, it writes a state without itself, and
//!    without a leader if it led; the next leader epoch makes the others listen
//!    to what the controller tells them of it. Those others have everything that
//!    was committed, and it comes back into the ISR by fetching.
//! 3. It registers, upon which the controller elects where nobody leads.
//!
//! Why that is safe: the write is conditional on the version of the znode, as
//! those of leaders were before AlterPartition, and a note in
//! `/isr_change_notification` tells the controller, ours or Kafka's, which reads
//! the znode before each election and when the old registration vanishes.
//! Nobody can put the broker into the ISR again in between: a leader proposes
//! only who fetches from it, and the proposal of before fails at the version. A
//! second broker that steps back at the same time meets the other's version, so
//! the last one stays: an ISR is never empty.
//!
//! **Invariant:** a boot of the machine is noted as seen only after the ISRs
//! were left; a crash in between repeats it.
//! **Invariant:** only what a real ZooKeeper and Kafka's own controller know is
//! used.

use std::time::Duration;

use futures::future::join_all;

use crate::log;
use crate::model::{BrokerId, NO_LEADER, TopicName, TopicPartition};
use crate::registry::{self, LeaderAndIsr, PartitionLeadership, RegisterError, Registry};

/// A broker that starts.
pub(super) struct LostTails<'a> {
    pub(super) broker_id: BrokerId,
    pub(super) registry: &'a Registry,
    pub(super) logs: &'a log::Manager,
}

/// The state without `id`, which may lack records; `None` where nothing is to
/// be done: it is no member, or there is no other.
fn without(id: BrokerId, now: &LeaderAndIsr) -> Option<LeaderAndIsr> {
    let others: Vec<BrokerId> = now.isr.iter().copied().filter(|o| *o != id).collect();
    if others.is_empty() || others.len() == now.isr.len() {
        return None;
    }
    let leader = match now.leader == id {
        true => NO_LEADER,
        false => now.leader,
    };
    Some(now.next(leader, others))
}

impl LostTails<'_> {
    /// Leaves the ISRs; to be done before this broker registers. An old
    /// registration is waited for up to `wait_max`.
    pub(super) async fn step_back(&self, wait_max: Duration) -> Result<(), RegisterError> {
        if self.logs.may_lack_tails() {
            self.registry
                .until_unregistered(self.broker_id, wait_max)
                .await?;
            let suspects = self.suspects().await?;
            let left = self.leave(suspects).await?;
            if let Some(first) = left.first() {
                tracing::warn!(
                    count = left.len(), %first,
                    "the machine went down and records may be lost: this broker leaves the ISRs and catches up"
                );
                self.registry.note_isr_changes(&left).await?;
            }
        }
        self.logs.note_boot();
        Ok(())
    }

    /// The replicas of this broker that may lack records.
    async fn suspects(&self) -> Result<Vec<TopicPartition>, registry::Error> {
        let topics = self.registry.topics(None).await?;
        let assigned = self.registry.assignments(&topics, None).await?;
        let replicas = assigned.into_iter().flat_map(|(topic, assignment)| {
            let partitions = assignment.partitions.into_iter();
            let own =
                partitions.filter(|(_, assigned)| assigned.replicas.contains(&self.broker_id));
            own.map(move |(index, _)| TopicPartition::new(TopicName::clone(&topic), index))
                .collect::<Vec<_>>()
        });
        Ok(replicas.filter(|id| self.logs.may_lack_tail(id)).collect())
    }

    /// Leaves the ISRs of `partitions`; gives those whose state was written.
    async fn leave(
        &self,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<TopicPartition>, registry::Error> {
        let mut remaining = partitions;
        let mut left = Vec::new();
        while !remaining.is_empty() {
            let read = self.registry.partition_states(&remaining).await?;
            let plans = remaining.drain(..).zip(read).filter_map(|(id, read)| {
                let read = read?;
                let state = without(self.broker_id, &read.state)?;
                let wanted = PartitionLeadership { state, ..read };
                Some((id, wanted))
            });
            let plans: Vec<_> = plans.collect();
            let writes = plans
                .iter()
                .map(|(id, plan)| self.registry.write_isr(id, plan));
            let written = join_all(writes).await;
            for ((id, _), written) in plans.into_iter().zip(written) {
                match written? {
                    Some(_) => left.push(id),
                    // Somebody else wrote it meanwhile.
                    None => remaining.push(id),
                }
            }
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_leaves_unless_it_is_the_last() {
        let state = |leader, isr: &[BrokerId]| LeaderAndIsr {
            leader_epoch: 4,
            partition_epoch: 9,
            ..LeaderAndIsr::initial(leader, isr.to_vec())
        };
        let after = |leader, isr: &[BrokerId]| without(1, &state(leader, isr));
        let left = after(1, &[1, 2, 3]).unwrap();
        assert_eq!((left.leader, left.isr), (NO_LEADER, vec![2, 3]));
        assert_eq!((left.leader_epoch, left.partition_epoch), (5, 9));
        let left = after(2, &[2, 1]).unwrap();
        assert_eq!((left.leader, left.isr), (2, vec![2]));
        assert_eq!(after(1, &[1]), None, "nobody else has more");
        assert_eq!(after(2, &[2, 3]), None);
        assert_eq!(after(NO_LEADER, &[]), None);
    }
}
