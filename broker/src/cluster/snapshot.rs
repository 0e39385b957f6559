//! The snapshot's data and how an update makes the next one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{BrokerId, LEADER_DURING_DELETE, TopicId, TopicName};
use crate::protocol::interbroker::{Endpoint, LiveBroker, PartitionState, UpdateMetadataRequest};

/// One partition as clients may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub state: PartitionState,
    pub offline_replicas: Vec<BrokerId>,
}

/// One topic with all of its partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topic {
    /// Zero when the topic has none (created before KIP-516).
    pub id: TopicId,
    pub partitions: BTreeMap<i32, Arc<Partition>>,
}

/// Brokers and topics at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub controller: Option<BrokerId>,
    pub brokers: BTreeMap<BrokerId, LiveBroker>,
    pub topics: BTreeMap<TopicName, Arc<Topic>>,
    names: HashMap<TopicId, TopicName>,
}

impl Snapshot {
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    #[must_use]
    pub fn topic_name(&self, id: TopicId) -> Option<&TopicName> {
        self.names.get(&id)
    }

    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Arc<Partition>> {
        self.topics.get(topic)?.partitions.get(&partition)
    }

    /// Where clients of `listener` reach `broker`, while it is alive.
    #[must_use]
    pub fn endpoint(&self, broker: BrokerId, listener: &str) -> Option<&Endpoint> {
        let endpoints = &self.brokers.get(&broker)?.endpoints;
        endpoints
            .iter()
            .find(|endpoint| endpoint.listener == listener)
    }

    /// The brokers that clients of `listener` can reach, in the order of their ids.
    pub fn reachable<'a>(
        &'a self,
        listener: &'a str,
    ) -> impl Iterator<Item = (&'a LiveBroker, &'a Endpoint)> {
        self.brokers
            .values()
            .filter_map(move |broker| Some((broker, self.endpoint(broker.id, listener)?)))
    }

    /// The next snapshot; partitions with the leader of a deletion disappear.
    #[must_use]
    pub(super) fn updated(&self, update: &UpdateMetadataRequest) -> Self {
        let mut next = self.clone();
        next.controller = Some(update.header.controller_id);
        next.brokers = update
            .live_brokers
            .iter()
            .map(|broker| (broker.id, broker.clone()))
            .collect();
        for (index, state) in update.partitions.iter().enumerate() {
            let offline = update.offline_replicas.get(index).cloned();
            next.set_partition(state, offline.unwrap_or_default());
        }
        for (name, id) in &update.topic_ids {
            next.set_topic_id(name, *id);
        }
        next
    }

    fn set_partition(&mut self, state: &PartitionState, offline_replicas: Vec<BrokerId>) {
        let name = &state.topic_partition.topic;
        let index = state.topic_partition.partition;
        if state.leader == LEADER_DURING_DELETE {
            self.remove_partition(name, index);
            return;
        }
        let topic = Arc::make_mut(self.topics.entry(name.clone()).or_default());
        let state = state.clone();
        let partition = Partition {
            state,
            offline_replicas,
        };
        topic.partitions.insert(index, Arc::new(partition));
    }

    fn remove_partition(&mut self, name: &TopicName, index: i32) {
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        let topic = Arc::make_mut(topic);
        topic.partitions.remove(&index);
        if topic.partitions.is_empty() {
            self.names.remove(&topic.id);
            self.topics.remove(name);
        }
    }

    fn set_topic_id(&mut self, name: &TopicName, id: TopicId) {
        let Some(topic) = self.topics.get_mut(name) else {
            return;
        };
        if topic.id != id {
            self.names.remove(&topic.id);
            Arc::make_mut(topic).id = id;
        }
        if !id.is_nil() {
            self.names.insert(id, name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicPartition;
    use crate::protocol::interbroker::ControlHeader;

    fn name(text: &str) -> TopicName {
        TopicName::new(text).unwrap()
    }

    fn state(topic: &str, partition: i32, leader: BrokerId) -> PartitionState {
        PartitionState {
            topic_partition: TopicPartition::new(name(topic), partition),
            controller_epoch: 1,
            leader,
            leader_epoch: 0,
            isr: vec![leader],
            partition_epoch: 0,
            replicas: vec![leader],
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
            is_new: false,
            leader_recovery_state: 0,
        }
    }

    fn update(partitions: Vec<PartitionState>, ids: &[(&str, u128)]) -> UpdateMetadataRequest {
        UpdateMetadataRequest {
            header: ControlHeader {
                controller_id: 1,
                controller_epoch: 1,
                broker_epoch: 1,
            },
            partitions,
            offline_replicas: Vec::new(),
            topic_ids: ids
                .iter()
                .map(|(topic, id)| (name(topic), TopicId::from_u128(*id)))
                .collect(),
            live_brokers: Vec::new(),
        }
    }

    #[test]
    fn topics_come_with_their_partitions_and_go_with_the_last() {
        let states = vec![state("t", 0, 1), state("t", 1, 1)];
        let snapshot = Snapshot::default().updated(&update(states, &[("t", 5)]));
        assert_eq!(snapshot.topic_name(TopicId::from_u128(5)), Some(&name("t")));
        let gone = state("t", 0, LEADER_DURING_DELETE);
        let half = snapshot.updated(&update(vec![gone], &[("t", 5)]));
        assert_eq!(half.topic("t").unwrap().partitions.len(), 1);
        let gone = state("t", 1, LEADER_DURING_DELETE);
        let none = half.updated(&update(vec![gone], &[("t", 5)]));
        assert!(none.topic("t").is_none());
        assert!(none.topic_name(TopicId::from_u128(5)).is_none());
        assert_eq!(
            snapshot.topic("t").unwrap().partitions.len(),
            2,
            "unchanged"
        );
    }

    #[test]
    fn a_recreated_topic_has_only_its_new_id() {
        let first = Snapshot::default().updated(&update(vec![state("t", 0, 1)], &[("t", 5)]));
        let second = first.updated(&update(vec![state("t", 0, 1)], &[("t", 6)]));
        assert!(second.topic_name(TopicId::from_u128(5)).is_none());
        assert_eq!(second.topic_name(TopicId::from_u128(6)), Some(&name("t")));
    }
}
