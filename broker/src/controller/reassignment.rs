//! Moves replicas to other brokers.
//!
//! A reassignment is in the topic's node until it is over: the replicas are
//! those of before and of after, with what is added and what is removed. Added
//! replicas catch up; once all of the target are in the ISR, the leader moves
//! if it must, and the rest is taken away.
//!
//! **Invariant:** the node says what is under way before any broker is told,
//! and that it is over only after the removed replicas were stopped; a new
//! controller goes on from it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::active::{Active, Result, ends_role};
use super::batch::{Batch, Novelty};
use super::context::Replica;
use super::election::Strategy;
use super::partitions::Cas;
use super::states::ReplicaState;
use crate::model::{BrokerId, TopicPartition};
use crate::registry::znode::{decode_reassignment, encode_reassignment, path};
use crate::registry::{Error, FencedWrite, ReplicaAssignment};
use crate::zk::{self, ErrorCode};

/// Why a partition's replicas are not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReassignError {
    #[error("{0}")]
    InvalidReplicas(String),
    #[error("No partition reassignment is in progress.")]
    NoneInProgress,
    #[error("The partition does not exist.")]
    UnknownPartition,
    #[error("The reassignment could not be begun.")]
    Failed,
}

/// What is wanted of a partition: replicas, or an end of what is under way.
pub type Wanted = (TopicPartition, Option<Vec<BrokerId>>);
/// What came of it.
pub type Reassigned = (TopicPartition, std::result::Result<(), ReassignError>);

impl Active {
    /// Begins, changes or cancels reassignments.
    pub(super) async fn on_alter_reassignments(
        &mut self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Reassigned>> {
        let mut outcomes = Vec::new();
        let mut planned = BTreeMap::new();
        for (partition, target) in wanted {
            match self.plan(&partition, target.as_deref()) {
                Ok(assignment) => {
                    planned.insert(partition, assignment);
                }
                Err(error) => outcomes.push((partition, Err(error))),
            }
        }
        // The latest word counts, whichever way it came.
        self.drop_from_request(|partition| planned.contains_key(partition))
            .await?;
        outcomes.extend(self.reassign_all(planned).await?);
        Ok(outcomes)
    }

    /// What is under way.
    pub(super) fn reassignments(&self) -> Vec<(TopicPartition, ReplicaAssignment)> {
        let moving = self.context.being_reassigned().into_iter();
        moving
            .filter_map(|partition| {
                let assignment = self.context.assignment(&partition)?.clone();
                Some((partition, assignment))
            })
            .collect()
    }

    fn plan(
        &self,
        partition: &TopicPartition,
        target: Option<&[BrokerId]>,
    ) -> std::result::Result<ReplicaAssignment, ReassignError> {
        let now = self.context.assignment(partition).cloned();
        let now = now.unwrap_or_default();
        let Some(target) = target else {
            return match now.is_being_reassigned() {
                true => Ok(now.reassigned_to(&now.origin_replicas())),
                false => Err(ReassignError::NoneInProgress),
            };
        };
        let planned = now.reassigned_to(target);
        let live: Vec<BrokerId> = self.context.broker_ids();
        let is_live = |id| live.contains(id) && !self.context.shutting_down.contains(id);
        let refusal = if target.is_empty() {
            "Empty replica list specified in partition reassignment.".to_owned()
        } else if has_duplicates(target) {
            let list = list(target);
            format!("Duplicate replica ids in partition reassignment replica list: {list}")
        } else if target.iter().any(|id| *id < 0) {
            format!("Invalid broker id in replica list: {}", list(target))
        } else if !planned.adding.iter().all(is_live) {
            let (adding, live) = (list(&planned.adding), join(&live));
            format!(
                "Replica assignment has brokers that are not alive. Replica list: {adding}, live \
                 broker list: Set({live})"
            )
        } else {
            return Ok(planned);
        };
        Err(ReassignError::InvalidReplicas(refusal))
    }

    /// An old tool left its wishes in the registry.
    pub(super) async fn on_reassignment_request(&mut self) -> Result<()> {
        let client = self.registry.client().clone();
        let path = path::REASSIGN_PARTITIONS;
        client
            .retry(|| client.exists(path, Some(&self.watcher)))
            .await?;
        let Some(wanted) = self.requested().await? else {
            return Ok(());
        };
        let planned = wanted.into_iter().map(|(partition, target)| {
            let now = self.context.assignment(&partition).cloned();
            let planned = now.unwrap_or_default().reassigned_to(&target);
            (partition, planned)
        });
        let planned = planned.collect();
        let outcomes = self.reassign_all(planned).await?;
        let has_failed = |partition: &TopicPartition| {
            let mut failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err());
            failed.any(|(id, _)| id == partition)
        };
        self.drop_from_request(has_failed).await
    }

