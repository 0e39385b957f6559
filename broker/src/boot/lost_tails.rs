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
//! 3. Where it is the only member, it asks the other replicas (`last_replica`),
//!    and hands the ISR to those that have more than is left here.
//! 4. It registers, upon which the controller elects where nobody leads.
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

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use super::last_replica::{LogEnd, Peer, ahead_of};
use crate::log;
use crate::model::{BrokerId, NO_LEADER, TopicName, TopicPartition};
use crate::peer::Address;
use crate::registry::{self, LeaderAndIsr, PartitionLeadership, RegisterError, Registry};

/// A broker that starts.
pub(super) struct LostTails<'a> {
    pub(super) broker_id: BrokerId,
    pub(super) registry: &'a Registry,
    pub(super) logs: &'a log::Manager,
    /// Where brokers reach each other.
    pub(super) listener: &'a str,
}

/// A replica of this broker, and the brokers that have others.
struct Suspect {
    partition: TopicPartition,
    others: Vec<BrokerId>,
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
            let mut left = self.leave(&suspects).await?;
            if let Some(first) = left.first() {
                tracing::warn!(
                    count = left.len(), %first,
                    "the machine went down and records may be lost: this broker leaves the ISRs and catches up"
                );
            }
            left.extend(self.hand_over(&suspects).await?);
            if !left.is_empty() {
                self.registry.note_isr_changes(&left).await?;
            }
        }
        self.logs.note_boot();
        Ok(())
    }

    /// The replicas of this broker that may lack records.
    async fn suspects(&self) -> Result<Vec<Suspect>, registry::Error> {
        let topics = self.registry.topics(None).await?;
        let mut suspects = Vec::new();
        for (topic, assignment) in self.registry.assignments(&topics, None).await? {
            for (index, assigned) in assignment.partitions {
                let partition = TopicPartition::new(TopicName::clone(&topic), index);
                let mut others = assigned.replicas;
                let is_own = others.contains(&self.broker_id);
                if is_own && self.logs.may_lack_tail(&partition) {
                    others.retain(|id| *id != self.broker_id);
                    suspects.push(Suspect { partition, others });
                }
            }
        }
        Ok(suspects)
    }

    /// Leaves the ISRs that have other members; gives those whose state was
    /// written.
    async fn leave(&self, suspects: &[Suspect]) -> Result<Vec<TopicPartition>, registry::Error> {
        let partitions = suspects.iter().map(|suspect| suspect.partition.clone());
        let mut remaining: Vec<_> = partitions.collect();
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

    /// Gives the ISRs of which this broker is the only member to replicas that
    /// have more; gives the partitions whose state was written.
    async fn hand_over(
        &self,
        suspects: &[Suspect],
    ) -> Result<Vec<TopicPartition>, registry::Error> {
        let mut handed = Vec::new();
        let partitions: Vec<_> = suspects.iter().map(|s| s.partition.clone()).collect();
        let states = self.registry.partition_states(&partitions).await?;
        let alone = |(_, read): &(&Suspect, Option<PartitionLeadership>)| {
            let read = read.as_ref();
            read.is_some_and(|read| read.state.isr == [self.broker_id])
        };
        let alone: Vec<_> = suspects.iter().zip(states).filter(alone).collect();
        if alone.is_empty() {
            return Ok(handed);
        }
        let mut peers = self.peers().await?;
        for (suspect, read) in alone {
            let (Some(read), partition) = (read, &suspect.partition) else {
                continue;
            };
            let own = self.own_end(partition);
            let mut ends = Vec::new();
            for id in &suspect.others {
                if let Some(peer) = peers.get_mut(id)
                    && let Some(end) = peer.log_end(partition, own, read.state.leader_epoch).await
                {
                    ends.push((peer.id, end));
                }
            }
            let heirs = ahead_of(own, &ends);
            if heirs.is_empty() {
                continue;
            }
            tracing::warn!(
                %partition, ?own, ?ends, ?heirs,
                "records were lost here that other replicas have: one of them leads"
            );
            let state = read.state.next(NO_LEADER, heirs);
            let wanted = PartitionLeadership { state, ..read };
            // Nobody but a controller on an operator's word writes it meanwhile.
            if self.registry.write_isr(partition, &wanted).await?.is_some() {
                handed.push(partition.clone());
            }
        }
        Ok(handed)
    }

    fn own_end(&self, partition: &TopicPartition) -> LogEnd {
        let log = self.logs.get(partition);
        log.map_or((-1, 0), |log| {
            let log = log.read();
            (log.latest_epoch().unwrap_or(-1), log.log_end_offset())
        })
    }

    /// Those that can be asked.
    async fn peers(&self) -> Result<BTreeMap<BrokerId, Peer>, registry::Error> {
        let registered = self.registry.brokers(None).await?.into_iter();
        let peers = registered.filter_map(|(broker, _)| {
            let mut endpoints = broker.endpoints.into_iter();
            let endpoint = endpoints.find(|endpoint| endpoint.listener == self.listener)?;
            let (host, port) = (endpoint.host, endpoint.port);
            let peer = Peer::new(broker.id, Address { host, port }, self.broker_id);
            Some((broker.id, peer))
        });
        Ok(peers.collect())
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
