//! Carries out what replicas need: start, stop, leave the ISR.

use std::collections::BTreeMap;

use super::active::{Active, Result, ends_role};
use super::batch::{Batch, Novelty, Stop};
use super::context::Replica;
use super::election;
use super::partitions::Cas;
use super::states::ReplicaState;
use crate::model::{BrokerId, TopicPartition};

impl Active {
    /// Moves `replicas` to `target`, with what it takes on the brokers.
    pub(super) async fn move_replicas(
        &mut self,
        replicas: Vec<Replica>,
        target: ReplicaState,
    ) -> Result<()> {
        let mut batch = Batch::default();
        let outcome = match target {
            ReplicaState::Offline => self.take_offline(replicas, &mut batch).await,
            _ => {
                for replica in replicas {
                    self.move_replica(&replica, target, &mut batch);
                }
                Ok(())
            }
        };
        self.send(batch);
        outcome
    }

    fn move_replica(&mut self, replica: &Replica, target: ReplicaState, batch: &mut Batch) {
        let Replica { partition, broker } = replica;
        let Some(from) = self.context.move_replica(replica, target) else {
            return;
        };
        match target {
            ReplicaState::New => {
                let recipients = [*broker];
                batch.leader_and_isr(&self.context, &recipients, partition, Novelty::New);
            }
            // A new replica has heard of its leader already.
            ReplicaState::Online if from != ReplicaState::New => {
                let recipients = [*broker];
                batch.leader_and_isr(&self.context, &recipients, partition, Novelty::Known);
            }
            ReplicaState::DeletionStarted => {
                batch.stop_replica(&self.context, *broker, partition, Stop::Delete);
            }
            ReplicaState::NonExistent => {
                if let Some(known) = self.context.partition_mut(partition) {
                    known.assignment.replicas.retain(|id| id != broker);
                }
            }
            ReplicaState::Online
            | ReplicaState::Offline
            | ReplicaState::DeletionSuccessful
            | ReplicaState::DeletionIneligible => {}
        }
    }

    async fn take_offline(&mut self, replicas: Vec<Replica>, batch: &mut Batch) -> Result<()> {
        let mut led: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        for replica in replicas {
            let Replica { partition, broker } = &replica;
            if self
                .context
                .move_replica(&replica, ReplicaState::Offline)
                .is_none()
            {
                continue;
            }
            batch.stop_replica(&self.context, *broker, partition, Stop::Keep);
            if self.context.leadership(partition).is_some() {
                led.entry(*broker).or_default().push(replica.partition);
            } else {
                let all = self.context.broker_ids();
                batch.update_metadata(&self.context, &all, std::slice::from_ref(partition));
            }
        }
        for (broker, partitions) in led {
            let changed = self.shrink_isr(broker, partitions).await?;
            for partition in changed {
                if self.context.is_to_delete(&partition.topic) {
                    continue;
                }
                let mut recipients = self.context.replicas(&partition).to_vec();
                recipients.retain(|id| *id != broker);
                batch.leader_and_isr(&self.context, &recipients, &partition, Novelty::Known);
            }
        }
        Ok(())
    }

    /// Removes `broker` from the ISR of `partitions`; returns the partitions
    /// whose state is now known to be without it.
    async fn shrink_isr(
        &mut self,
        broker: BrokerId,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<TopicPartition>> {
        let mut remaining = partitions;
        let mut done = Vec::new();
        while !remaining.is_empty() {
            let read = self.registry.partition_states(&remaining).await?;
            let mut plans = Vec::new();
            for (partition, read) in remaining.drain(..).zip(read) {
                let Some(read) = read else {
                    if !self.context.is_to_delete(&partition.topic) {
                        tracing::error!(%partition, "the partition has no state");
                    }
                    continue;
                };
                if read.controller_epoch > self.context.fence.epoch {
                    tracing::error!(%partition, "a newer controller wrote the partition");
                    continue;
                }
                match election::without(broker, &read.state) {
                    Some(state) => plans.push((partition, state)),
                    None => {
                        self.context.set_leadership(&partition, read);
                        done.push(partition);
                    }
                }
            }
            let written = self
                .write_states(plans.iter().map(|(tp, state)| (tp, state)))
                .await;
            for ((partition, _), outcome) in plans.into_iter().zip(written) {
                match outcome {
                    Cas::Written(state) => {
                        self.take_in(&partition, state);
                        done.push(partition);
                    }
                    Cas::Outdated => remaining.push(partition),
                    Cas::Failed(error) if ends_role(&error) => return Err(error),
                    Cas::Failed(error) => {
                        tracing::error!(%partition, %error, "the ISR could not be written");
                    }
                }
            }
        }
        Ok(done)
    }
}
