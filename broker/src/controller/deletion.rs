//! Deletes topics: partitions end, brokers delete replicas, then the znodes go.
//!
//! Flow: queued -> (no replica down, not reassigned) -> UpdateMetadata says
//! "being deleted" -> StopReplica with deletion to every replica -> all
//! answered -> topic node, configuration and marker are removed. A replica that
//! is down or fails makes the topic ineligible until a broker returns.

use std::collections::BTreeSet;

use super::active::{Active, Result};
use super::context::{Context, Replica};
use super::states::{PartitionState, ReplicaState};
use crate::model::{BrokerId, TopicName, TopicPartition};
use crate::protocol::interbroker::{ControlResponse, StopReplicaRequest};
use crate::registry::znode::path;

/// What to do next about one topic that is to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Every replica is gone: remove the topic.
    Complete,
    /// Some replica failed: prepare it for another attempt.
    Reset,
    Start,
    /// Resets first, then starts.
    Restart,
    Wait,
}

/// Decides by the states of the topic's replicas.
fn step(states: &[ReplicaState], is_ineligible: bool) -> Step {
    if states
        .iter()
        .all(|state| *state == ReplicaState::DeletionSuccessful)
    {
        return Step::Complete;
    }
    if states.contains(&ReplicaState::DeletionStarted) {
        return Step::Wait;
    }
    let has_failed = states.contains(&ReplicaState::DeletionIneligible);
    match (has_failed, is_ineligible) {
        (true, true) => Step::Reset,
        (true, false) => Step::Restart,
        (false, true) => Step::Wait,
        (false, false) => Step::Start,
    }
}

fn next_step(context: &Context, topic: &TopicName) -> Step {
    let replicas = context.replicas_of(&context.partitions_of(topic));
    let states: Vec<_> = replicas
        .iter()
        .map(|replica| context.replica_state(replica))
        .collect();
    step(&states, context.deletion_ineligible.contains(topic))
}

impl Active {
    /// Adds topics to the queue; those that cannot be deleted now are marked.
    pub(super) fn queue_deletions(&mut self, topics: BTreeSet<TopicName>) {
        for topic in topics {
            let partitions = self.context.partitions_of(&topic);
            let is_moving = partitions.iter().any(|partition| {
                let known = self.context.partition(partition);
                known.is_some_and(|known| known.assignment.is_being_reassigned())
            });
            if is_moving {
                tracing::info!(%topic, "the deletion waits for a reassignment");
                self.context.deletion_ineligible.insert(topic.clone());
            }
            self.context.to_delete.insert(topic);
        }
    }

    pub(super) async fn resume_deletion_of(&mut self, topics: BTreeSet<TopicName>) -> Result<()> {
        let resumed: Vec<_> = topics
            .intersection(&self.context.to_delete)
            .cloned()
            .collect();
        if resumed.is_empty() {
            return Ok(());
        }
        for topic in &resumed {
            self.context.deletion_ineligible.remove(topic);
        }
        self.resume_deletions().await
    }

    pub(super) async fn resume_deletions(&mut self) -> Result<()> {
        let queued: Vec<TopicName> = self.context.to_delete.iter().cloned().collect();
        let mut started = Vec::new();
        for topic in queued {
            let step = next_step(&self.context, &topic);
            if matches!(step, Step::Reset | Step::Restart) {
                let failed = self
                    .context
                    .topic_replicas_in(&topic, ReplicaState::DeletionIneligible);
                self.move_replicas(failed, ReplicaState::Offline).await?;
            }
            match step {
                Step::Complete => self.complete_deletion(&topic).await?,
                Step::Start | Step::Restart => {
                    tracing::info!(%topic, "deleting the topic");
                    started.push(topic);
                }
                Step::Reset | Step::Wait => {}
            }
        }
        if started.is_empty() {
            return Ok(());
        }
        self.start_deletion(started).await
    }

    async fn start_deletion(&mut self, topics: Vec<TopicName>) -> Result<()> {
        let partitions: Vec<TopicPartition> = topics
            .iter()
            .flat_map(|topic| self.context.partitions_of(topic))
            .collect();
        for topic in &topics {
            if self.context.deletion_started.insert(topic.clone()) {
                for partition in self.context.partitions_of(topic) {
                    self.context
                        .move_partition(&partition, PartitionState::Offline);
                    self.context
                        .move_partition(&partition, PartitionState::NonExistent);
                }
            }
        }
        // Clients must stop using the topics before their data goes.
        let all = self.context.broker_ids();
        self.send_metadata(&all, &partitions);

        let replicas = self.context.replicas_of(&partitions);
        let is_online =
            |replica: &Replica| self.context.is_online(replica.broker, &replica.partition);
        let (alive, dead): (Vec<_>, Vec<_>) = replicas.into_iter().partition(is_online);
        let is_left = |replica: &Replica| {
            self.context.replica_state(replica) != ReplicaState::DeletionSuccessful
        };
        let alive: Vec<Replica> = alive.into_iter().filter(is_left).collect();
        let halted: BTreeSet<TopicName> = dead
            .iter()
            .map(|replica| replica.partition.topic.clone())
            .collect();
        // Ineligible may only follow offline, which some of them are not yet.
        let is_early = |replica: &&Replica| {
            !self
                .context
                .replica_state(replica)
                .can_become(ReplicaState::DeletionIneligible)
        };
        let early = dead.iter().filter(is_early).cloned().collect();
        self.move_replicas(early, ReplicaState::Offline).await?;
        self.move_replicas(dead, ReplicaState::DeletionIneligible)
            .await?;
        self.move_replicas(alive.clone(), ReplicaState::Offline)
            .await?;
        self.move_replicas(alive, ReplicaState::DeletionStarted)
            .await?;
        for topic in halted {
            tracing::info!(%topic, "the deletion waits for offline replicas");
            self.context.deletion_ineligible.insert(topic);
        }
        Ok(())
    }

