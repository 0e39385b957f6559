//! What the topic APIs share: candidates, checks, and waiting for the result.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::cluster::{Cluster, Snapshot};
use crate::model::{BrokerId, NO_LEADER, TopicName};
use crate::registry::assignment::Candidate;
use crate::registry::{
    AddPartitionsError, CreateTopicError, Mode, NewTopic, Placement, Registry, TopicAssignment,
};

/// Creates, extends and deletes topics through the registry.
pub(crate) struct TopicAdmin {
    pub(crate) registry: Registry,
    pub(crate) cluster: Arc<Cluster>,
    /// `delete.topic.enable`.
    pub(crate) deletion_enabled: bool,
}

/// Partitions with several replicas could not commit anything: followers do
/// not fetch yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Replication factor {factor} is not served yet: brokers of a cluster share the partitions of \
     a topic, and do not replicate them. Use a replication factor of 1."
)]
pub(crate) struct SeveralReplicas {
    factor: usize,
}

/// Why a topic was not created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    SeveralReplicas(SeveralReplicas),
    #[error(transparent)]
    Registry(#[from] CreateTopicError),
}

/// Why a topic did not get more partitions.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtendError {
    #[error(transparent)]
    SeveralReplicas(SeveralReplicas),
    #[error(transparent)]
    Registry(#[from] AddPartitionsError),
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

    /// Creates a topic whose partitions have one replica each; what Kafka
    /// refuses for other reasons is refused for those.
    pub(crate) async fn create(
        &self,
        topic: &NewTopic,
        mode: Mode,
    ) -> Result<TopicAssignment, CreateError> {
        let brokers = self.candidates();
        if let Some(factor) = several(&topic.placement) {
            let validate = Mode::ValidateOnly;
            self.registry
                .create_topic(topic, &brokers, validate)
                .await?;
            return Err(CreateError::SeveralReplicas(SeveralReplicas { factor }));
        }
        Ok(self.registry.create_topic(topic, &brokers, mode).await?)
    }

    /// Adds partitions with one replica each.
    pub(crate) async fn add_partitions(
        &self,
        name: &TopicName,
        total: i32,
        new: Option<&[Vec<BrokerId>]>,
        mode: Mode,
    ) -> Result<(), ExtendError> {
        let brokers = self.candidates();
        let add = |mode| {
            self.registry
                .add_partitions(name, total, new, &brokers, mode)
        };
        let planned = add(Mode::ValidateOnly).await?;
        let factors = planned.partitions.values().map(|p| p.replicas.len());
        if let Some(factor) = factors.max().filter(|factor| *factor > 1) {
            return Err(ExtendError::SeveralReplicas(SeveralReplicas { factor }));
        }
        if mode == Mode::Apply {
            add(mode).await?;
        }
        Ok(())
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

/// The replication factor of a placement that has more than one replica.
fn several(placement: &Placement) -> Option<usize> {
    let factor = match placement {
        Placement::Automatic {
            replication_factor, ..
        } => usize::try_from(*replication_factor).unwrap_or(0),
        Placement::Manual(replicas) => replicas.values().map(Vec::len).max().unwrap_or(0),
    };
    (factor > 1).then_some(factor)
}

/// Whether this broker is the active controller, as its own election tells.
pub(crate) fn is_controller(cluster: &Cluster, own_id: BrokerId) -> bool {
    cluster.snapshot().controller == Some(own_id)
}

/// A client's timeout; negative counts as none.
pub(crate) fn limit(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_replicas_are_seen_however_they_are_placed() {
        let automatic = |replication_factor| Placement::Automatic {
            partitions: 1,
            replication_factor,
        };
        assert_eq!(several(&automatic(1)), None);
        assert_eq!(several(&automatic(-1)), None);
        assert_eq!(several(&automatic(2)), Some(2));
        let manual = |replicas: &[&[i32]]| {
            let replicas = replicas.iter().map(|ids| ids.to_vec());
            Placement::Manual((0..).zip(replicas).collect())
        };
        assert_eq!(several(&manual(&[&[1], &[2]])), None);
        assert_eq!(several(&manual(&[&[1], &[2, 1]])), Some(2));
    }
}
