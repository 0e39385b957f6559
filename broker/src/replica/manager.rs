//! All replicas of this broker, and what the controller wants of them.

mod control;
mod parallel;
mod stop;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use control::Control;
use parallel::side_by_side;

use super::error::Error;
use super::fetcher::{FetchConfig, Fetchers};
use super::isr::{self, IsrChannel, Queue};
use super::moves::Moves;
use super::partition::{Partition, Surroundings};
use super::quota::{Quotas, Windows};
use super::wait::Pulse;
use crate::cluster::Cluster;
use crate::log::{self, LogConfig, LogHandle};
use crate::metrics::{Metrics, Traffic};
use crate::model::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, TopicId, TopicName, TopicPartition,
};
use crate::peer::Address;
use crate::protocol::interbroker::{
    ControlHeader, ControlResponse, LeaderAndIsrRequest, PartitionState,
};

/// Codes of the control requests' answers.
mod code {
    pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(super) const STALE_CONTROLLER_EPOCH: i16 = 11;
    pub(super) const STORAGE_ERROR: i16 = 56;
    pub(super) const FENCED_LEADER_EPOCH: i16 = 74;
    pub(super) const STALE_BROKER_EPOCH: i16 = 77;
    pub(super) const INCONSISTENT_TOPIC_ID: i16 = 103;
}

/// Who this broker is, and how it replicates.
#[derive(Debug, Clone)]
pub struct ManagerConfig {
    pub broker_id: BrokerId,
    /// `replica.lag.time.max.ms`
    pub lag_max: Duration,
    pub fetch: FetchConfig,
    /// `num.replica.alter.log.dirs.threads`; as many as directories if `None`.
    pub moves_at_a_time: Option<usize>,
    /// How the rate of replication is measured.
    pub replication_windows: Windows,
    /// How that of moves between directories is.
    pub log_dirs_windows: Windows,
    /// Where traffic and changes of ISRs are counted.
    pub metrics: Arc<Metrics>,
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
    around: Arc<Surroundings>,
    fetchers: Arc<Fetchers>,
    logs: Arc<log::Manager>,
    partitions: DashMap<TopicPartition, Arc<Partition>>,
    /// High watermarks of the last run, for partitions not seen yet.
    checkpointed: HashMap<TopicPartition, Offset>,
    /// One control request at a time; also the newest epoch seen.
    control: Mutex<Control>,
    moves: Arc<Moves>,
    stop: Shutdown,
}

impl Manager {
    /// Followers fetch until `stop`.
    #[must_use]
    pub fn new(
        config: ManagerConfig,
        logs: Arc<log::Manager>,
        cluster: Arc<Cluster>,
        checkpointed: HashMap<TopicPartition, Offset>,
        clock: SharedClock,
        stop: Shutdown,
    ) -> Self {
        let around = Arc::new(Surroundings {
            own_id: config.broker_id,
            clock: clock.clone(),
            cluster,
            lag_max: config.lag_max,
            isr_queue: Queue::default(),
            quotas: Arc::new(Quotas::new(
                config.replication_windows,
                config.log_dirs_windows,
                &clock,
            )),
            pulse: Pulse::default(),
            metrics: config.metrics.clone(),
            broker_epoch: AtomicI64::new(0),
        });
        Self {
            fetchers: Fetchers::new(config.fetch.clone(), around.clone(), stop.clone()),
            moves: Arc::new(Moves::new(
                config.moves_at_a_time.unwrap_or_else(|| logs.dirs().len()),
            )),
            stop,
            around,
            config,
            clock,
            logs,
            partitions: DashMap::new(),
            checkpointed,
            control: Mutex::default(),
        }
    }

    /// Where progress of any partition shows.
    #[must_use]
    pub fn pulse(&self) -> &Pulse {
        &self.around.pulse
    }

    /// Counts what reached no partition.
    pub fn count(&self, what: Traffic, count: u64) {
        self.around.metrics.traffic.add(what, count);
    }

