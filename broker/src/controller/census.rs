//! How much there is of what in the cluster, for an operator's monitor; pure.

use super::context::Context;
use super::states::{PartitionState, ReplicaState};
use crate::model::TopicName;

/// What the active controller counts, as Kafka's `KafkaController` metrics do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Registered, also those that shut down.
    pub brokers: usize,
    pub topics: usize,
    pub partitions: usize,
    /// Whose leader is gone, of topics that stay.
    pub offline_partitions: usize,
    /// Led by another than the first replica, of topics that stay.
    pub imbalanced_partitions: usize,
    pub topics_to_delete: usize,
    /// Topics whose deletion waits for a broker or a reassignment.
    pub ineligible_topics: usize,
    pub replicas_to_delete: usize,
    pub ineligible_replicas: usize,
    pub reassigned_partitions: usize,
}

impl Context {
    pub(super) fn census(&self) -> Census {
        let mut census = Census {
            brokers: self.brokers.len(),
            topics: self.topics.len(),
            topics_to_delete: self.to_delete.len(),
            ineligible_topics: self.deletion_ineligible.len(),
            reassigned_partitions: self.being_reassigned().len(),
            ..Census::default()
        };
        for (name, topic) in &self.topics {
            census.partitions += topic.partitions.len();
            match self.is_to_delete(name) {
                true => self.count_deletion(name, &mut census),
                false => self.count_leaders(name, &mut census),
            }
        }
        census
    }

    fn count_leaders(&self, name: &TopicName, census: &mut Census) {
        for partition in self.partitions_of(name) {
            let leader = self.leader(&partition);
            let known = self.partition(&partition);
            if known.is_some_and(|known| known.state == PartitionState::Offline) {
                census.offline_partitions += 1;
            }
            if self.replicas(&partition).first() != leader.as_ref() {
                census.imbalanced_partitions += 1;
            }
        }
    }

    fn count_deletion(&self, name: &TopicName, census: &mut Census) {
        for replica in self.replicas_of(&self.partitions_of(name)) {
            match self.replica_state(&replica) {
                ReplicaState::DeletionSuccessful => {}
                ReplicaState::DeletionIneligible => {
                    census.replicas_to_delete += 1;
                    census.ineligible_replicas += 1;
                }
                _ => census.replicas_to_delete += 1,
            }
        }
    }
}
