//! All replicas of this broker, and what the controller wants of them.

use std::collections::HashMap;
use std::sync::Arc;

use common::clock::SharedClock;
use dashmap::DashMap;
use parking_lot::Mutex;

use super::error::Error;
use super::partition::Partition;
use crate::log::{self, LogConfig, LogHandle};
use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, Offset, TopicId, TopicName, TopicPartition,
};
use crate::protocol::interbroker::{
    ControlHeader, ControlResponse, EPOCH_DURING_DELETE, LeaderAndIsrRequest, PartitionState,
    StopReplicaRequest,
};

/// Codes of the control requests' answers.
mod code {
    pub(super) const STALE_CONTROLLER_EPOCH: i16 = 11;
    pub(super) const STORAGE_ERROR: i16 = 56;
    pub(super) const FENCED_LEADER_EPOCH: i16 = 74;
    pub(super) const STALE_BROKER_EPOCH: i16 = 77;
    pub(super) const INCONSISTENT_TOPIC_ID: i16 = 103;
}

/// Who this broker is.
#[derive(Debug, Clone, Copy)]
pub struct ManagerConfig {
    pub broker_id: BrokerId,
}

/// A partition whose role changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    pub partition: TopicPartition,
    /// The epoch in which this broker leads it now, or `None`.
    pub leads_in: Option<LeaderEpoch>,
}

/// The configuration of each topic in a request.
pub type TopicConfigMap = HashMap<TopicName, LogConfig>;

/// Owns the replicas.
pub struct Manager {
    config: ManagerConfig,
    clock: SharedClock,
    logs: Arc<log::Manager>,
    partitions: DashMap<TopicPartition, Arc<Partition>>,
    /// High watermarks of the last run, for partitions not seen yet.
    checkpointed: HashMap<TopicPartition, Offset>,
    /// One control request at a time; also the newest epochs seen.
    control: Mutex<Control>,
}

#[derive(Debug, Default)]
struct Control {
    controller_epoch: ControllerEpoch,
    broker_epoch: BrokerEpoch,
}

impl Manager {
    #[must_use]
    pub fn new(
        config: ManagerConfig,
        logs: Arc<log::Manager>,
        checkpointed: HashMap<TopicPartition, Offset>,
        clock: SharedClock,
    ) -> Self {
        Self {
            config,
            clock,
            logs,
            partitions: DashMap::new(),
            checkpointed,
            control: Mutex::default(),
        }
    }

    pub(super) fn logs(&self) -> &log::Manager {
        &self.logs
    }

    /// A (new) registration: requests for older incarnations are refused.
    pub fn set_broker_epoch(&self, epoch: BrokerEpoch) {
        self.control.lock().broker_epoch = epoch;
    }

    /// The epoch of the newest registration.
    #[must_use]
    pub fn broker_epoch(&self) -> BrokerEpoch {
        self.control.lock().broker_epoch
    }

    /// The partition, if this broker has a replica of it.
    pub fn partition(&self, id: &TopicPartition) -> Result<Arc<Partition>, Error> {
        let found = self.partitions.get(id);
        found
            .map(|found| found.clone())
            .ok_or(Error::UnknownPartition)
    }

    /// The partition, if this broker leads it.
    pub fn leader(&self, id: &TopicPartition) -> Result<Arc<Partition>, Error> {
        let partition = self.partition(id)?;
        match partition.leads_in() {
            Some(_) => Ok(partition),
            None => Err(Error::NotLeader),
        }
    }