    /// The limits of replication.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.around.quotas
    }

    pub(super) fn lock_control(&self) -> impl Sized + '_ {
        self.control.lock()
    }

    pub(super) fn moves(&self) -> &Arc<Moves> {
        &self.moves
    }

    pub(super) fn stop_of_moves(&self) -> Shutdown {
        self.stop.clone()
    }

    pub(super) fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    pub(super) fn logs_handle(&self) -> Arc<log::Manager> {
        self.logs.clone()
    }

    pub(super) fn logs(&self) -> &log::Manager {
        &self.logs
    }

    /// The id of this broker.
    #[must_use]
    pub fn broker_id(&self) -> BrokerId {
        self.config.broker_id
    }

    /// A (new) registration: requests for older incarnations are refused.
    pub fn set_broker_epoch(&self, epoch: BrokerEpoch) {
        let _between_requests = self.control.lock();
        self.around.broker_epoch.store(epoch, Ordering::Release);
    }

    /// The epoch of the newest registration.
    #[must_use]
    pub fn broker_epoch(&self) -> BrokerEpoch {
        self.around.broker_epoch()
    }

    /// Starts what keeps the ISRs of this broker's partitions.
    pub fn keep_isrs(
        self: &Arc<Self>,
        channel: Arc<dyn IsrChannel>,
        stop: &Shutdown,
    ) -> Vec<JoinHandle<()>> {
        let ask = isr::run(self.clone(), channel, stop.clone());
        let (this, stop) = (self.clone(), stop.clone());
        let shrink = async move {
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    () = tokio::time::sleep(this.config.lag_max / 2) => {}
                }
                for partition in this.partitions() {
                    partition.maybe_shrink_isr();
                }
            }
        };
        vec![
            common::task::spawn("isr changes", ask),
            common::task::spawn("isr shrinking", shrink),
        ]
    }

    pub(super) fn isr_queue(&self) -> &Queue {
        &self.around.isr_queue
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

    /// Brokers are gone that partitions may wait for.
    pub fn look_again(&self) {
        for partition in self.partitions() {
            partition.look_again();
        }
    }

    /// Leads nothing any more that others can lead: the controller has moved it away,
    /// and its word on that may come too late for clients that wait.
    pub fn step_down(&self) {
        for partition in self.partitions() {
            partition.step_down();
        }
    }

    /// Whether replicas lie on a full disk that others can do without.
    #[must_use]
    pub fn has_replicas_to_give_way(&self) -> bool {
        self.logs.dirs().iter().any(|dir| dir.is_full())
            && self
                .partitions
                .iter()
                .any(|entry| entry.value().would_give_way())
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

    /// Another `num.replica.fetchers`.
    pub fn set_fetchers(&self, lanes: usize) {
        let _between_requests = self.control.lock();
        self.fetchers.spread(lanes);
    }

    /// Takes the roles that the controller decided. Opens and creates logs, so
    /// it belongs on a thread that may block.
    pub fn become_leader_or_follower(
        &self,
        request: &LeaderAndIsrRequest,
        configs: &TopicConfigMap,
    ) -> (ControlResponse, Vec<RoleChange>) {
        let mut control = self.control.lock();
        if let Some(refusal) = self.refuse(&mut control, &request.header) {
            return (refusal, Vec::new());
        }
        for leader in &request.live_leaders {
            let (host, port) = (leader.host.clone(), leader.port);
            self.fetchers.know(leader.id, Address { host, port });
        }
        let ids: HashMap<_, _> = request.topic_ids.iter().map(|(t, id)| (t, *id)).collect();
        let mut response = ControlResponse::default();
        let mut changes = Vec::new();
        let take = |decided: &PartitionState| {
            let topic = &decided.topic_partition.topic;
            let id = ids.get(topic).copied().unwrap_or(TopicId::nil());
            self.take_role(decided, id, configs.get(topic))
        };
        let outcomes = side_by_side(&request.partitions, take);
        for (decided, outcome) in request.partitions.iter().zip(outcomes) {
            match outcome {
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
        let own_id = self.config.broker_id;
        if !decided.replicas.contains(&own_id) {
            return Err(code::UNKNOWN_TOPIC_OR_PARTITION);
        }
        let partition = self.open(decided, topic_id, config)?;
        if partition.is_offline() {
            // This is how the controller learns which replicas are gone.
            return Err(code::STORAGE_ERROR);
        }
        let known = partition.epoch();
        if known.is_some_and(|known| decided.leader_epoch < known) {
            return Err(code::STALE_CONTROLLER_EPOCH);
        }
        if partition.gives_way(decided) {
            return Err(code::STORAGE_ERROR);
        }
        if known == Some(decided.leader_epoch) && !partition.is_stopped() {
            return Err(code::STALE_CONTROLLER_EPOCH);
        }
        let led_in = partition.leads_in();
        if decided.leader == own_id {
            // No fetch may append after this replica leads.
            self.fetchers.unfollow(id);
            partition.become_leader(decided).map_err(|error| {
                tracing::error!(partition = %id, %error, "this broker cannot lead the partition");
                code::STORAGE_ERROR
            })?;
        } else {
            self.become_follower(&partition, decided)?;
        }
        let leads_in = partition.leads_in();
        Ok((led_in != leads_in).then(|| RoleChange {
            partition: id.clone(),
            leads_in,
        }))
    }

    fn become_follower(
        &self,
        partition: &Arc<Partition>,
        decided: &PartitionState,
    ) -> Result<(), i16> {
        let following = partition.become_follower(decided).map_err(|error| {
            tracing::error!(partition = %partition.id(), %error, "the log cannot be cut");
            code::STORAGE_ERROR
        })?;
        self.fetchers.follow(partition, following);
        Ok(())
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
        let around = self.around.clone();
        let partition = Arc::new(Partition::new(id.clone(), around, log, high_watermark));
        self.partitions.insert(id.clone(), partition.clone());
        self.resume_move(&partition);
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

    /// Checks a request that carries only metadata.
    pub fn refusal(&self, header: &ControlHeader) -> Option<ControlResponse> {
        self.refuse(&mut self.control.lock(), header)
    }

    fn refuse(&self, control: &mut Control, header: &ControlHeader) -> Option<ControlResponse> {
        control.refusal(header, self.broker_epoch())
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

#[cfg(test)]
mod tests;
