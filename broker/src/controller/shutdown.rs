//! A broker asks to leave: its leaders move before it goes.

use super::active::{Active, Result};
use super::batch::{Batch, Stop};
use super::context::Replica;
use super::election::Strategy;
use super::states::ReplicaState;
use crate::model::{BrokerEpoch, BrokerId, TopicPartition};
use crate::registry;

/// Sent by brokers that do not know their epoch.
const UNKNOWN_EPOCH: BrokerEpoch = -1;

#[derive(Debug, thiserror::Error)]
pub enum ControlledShutdownError {
    #[error("Controller moved to another broker. Aborting controlled shutdown")]
    NotController,
    #[error(
        "Received controlled shutdown request from an old broker epoch {asked} for broker {id}. \
         Current broker epoch is {current}."
    )]
    StaleBrokerEpoch {
        id: BrokerId,
        asked: BrokerEpoch,
        current: BrokerEpoch,
    },
    #[error("Broker id {0} does not exist.")]
    UnknownBroker(BrokerId),
    #[error(transparent)]
    Registry(#[from] registry::Error),
}

impl Active {
    /// Moves what can be moved; returns the partitions that `id` still leads.
    pub(super) async fn on_controlled_shutdown(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
    ) -> std::result::Result<Vec<TopicPartition>, ControlledShutdownError> {
        let Some(broker) = self.context.brokers.get(&id) else {
            return Err(ControlledShutdownError::UnknownBroker(id));
        };
        if epoch != UNKNOWN_EPOCH && epoch < broker.epoch {
            let current = broker.epoch;
            return Err(ControlledShutdownError::StaleBrokerEpoch {
                id,
                asked: epoch,
                current,
            });
        }
        tracing::info!(id, "shutting down the broker");
        self.context.shutting_down.insert(id);
        self.move_leaders_away(id).await?;
        Ok(self.still_led_by(id))
    }

    async fn move_leaders_away(&mut self, id: BrokerId) -> Result<()> {
        let can_move = |partition: &TopicPartition| {
            let replicas = self.context.replicas(partition);
            replicas.len() > 1
                && replicas.contains(&id)
                && self.context.leadership(partition).is_some()
                && !self.context.is_to_delete(&partition.topic)
        };
        let movable: Vec<TopicPartition> = self.context.all_partitions().filter(can_move).collect();
        let (led, followed): (Vec<_>, Vec<_>) = movable
            .into_iter()
            .partition(|partition| self.context.leader(partition) == Some(id));
        self.bring_online(led, Strategy::ControlledShutdown).await?;
        let mut batch = Batch::default();
        for partition in &followed {
            batch.stop_replica(&self.context, id, partition, Stop::Keep);
        }
        self.send(batch);
        let replicas = followed
            .into_iter()
            .map(|partition| Replica {
                partition,
                broker: id,
            })
            .collect();
        self.move_replicas(replicas, ReplicaState::Offline).await
    }

    fn still_led_by(&self, id: BrokerId) -> Vec<TopicPartition> {
        let is_left = |partition: &TopicPartition| {
            self.context.leader(partition) == Some(id)
                && self.context.replicas(partition).len() > 1
                && !self.context.is_to_delete(&partition.topic)
        };
        self.context.all_partitions().filter(is_left).collect()
    }
}
