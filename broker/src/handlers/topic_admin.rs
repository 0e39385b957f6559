//! What the topic APIs share: candidates, checks, and waiting for the result.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::cluster::{Cluster, Snapshot};
use crate::model::{BrokerId, NO_LEADER, TopicName};
use crate::registry::assignment::Candidate;
use crate::registry::{
    AddPartitionsError, CreateTopicError, Mode, NewTopic, Registry, TopicAssignment,
};

/// Creates, extends and deletes topics through the registry.
pub(crate) struct TopicAdmin {
    pub(crate) registry: Registry,
    pub(crate) cluster: Arc<Cluster>,
    /// `delete.topic.enable`.
    pub(crate) deletion_enabled: bool,
}

impl TopicAdmin {
    /// The live brokers, where replicas can go.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let snapshot = self.cluster.snapshot();
        let brokers = snapshot.brokers.values();
        brokers
            .map(|broker| Candidate {
                id: broker.id,
                rack: broker.rack.clone(),
            })
            .collect()
    }

    /// Creates a topic on the live brokers.
    pub(crate) async fn create(
        &self,
        topic: &NewTopic,
        mode: Mode,
    ) -> Result<TopicAssignment, CreateTopicError> {
        let brokers = self.candidates();
        self.registry.create_topic(topic, &brokers, mode).await
    }

    /// Adds partitions on the live brokers.
    pub(crate) async fn add_partitions(
        &self,
        name: &TopicName,
        total: i32,
        new: Option<&[Vec<BrokerId>]>,
        mode: Mode,
    ) -> Result<(), AddPartitionsError> {
        let brokers = self.candidates();
        let adding = self
            .registry
            .add_partitions(name, total, new, &brokers, mode);
        adding.await.map(drop)
    }

    /// Waits until the metadata shows `count` partitions with a leader; false
    /// when that took longer than `limit`.
    pub(crate) async fn wait_for_leaders(
        &self,
        name: &TopicName,
        count: usize,
        limit: Duration,
    ) -> bool {
        let has_leaders = |snapshot: &Snapshot| {
            let Some(topic) = snapshot.topic(name.as_str()) else {
                return false;
            };
            let mut leaders = topic.partitions.values().map(|p| p.state.leader);
            topic.partitions.len() >= count && leaders.all(|leader| leader != NO_LEADER)
        };
        timeout(limit, self.cluster.wait_until(has_leaders))
            .await
            .is_ok()
    }

    /// Waits until the metadata no longer shows the topic.
    pub(crate) async fn wait_for_deletion(&self, name: &TopicName, limit: Duration) -> bool {
        let is_gone = |snapshot: &Snapshot| snapshot.topic(name.as_str()).is_none();
        timeout(limit, self.cluster.wait_until(is_gone))
            .await
            .is_ok()
    }
}

/// Whether this broker is the active controller, as its own election tells.
pub(crate) fn is_controller(cluster: &Cluster, own_id: BrokerId) -> bool {
    cluster.snapshot().controller == Some(own_id)
}

/// A client's timeout; negative counts as none.
pub(crate) fn limit(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}
