//! Everything the controller knows; pure.
//!
//! **Invariant:** what is here about leaders was read from or written to the
//! registry before.

use std::collections::{BTreeMap, BTreeSet};

use super::states::{PartitionState, ReplicaState};
use crate::model::{BrokerId, LeaderEpoch, TopicId, TopicName, TopicPartition};
use crate::protocol::interbroker::{EPOCH_DURING_DELETE, LiveBroker};
use crate::registry::{Fence, PartitionLeadership, ReplicaAssignment, TopicAssignment};

/// The leader epoch of a partition that never had a leader.
const NO_EPOCH: LeaderEpoch = -1;

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Replica {
    pub(super) partition: TopicPartition,
    pub(super) broker: BrokerId,
}

#[derive(Debug, Clone)]
pub(super) struct Partition {
    pub(super) assignment: ReplicaAssignment,
    pub(super) leadership: Option<PartitionLeadership>,
    pub(super) state: PartitionState,
    replicas: BTreeMap<BrokerId, ReplicaState>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    pub(super) id: Option<TopicId>,
    pub(super) partitions: BTreeMap<i32, Partition>,
}

#[derive(Debug)]
pub(super) struct Context {
    pub(super) id: BrokerId,
    pub(super) fence: Fence,
    /// The listener at which brokers reach each other.
    pub(super) inter_broker_listener: String,
    /// Whether one StopReplica may keep some replicas and delete others.
    pub(super) stops_are_mixed: bool,
    /// Registered brokers, with those that shut down.
    pub(super) brokers: BTreeMap<BrokerId, LiveBroker>,
    pub(super) shutting_down: BTreeSet<BrokerId>,
    pub(super) topics: BTreeMap<TopicName, Topic>,
    pub(super) to_delete: BTreeSet<TopicName>,
    pub(super) deletion_started: BTreeSet<TopicName>,
    pub(super) deletion_ineligible: BTreeSet<TopicName>,
    /// Replicas in failed log directories.
    pub(super) offline_dirs: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
}

impl Context {
    pub(super) fn new(id: BrokerId, fence: Fence, inter_broker_listener: String) -> Self {
        Self {
            id,
            fence,
            inter_broker_listener,
            stops_are_mixed: true,
            brokers: BTreeMap::new(),
            shutting_down: BTreeSet::new(),
            topics: BTreeMap::new(),
            to_delete: BTreeSet::new(),
            deletion_started: BTreeSet::new(),
            deletion_ineligible: BTreeSet::new(),
            offline_dirs: BTreeMap::new(),
        }
    }

    /// Registered brokers, with those that shut down.
    pub(super) fn broker_ids(&self) -> Vec<BrokerId> {
        self.brokers.keys().copied().collect()
    }

    /// Whether `broker` is up, does not shut down, and has this replica's disk.
    pub(super) fn is_online(&self, broker: BrokerId, partition: &TopicPartition) -> bool {
        self.brokers.contains_key(&broker)
            && !self.shutting_down.contains(&broker)
            && !self.is_on_offline_dir(broker, partition)
    }

    fn is_on_offline_dir(&self, broker: BrokerId, partition: &TopicPartition) -> bool {
        self.offline_dirs
            .get(&broker)
            .is_some_and(|partitions| partitions.contains(partition))
    }

    /// The brokers that have an online replica of `partition`, of any role.
    pub(super) fn online_for(&self, partition: &TopicPartition) -> BTreeSet<BrokerId> {
        self.brokers
            .keys()
            .copied()
            .filter(|id| self.is_online(*id, partition))
            .collect()
    }

    /// The shutting down brokers whose replica of `partition` can still be used.
    pub(super) fn leaving_for(&self, partition: &TopicPartition) -> BTreeSet<BrokerId> {
        self.shutting_down
            .iter()
            .copied()
            .filter(|id| self.brokers.contains_key(id) && !self.is_on_offline_dir(*id, partition))
            .collect()
    }

