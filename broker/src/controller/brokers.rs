//! Brokers that come, go, bounce, or change their listeners.

use std::collections::{BTreeMap, BTreeSet};

use super::active::{Active, Result};
use super::context::Replica;
use super::election::Strategy;
use super::states::{PartitionState, ReplicaState};
use crate::model::{BrokerEpoch, BrokerId, TopicName};
use crate::protocol::interbroker::LiveBroker;
use crate::registry::BrokerRegistration;

/// What changed between two listings of the registered brokers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) new: Vec<LiveBroker>,
    /// Registered again since: an incarnation died unseen.
    pub(super) bounced: Vec<LiveBroker>,
    pub(super) dead: Vec<BrokerId>,
}

pub(super) fn difference(known: &BTreeMap<BrokerId, LiveBroker>, now: &[LiveBroker]) -> Difference {
    let mut difference = Difference::default();
    for broker in now {
        match known.get(&broker.id) {
            None => difference.new.push(broker.clone()),
            Some(known) if broker.epoch > known.epoch => difference.bounced.push(broker.clone()),
            Some(_) => {}
        }
    }
    let is_gone = |id: &BrokerId| !now.iter().any(|broker| broker.id == *id);
    difference.dead = known.keys().copied().filter(is_gone).collect();
    difference
}

pub(super) fn live((registration, epoch): (BrokerRegistration, BrokerEpoch)) -> LiveBroker {
    LiveBroker {
        id: registration.id,
        epoch,
        endpoints: registration.endpoints,
        rack: registration.rack,
    }
}

impl Active {
    pub(super) async fn on_brokers_changed(&mut self) -> Result<()> {
        let now = self.registry.brokers(Some(&self.watcher)).await?;
        let now: Vec<LiveBroker> = now.into_iter().map(live).collect();
        let Difference { new, bounced, dead } = difference(&self.context.brokers, &now);
        if new.is_empty() && bounced.is_empty() && dead.is_empty() {
            return Ok(());
        }
        let ids = |brokers: &[LiveBroker]| brokers.iter().map(|b| b.id).collect::<Vec<_>>();
        let (new_ids, bounced_ids) = (ids(&new), ids(&bounced));
        tracing::info!(new = ?new_ids, bounced = ?bounced_ids, ?dead, "the brokers changed");
        for broker in new.iter().chain(&bounced) {
            self.senders.add(broker.clone());
        }
        for id in &dead {
            self.senders.remove(*id);
        }
        if !new.is_empty() {
            self.on_started(new).await?;
        }
        if !bounced.is_empty() {
            self.on_failed(&bounced_ids).await?;
            self.on_started(bounced).await?;
        }
        if !dead.is_empty() {
            self.on_failed(&dead).await?;
        }
        Ok(())
    }

    async fn on_started(&mut self, brokers: Vec<LiveBroker>) -> Result<()> {
        let others = self.context.broker_ids();
        let ids: BTreeSet<BrokerId> = brokers.iter().map(|broker| broker.id).collect();
        for broker in brokers {
            self.context.offline_dirs.remove(&broker.id);
            self.context.brokers.insert(broker.id, broker);
        }
        // The others learn of the new; the new learn everything.
        self.send_metadata(&others, &[]);
        let led: Vec<_> = self
            .context
            .all_partitions()
            .filter(|partition| !self.context.is_to_delete(&partition.topic))
            .collect();
        let to: Vec<BrokerId> = ids.iter().copied().collect();
        self.send_metadata(&to, &led);
        let replicas = self.context.replicas_on(&ids);
        self.move_replicas(replicas.clone(), ReplicaState::Online)
            .await?;
        self.elect_missing_leaders().await?;
        self.resume_reassignments().await?;
        let resumable = replicas.into_iter().map(|replica| replica.partition.topic);
        self.resume_deletion_of(resumable.collect()).await
    }

    async fn on_failed(&mut self, brokers: &[BrokerId]) -> Result<()> {
        for id in brokers {
            self.context.brokers.remove(id);
            self.context.offline_dirs.remove(id);
            self.context.shutting_down.remove(id);
        }
        let ids = brokers.iter().copied().collect();
        let replicas = self.context.replicas_on(&ids);
        self.on_replicas_offline(replicas).await
    }

    /// Replicas went offline: partitions that they led elect, and the others
    /// lose a member of their ISR.
    pub(super) async fn on_replicas_offline(&mut self, replicas: Vec<Replica>) -> Result<()> {
        let (to_delete, others): (Vec<_>, Vec<_>) = replicas
            .into_iter()
            .partition(|r| self.context.is_to_delete(&r.partition.topic));
        for partition in self.context.with_offline_leader() {
            self.context
                .move_partition(&partition, PartitionState::Offline);
        }
        let elected = self.elect_missing_leaders().await?;
        let has_others = !others.is_empty();
        self.move_replicas(others, ReplicaState::Offline).await?;
        self.fail_replica_deletion(to_delete).await?;
        if !has_others && elected == 0 {
            // Nothing above told the brokers who is gone.
            let all = self.context.broker_ids();
            self.send_metadata(&all, &[]);
        }
        Ok(())
    }

    /// Tries every partition without a leader; returns how many got one.
    pub(super) async fn elect_missing_leaders(&mut self) -> Result<usize> {
        let waiting = self.context.without_leader();
        let elected = self.bring_online(waiting, Strategy::Offline).await?;
        Ok(elected.len())
    }

    /// A topic allows unclean elections from now on, which may be what its
    /// partitions without a leader wait for.
    pub(super) async fn on_unclean_election_allowed(&mut self, topic: &TopicName) -> Result<()> {
        let mut waiting = self.context.without_leader();
        waiting.retain(|partition| partition.topic == *topic);
        self.bring_online(waiting, Strategy::Offline).await?;
        Ok(())
    }

    /// A broker's registration changed without a restart.
    pub(super) async fn on_broker_modified(&mut self, id: BrokerId) -> Result<()> {
        let Some(now) = self.registry.broker(id, Some(&self.watcher)).await? else {
            return Ok(());
        };
        let now = live(now);
        let Some(known) = self.context.brokers.get_mut(&id) else {
            return Ok(());
        };
        if known.epoch == now.epoch && *known != now {
            tracing::info!(id, endpoints = ?now.endpoints, "a broker changed its listeners");
            *known = now;
            let all = self.context.broker_ids();
            self.send_metadata(&all, &[]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(id: BrokerId, epoch: BrokerEpoch) -> LiveBroker {
        LiveBroker {
            id,
            epoch,
            endpoints: Vec::new(),
            rack: None,
        }
    }

    #[test]
    fn listings_are_compared_by_id_and_epoch() {
        let known = [broker(1, 10), broker(2, 20), broker(3, 30)];
        let known = known
            .into_iter()
            .map(|broker| (broker.id, broker))
            .collect();
        let now = [broker(2, 20), broker(3, 31), broker(4, 40)];
        let expected = Difference {
            new: vec![broker(4, 40)],
            bounced: vec![broker(3, 31)],
            dead: vec![1],
        };
        assert_eq!(difference(&known, &now), expected);
        assert_eq!(
            difference(&known, &[broker(1, 9), broker(2, 20), broker(3, 30)]),
            Difference::default()
        );
    }
}