    async fn requested(&self) -> Result<Option<Vec<(TopicPartition, Vec<BrokerId>)>>> {
        let client = self.registry.client();
        let path = path::REASSIGN_PARTITIONS;
        let data = client.retry(|| client.get_data(path, None)).await;
        let Some((data, _)) = zk::optional(data)? else {
            return Ok(None);
        };
        match decode_reassignment(&data) {
            Ok(wanted) => Ok(Some(wanted)),
            Err(error) => {
                tracing::warn!(%error, "ignoring the request");
                self.registry
                    .delete_fenced(self.context.fence, path.to_owned())
                    .await?;
                Ok(None)
            }
        }
    }

    /// Takes what is done or refused out of the request in the registry, and
    /// the request away when nothing is left of it.
    async fn drop_from_request(&self, is_over: impl Fn(&TopicPartition) -> bool) -> Result<()> {
        let Some(wanted) = self.requested().await? else {
            return Ok(());
        };
        let count = wanted.len();
        let left: Vec<_> = wanted.into_iter().filter(|(id, _)| !is_over(id)).collect();
        if left.len() == count && count > 0 {
            return Ok(());
        }
        let path = path::REASSIGN_PARTITIONS.to_owned();
        let fence = self.context.fence;
        if left.is_empty() {
            self.registry.delete_fenced(fence, path.clone()).await?;
            // The watch fired with the deletion; the next request needs another.
            let client = self.registry.client();
            client
                .retry(|| client.exists(&path, Some(&self.watcher)))
                .await?;
            return Ok(());
        }
        let write = FencedWrite::Set {
            path,
            data: Bytes::from(encode_reassignment(&left)),
            version: zk::ANY_VERSION,
        };
        match self.registry.write_fenced(fence, &write).await {
            Ok(_) => Ok(()),
            Err(Error::Zk(error)) if error.is(ErrorCode::NoNode) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn reassign_all(
        &mut self,
        planned: BTreeMap<TopicPartition, ReplicaAssignment>,
    ) -> Result<Vec<Reassigned>> {
        let mut outcomes = Vec::with_capacity(planned.len());
        for (partition, assignment) in planned {
            let is_unknown = self.context.replicas(&partition).is_empty()
                || self.context.leadership(&partition).is_none()
                || self.context.is_to_delete(&partition.topic);
            let outcome = match is_unknown {
                true => Err(ReassignError::UnknownPartition),
                false => match self.reassign(&partition, assignment).await {
                    Ok(()) => Ok(()),
                    Err(error) if ends_role(&error) => return Err(error),
                    Err(error) => {
                        tracing::error!(%partition, %error, "the reassignment failed");
                        Err(ReassignError::Failed)
                    }
                },
            };
            outcomes.push((partition, outcome));
        }
        Ok(outcomes)
    }

    /// Takes reassignments up that brokers may have made possible.
    pub(super) async fn resume_reassignments(&mut self) -> Result<()> {
        for partition in self.context.being_reassigned() {
            if let Some(assignment) = self.context.assignment(&partition).cloned() {
                self.reassign(&partition, assignment).await?;
            }
        }
        Ok(())
    }

    /// The ISR of these partitions changed, which may complete reassignments.
    pub(super) async fn maybe_complete_reassignments(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<()> {
        for partition in partitions {
            let Some(assignment) = self.context.assignment(partition).cloned() else {
                continue;
            };
            if assignment.is_being_reassigned() && self.is_complete(partition, &assignment).await? {
                self.finish_reassignment(partition, &assignment).await?;
            }
        }
        Ok(())
    }

    async fn reassign(
        &mut self,
        partition: &TopicPartition,
        assignment: ReplicaAssignment,
    ) -> Result<()> {
        // Only a deletion that is queued can wait; the mark would outlive the move else.
        if self.context.is_to_delete(&partition.topic) {
            self.context
                .deletion_ineligible
                .insert(partition.topic.clone());
        }
        self.update_assignment(partition, &assignment).await?;
        if self.is_complete(partition, &assignment).await? {
            return self.finish_reassignment(partition, &assignment).await;
        }
        tracing::info!(%partition, replicas = ?assignment.replicas, adding = ?assignment.adding,
            removing = ?assignment.removing, "replicas are moving");
        self.bump_epoch(partition).await?;
        let new = assignment.adding.into_iter().map(|broker| Replica {
            partition: partition.clone(),
            broker,
        });
        let is_new =
            |replica: &Replica| self.context.replica_state(replica) == ReplicaState::NonExistent;
        let new: Vec<Replica> = new.filter(is_new).collect();
        self.move_replicas(new, ReplicaState::New).await
    }

    async fn update_assignment(
        &mut self,
        partition: &TopicPartition,
        assignment: &ReplicaAssignment,
    ) -> Result<()> {
        let before = self.context.replicas(partition).to_vec();
        if self.context.assignment(partition) == Some(assignment) {
            return Ok(());
        }
        self.write_assignment(partition, assignment).await?;
        self.context.set_assignment(partition, assignment.clone());
        // An earlier target may not be needed any more.
        let is_left = |id: &BrokerId| !assignment.replicas.contains(id);
        let unneeded = before.into_iter().filter(is_left).collect();
        self.remove_replicas(partition, unneeded).await
    }

    /// Writes the topic's node, with this assignment of one partition.
    async fn write_assignment(
        &self,
        partition: &TopicPartition,
        assignment: &ReplicaAssignment,
    ) -> Result<()> {
        let Some(mut topic) = self.context.topic_assignment(&partition.topic) else {
            return Ok(());
        };
        topic
            .partitions
            .insert(partition.partition, assignment.clone());
        let write = FencedWrite::Set {
            path: path::topic(&partition.topic),
            data: Bytes::from(topic.encode()),
            version: zk::ANY_VERSION,
        };
        let fence = self.context.fence;
        self.registry.write_fenced(fence, &write).await.map(drop)
    }

    async fn is_complete(
        &mut self,
        partition: &TopicPartition,
        assignment: &ReplicaAssignment,
    ) -> Result<bool> {
        if !assignment.is_being_reassigned() {
            return Ok(true);
        }
        let partitions = std::slice::from_ref(partition);
        let states = self.registry.partition_states(partitions).await?;
        let Some(Some(now)) = states.into_iter().next() else {
            return Ok(false);
        };
        let target = assignment.target_replicas();
        Ok(target.iter().all(|id| now.state.isr.contains(id)))
    }

    async fn finish_reassignment(
        &mut self,
        partition: &TopicPartition,
        assignment: &ReplicaAssignment,
    ) -> Result<()> {
        let added = assignment.adding.iter().map(|id| Replica {
            partition: partition.clone(),
            broker: *id,
        });
        self.move_replicas(added.collect(), ReplicaState::Online)
            .await?;
        let done = ReplicaAssignment::of(assignment.target_replicas());
        self.context.set_assignment(partition, done.clone());
        self.move_leader_into(partition, &done).await?;
        self.remove_replicas(partition, assignment.removing.clone())
            .await?;
        self.write_assignment(partition, &done).await?;
        self.drop_from_request(|id| id == partition).await?;
        let all = self.context.broker_ids();
        self.send_metadata(&all, std::slice::from_ref(partition));
        tracing::info!(%partition, replicas = ?done.replicas, "the replicas have moved");
        self.resume_deletion_of([partition.topic.clone()].into())
            .await
    }

    async fn move_leader_into(
        &mut self,
        partition: &TopicPartition,
        done: &ReplicaAssignment,
    ) -> Result<()> {
        let leader = self.context.leader(partition);
        let stays = leader.is_some_and(|leader| {
            done.replicas.contains(&leader) && self.context.is_online(leader, partition)
        });
        if stays {
            return self.bump_epoch(partition).await;
        }
        self.bring_online(vec![partition.clone()], Strategy::Reassignment)
            .await
            .map(drop)
    }

    /// Stops replicas and takes their data away.
    async fn remove_replicas(
        &mut self,
        partition: &TopicPartition,
        brokers: Vec<BrokerId>,
    ) -> Result<()> {
        let replicas: Vec<Replica> = brokers
            .into_iter()
            .map(|broker| Replica {
                partition: partition.clone(),
                broker,
            })
            .collect();
        for target in [
            ReplicaState::Offline,
            ReplicaState::DeletionStarted,
            ReplicaState::DeletionSuccessful,
            ReplicaState::NonExistent,
        ] {
            self.move_replicas(replicas.clone(), target).await?;
        }
        Ok(())
    }

    /// Tells all replicas of the assignment in a new leader epoch.
    async fn bump_epoch(&mut self, partition: &TopicPartition) -> Result<()> {
        let partitions = std::slice::from_ref(partition);
        loop {
            let states = self.registry.partition_states(partitions).await?;
            let Some(Some(now)) = states.into_iter().next() else {
                tracing::error!(%partition, "the partition has no state");
                return Ok(());
            };
            if now.controller_epoch > self.context.fence.epoch {
                return Err(Error::ControllerMoved);
            }
            let next = now.state.next(now.state.leader, now.state.isr.clone());
            let written = self.write_states([(partition, &next)].into_iter()).await;
            match written.into_iter().next() {
                Some(Cas::Written(state)) => {
                    self.take_in(partition, state);
                    break;
                }
                Some(Cas::Failed(error)) => return Err(error),
                Some(Cas::Outdated) | None => {}
            }
        }
        let assignment = self.context.assignment(partition).cloned();
        let assignment = assignment.unwrap_or_default();
        let mut batch = Batch::default();
        let (old, new) = (assignment.origin_replicas(), &assignment.adding);
        batch.leader_and_isr(&self.context, &old, partition, Novelty::Known);
        batch.leader_and_isr(&self.context, new, partition, Novelty::New);
        self.send(batch);
        Ok(())
    }
}

fn has_duplicates(ids: &[BrokerId]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    !ids.iter().all(|id| seen.insert(id))
}

/// As Kafka's broker prints a list that came over the wire.
fn list(ids: &[BrokerId]) -> String {
    format!("ArrayBuffer({})", join(ids))
}

fn join(ids: &[BrokerId]) -> String {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