    /// All replicas, in no order.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions
            .iter()
            .map(|entry| entry.value().clone())
            .collect()
    }

    /// High watermarks, for their checkpoint.
    #[must_use]
    pub fn high_watermarks(&self) -> HashMap<TopicPartition, Offset> {
        let partitions = self.partitions.iter();
        partitions
            .map(|entry| (entry.key().clone(), entry.value().high_watermark()))
            .collect()
    }

    /// Gives the partitions of `topic` another configuration.
    pub fn set_topic_config(&self, topic: &TopicName, config: &LogConfig) {
        for entry in &self.partitions {
            if entry.key().topic == *topic {
                entry.value().set_config(config.clone());
            }
        }
    }

    /// Takes the roles that the controller decided. Opens and creates logs, so
    /// it belongs on a thread that may block.
    pub fn become_leader_or_follower(
        &self,
        request: &LeaderAndIsrRequest,
        configs: &TopicConfigMap,
    ) -> (ControlResponse, Vec<RoleChange>) {
        let mut control = self.control.lock();
        if let Some(refusal) = control.refusal(&request.header) {
            return (refusal, Vec::new());
        }
        let ids: HashMap<_, _> = request.topic_ids.iter().map(|(t, id)| (t, *id)).collect();
        let mut response = ControlResponse::default();
        let mut changes = Vec::new();
        for decided in &request.partitions {
            let topic = &decided.topic_partition.topic;
            let id = ids.get(topic).copied().unwrap_or(TopicId::nil());
            let config = configs.get(topic);
            match self.take_role(decided, id, config) {
                Ok(Some(change)) => changes.push(change),
                Ok(None) => {}
                Err(refused) => {
                    let partition = decided.topic_partition.clone();
                    response.partition_errors.push((partition, refused));
                }
            }
        }
        (response, changes)
    }

    fn take_role(
        &self,
        decided: &PartitionState,
        topic_id: TopicId,
        config: Option<&LogConfig>,
    ) -> Result<Option<RoleChange>, i16> {
        let id = &decided.topic_partition;
        let partition = self.open(decided, topic_id, config)?;
        if partition.is_offline() {
            // This is how the controller learns which replicas are gone.
            return Err(code::STORAGE_ERROR);
        }
        if let Some(known) = partition.epoch() {
            if decided.leader_epoch < known {
                return Err(code::FENCED_LEADER_EPOCH);
            }
            if decided.leader_epoch == known && partition.leads_in().is_none() {
                return Ok(None);
            }
        }
        let led_in = partition.leads_in();
        if decided.leader == self.config.broker_id {
            partition.become_leader(decided).map_err(|error| {
                tracing::error!(partition = %id, %error, "this broker cannot lead the partition");
                code::STORAGE_ERROR
            })?;
        } else {
            partition.become_follower(decided.leader_epoch);
        }
        let leads_in = partition.leads_in();
        Ok((led_in != leads_in).then(|| RoleChange {
            partition: id.clone(),
            leads_in,
        }))
    }

    fn open(
        &self,
        decided: &PartitionState,
        topic_id: TopicId,
        config: Option<&LogConfig>,
    ) -> Result<Arc<Partition>, i16> {
        let id = &decided.topic_partition;
        if let Ok(partition) = self.partition(id) {
            // The topic was deleted and created anew without this broker
            // hearing of its deletion: the old records are not the new topic's.
            check_topic_id(id, partition.topic_id(), topic_id)?;
            return Ok(partition);
        }
        if !decided.is_new && self.logs.get(id).is_none() && self.logs.has_offline_dirs() {
            tracing::error!(partition = %id, "the log may lie in a directory that is offline");
            return Err(code::STORAGE_ERROR);
        }
        let log = self.open_log(id, topic_id, config)?;
        let high_watermark = self.checkpointed.get(id).copied().unwrap_or(0);
        let clock = self.clock.clone();
        let partition = Partition::new(
            id.clone(),
            self.config.broker_id,
            clock,
            log,
            high_watermark,
        );
        let partition = Arc::new(partition);
        self.partitions.insert(id.clone(), partition.clone());
        Ok(partition)
    }

    fn open_log(
        &self,
        id: &TopicPartition,
        topic_id: TopicId,
        config: Option<&LogConfig>,
    ) -> Result<LogHandle, i16> {
        let wanted = Some(topic_id).filter(|id| !id.is_nil());
        let config = config.unwrap_or_else(|| self.logs.defaults()).clone();
        let now_ms = self.clock.wall_ms();
        let failed = |error: log::Error| {
            tracing::error!(partition = %id, %error, "the log cannot be opened");
            code::STORAGE_ERROR
        };
        let handle = self
            .logs
            .get_or_create(id, wanted, config.clone(), now_ms)
            .map_err(failed)?;
        let mut log = handle.write();
        check_topic_id(id, log.topic_id(), topic_id)?;
        if let (None, Some(wanted)) = (log.topic_id(), wanted) {
            log.assign_topic_id(wanted).map_err(failed)?;
        }
        log.reconfigure(config);
        drop(log);
        Ok(handle)
    }

    /// Gives replicas up, with or without their data.
    pub fn stop_replicas(
        &self,
        request: &StopReplicaRequest,
    ) -> (ControlResponse, Vec<RoleChange>) {
        let mut control = self.control.lock();
        if let Some(refusal) = control.refusal(&request.header) {
            return (refusal, Vec::new());
        }
        let mut response = ControlResponse::default();
        let mut changes = Vec::new();
        for stop in &request.partitions {
            let id = &stop.topic_partition;
            let known = self
                .partition(id)
                .ok()
                .and_then(|partition| partition.epoch());
            let is_old = stop.leader_epoch != EPOCH_DURING_DELETE
                && stop.leader_epoch >= 0
                && known.is_some_and(|known| stop.leader_epoch < known);
            if is_old {
                response
                    .partition_errors
                    .push((id.clone(), code::FENCED_LEADER_EPOCH));
                continue;
            }
            if let Some((_, partition)) = self.partitions.remove(id) {
                let led = partition.leads_in().is_some();
                partition.retire();
                changes.extend(led.then(|| RoleChange {
                    partition: id.clone(),
                    leads_in: None,
                }));
            }
            if stop.delete
                && let Err(error) = self.logs.delete_async(id, self.clock.wall_ms())
            {
                tracing::error!(partition = %id, %error, "the log cannot be deleted");
                response
                    .partition_errors
                    .push((id.clone(), code::STORAGE_ERROR));
            }
        }
        (response, changes)
    }

    /// Checks a request that carries only metadata.
    pub fn refusal(&self, header: &ControlHeader) -> Option<ControlResponse> {
        self.control.lock().refusal(header)
    }
}

/// Refuses a log that belongs to another topic of the same name.
fn check_topic_id(
    id: &TopicPartition,
    stored: Option<TopicId>,
    wanted: TopicId,
) -> Result<(), i16> {
    match stored {
        Some(stored) if !wanted.is_nil() && stored != wanted => {
            tracing::error!(
                partition = %id, %stored, %wanted,
                "the log on disk belongs to another topic of the same name"
            );
            Err(code::INCONSISTENT_TOPIC_ID)
        }
        _ => Ok(()),
    }
}

impl Control {
    fn refusal(&mut self, header: &ControlHeader) -> Option<ControlResponse> {
        let refused = |error_code| {
            Some(ControlResponse {
                error_code,
                partition_errors: Vec::new(),
            })
        };
        if header.controller_epoch < self.controller_epoch {
            return refused(code::STALE_CONTROLLER_EPOCH);
        }
        if header.broker_epoch >= 0 && header.broker_epoch < self.broker_epoch {
            return refused(code::STALE_BROKER_EPOCH);
        }
        self.controller_epoch = header.controller_epoch;
        None
    }
}

#[cfg(test)]
mod tests;