    async fn complete_deletion(&mut self, topic: &TopicName) -> Result<()> {
        let replicas = self
            .context
            .topic_replicas_in(topic, ReplicaState::DeletionSuccessful);
        self.move_replicas(replicas, ReplicaState::NonExistent)
            .await?;
        let fence = self.context.fence;
        self.registry
            .delete_fenced_recursive(fence, path::topic(topic))
            .await?;
        self.registry
            .delete_fenced(fence, path::topic_config(topic))
            .await?;
        self.registry
            .delete_fenced(fence, path::delete_topic(topic))
            .await?;
        self.context.remove_topic(topic);
        tracing::info!(%topic, "deleted the topic");
        Ok(())
    }

    pub(super) async fn fail_replica_deletion(&mut self, replicas: Vec<Replica>) -> Result<()> {
        if replicas.is_empty() {
            return Ok(());
        }
        for replica in &replicas {
            let topic = &replica.partition.topic;
            tracing::warn!(partition = %replica.partition, broker = replica.broker, "a replica could not be deleted");
            self.context.deletion_ineligible.insert(topic.clone());
        }
        // A replica whose deletion had not begun is simply offline.
        let is_deleting =
            |r: &Replica| self.context.replica_state(r) == ReplicaState::DeletionStarted;
        let (deleting, others): (Vec<_>, Vec<_>) = replicas.into_iter().partition(is_deleting);
        self.move_replicas(deleting, ReplicaState::DeletionIneligible)
            .await?;
        let can_stop = |r: &Replica| {
            self.context
                .replica_state(r)
                .can_become(ReplicaState::Offline)
        };
        let others: Vec<Replica> = others.into_iter().filter(can_stop).collect();
        self.move_replicas(others.clone(), ReplicaState::Offline)
            .await?;
        self.move_replicas(others, ReplicaState::DeletionIneligible)
            .await?;
        self.resume_deletions().await
    }

    /// A broker answered a StopReplica; replicas that it deleted are done.
    pub(super) async fn on_stop_answered(
        &mut self,
        broker: BrokerId,
        request: &StopReplicaRequest,
        response: &ControlResponse,
    ) -> Result<()> {
        let deleted = request
            .partitions
            .iter()
            .filter(|partition| partition.delete);
        let replicas = deleted.map(|stop| Replica {
            partition: stop.topic_partition.clone(),
            broker,
        });
        let is_waited_for = |replica: &Replica| {
            self.context.is_to_delete(&replica.partition.topic)
                && self.context.replica_state(replica) == ReplicaState::DeletionStarted
        };
        let has_failed = |replica: &Replica| {
            let errors = &response.partition_errors;
            response.error_code != 0
                || errors
                    .iter()
                    .any(|(tp, code)| *tp == replica.partition && *code != 0)
        };
        let (failed, done): (Vec<_>, Vec<_>) = replicas.filter(is_waited_for).partition(has_failed);
        self.fail_replica_deletion(failed).await?;
        if done.is_empty() {
            return Ok(());
        }
        self.move_replicas(done, ReplicaState::DeletionSuccessful)
            .await?;
        self.resume_deletions().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_follows_from_the_replicas() {
        use ReplicaState::*;
        let table: [(&[ReplicaState], bool, Step); 9] = [
            (&[], false, Step::Complete),
            (
                &[DeletionSuccessful, DeletionSuccessful],
                true,
                Step::Complete,
            ),
            (&[Online, Online], false, Step::Start),
            (&[Online, Offline], true, Step::Wait),
            (&[DeletionStarted, DeletionSuccessful], false, Step::Wait),
            (&[DeletionStarted, DeletionIneligible], true, Step::Wait),
            (&[DeletionIneligible, DeletionSuccessful], true, Step::Reset),
            (&[DeletionIneligible, Online], false, Step::Restart),
            (&[Offline, DeletionSuccessful], false, Step::Start),
        ];
        for (states, ineligible, expected) in table {
            assert_eq!(
                step(states, ineligible),
                expected,
                "{states:?} {ineligible}"
            );
        }
    }
}