    /// The topic with this id.
    pub(super) fn topic_of(&self, id: TopicId) -> Option<TopicName> {
        let mut topics = self.topics.iter();
        let found = topics.find(|(_, topic)| topic.id == Some(id));
        found.map(|(name, _)| name.clone())
    }

    pub(super) fn partition(&self, partition: &TopicPartition) -> Option<&Partition> {
        self.topics
            .get(&partition.topic)?
            .partitions
            .get(&partition.partition)
    }

    pub(super) fn partition_mut(&mut self, partition: &TopicPartition) -> Option<&mut Partition> {
        self.topics
            .get_mut(&partition.topic)?
            .partitions
            .get_mut(&partition.partition)
    }

    /// The replicas of a partition; none when it is not known.
    pub(super) fn replicas(&self, partition: &TopicPartition) -> &[BrokerId] {
        self.partition(partition)
            .map_or(&[], |p| &p.assignment.replicas)
    }

    pub(super) fn assignment(&self, partition: &TopicPartition) -> Option<&ReplicaAssignment> {
        Some(&self.partition(partition)?.assignment)
    }

    pub(super) fn set_assignment(&mut self, partition: &TopicPartition, new: ReplicaAssignment) {
        if let Some(known) = self.partition_mut(partition) {
            known.assignment = new;
        }
    }

    /// A topic's node as it should be.
    pub(super) fn topic_assignment(&self, name: &TopicName) -> Option<TopicAssignment> {
        let topic = self.topics.get(name)?;
        let partitions = topic.partitions.iter();
        Some(TopicAssignment {
            topic_id: topic.id,
            partitions: partitions
                .map(|(number, known)| (*number, known.assignment.clone()))
                .collect(),
        })
    }

    /// The partitions whose replicas move.
    pub(super) fn being_reassigned(&self) -> Vec<TopicPartition> {
        let moves = |partition: &TopicPartition| {
            let assignment = self.assignment(partition);
            assignment.is_some_and(ReplicaAssignment::is_being_reassigned)
        };
        self.all_partitions().filter(moves).collect()
    }

    pub(super) fn leadership(&self, partition: &TopicPartition) -> Option<&PartitionLeadership> {
        self.partition(partition)?.leadership.as_ref()
    }

    pub(super) fn set_leadership(&mut self, partition: &TopicPartition, new: PartitionLeadership) {
        if let Some(known) = self.partition_mut(partition) {
            known.leadership = Some(new);
        }
    }

    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<BrokerId> {
        self.leadership(partition)
            .map(|leadership| leadership.state.leader)
    }

    /// The leader epoch for a StopReplica.
    pub(super) fn stop_epoch(&self, partition: &TopicPartition) -> LeaderEpoch {
        if self.is_to_delete(&partition.topic) {
            return EPOCH_DURING_DELETE;
        }
        self.leadership(partition)
            .map_or(NO_EPOCH, |leadership| leadership.state.leader_epoch)
    }

    /// Takes partitions in that were not known; returns them.
    pub(super) fn add_topic(
        &mut self,
        name: &TopicName,
        assignment: TopicAssignment,
    ) -> Vec<TopicPartition> {
        let topic = self.topics.entry(name.clone()).or_default();
        topic.id = assignment.topic_id.or(topic.id);
        let mut added = Vec::new();
        for (number, assignment) in assignment.partitions {
            topic.partitions.entry(number).or_insert_with(|| {
                added.push(TopicPartition::new(name.clone(), number));
                Partition {
                    assignment,
                    leadership: None,
                    state: PartitionState::NonExistent,
                    replicas: BTreeMap::new(),
                }
            });
        }
        added
    }

    pub(super) fn remove_topic(&mut self, name: &TopicName) {
        self.topics.remove(name);
        self.to_delete.remove(name);
        self.deletion_started.remove(name);
        self.deletion_ineligible.remove(name);
        for partitions in self.offline_dirs.values_mut() {
            partitions.retain(|partition| partition.topic != *name);
        }
    }

    pub(super) fn is_to_delete(&self, topic: &TopicName) -> bool {
        self.to_delete.contains(topic)
    }

    pub(super) fn all_partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        self.topics.iter().flat_map(|(name, topic)| {
            topic
                .partitions
                .keys()
                .map(|number| TopicPartition::new(name.clone(), *number))
        })
    }

    pub(super) fn partitions_of(&self, topic: &TopicName) -> Vec<TopicPartition> {
        let partitions = self.topics.get(topic).map(|topic| topic.partitions.keys());
        let partitions = partitions.into_iter().flatten();
        partitions
            .map(|number| TopicPartition::new(topic.clone(), *number))
            .collect()
    }

    pub(super) fn replicas_of(&self, partitions: &[TopicPartition]) -> Vec<Replica> {
        let replicas = partitions.iter().flat_map(|partition| {
            let replicas = self.replicas(partition).iter();
            replicas.map(|id| Replica {
                partition: partition.clone(),
                broker: *id,
            })
        });
        replicas.collect()
    }

    pub(super) fn replicas_on(&self, brokers: &BTreeSet<BrokerId>) -> Vec<Replica> {
        let all: Vec<_> = self.all_partitions().collect();
        let mut replicas = self.replicas_of(&all);
        replicas.retain(|replica| brokers.contains(&replica.broker));
        replicas
    }

    /// Partitions whose leader is not there, unless they are to be deleted.
    pub(super) fn with_offline_leader(&self) -> Vec<TopicPartition> {
        let is_leaderless = |partition: &TopicPartition| {
            !self.is_to_delete(&partition.topic)
                && self
                    .leader(partition)
                    .is_some_and(|leader| !self.is_online(leader, partition))
        };
        self.all_partitions().filter(is_leaderless).collect()
    }

    /// Partitions that need a leader, unless they are to be deleted.
    pub(super) fn without_leader(&self) -> Vec<TopicPartition> {
        let needs_leader = |partition: &TopicPartition| {
            let state = self.partition(partition).map(|known| known.state);
            !self.is_to_delete(&partition.topic)
                && matches!(state, Some(PartitionState::New | PartitionState::Offline))
        };
        self.all_partitions().filter(needs_leader).collect()
    }

    /// Moves a partition if the move is legal.
    pub(super) fn move_partition(
        &mut self,
        partition: &TopicPartition,
        target: PartitionState,
    ) -> bool {
        let Some(known) = self.partition_mut(partition) else {
            return false;
        };
        let from = known.state;
        if !from.can_become(target) {
            tracing::error!(%partition, ?from, ?target, "a partition cannot change its state so");
            return false;
        }
        known.state = target;
        true
    }

    pub(super) fn replica_state(&self, replica: &Replica) -> ReplicaState {
        self.partition(&replica.partition)
            .and_then(|partition| partition.replicas.get(&replica.broker).copied())
            .unwrap_or(ReplicaState::NonExistent)
    }

    /// Sets the state of a replica at the start, whatever it was.
    pub(super) fn init_replica(&mut self, replica: &Replica, state: ReplicaState) {
        if let Some(partition) = self.partition_mut(&replica.partition) {
            partition.replicas.insert(replica.broker, state);
        }
    }

    /// Moves a replica if the move is legal; returns where it came from.
    pub(super) fn move_replica(
        &mut self,
        replica: &Replica,
        target: ReplicaState,
    ) -> Option<ReplicaState> {
        let from = self.replica_state(replica);
        if !from.can_become(target) {
            let Replica { partition, broker } = replica;
            tracing::error!(%partition, broker, ?from, ?target, "a replica cannot change its state so");
            return None;
        }
        self.init_replica(replica, target);
        Some(from)
    }

    pub(super) fn topic_replicas_in(&self, topic: &TopicName, state: ReplicaState) -> Vec<Replica> {
        let mut replicas = self.replicas_of(&self.partitions_of(topic));
        replicas.retain(|replica| self.replica_state(replica) == state);
        replicas
    }
}
