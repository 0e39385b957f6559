//! One partition on this broker: its role, its log, its high watermark.
//!
//! `append` and `read` serve clients and followers of a leader, `follow` is
//! what a follower does, `in_sync` what a leader does for its ISR.
//!
//! **Invariant:** role and log change under one lock, taken in the order state,
//! then log; neither is held across an await.

mod append;
mod delete_records;
mod follow;
mod full_disk;
mod in_sync;
mod moving;
mod read;
#[cfg(test)]
pub(super) mod tests;
mod throttle;
mod traffic;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::Mutex;

pub use append::{Appended, Pending, TxnMarker};
pub use delete_records::DeleteRecordsError;
pub(super) use follow::{Fetched, FollowError, Position};
pub(super) use moving::{Cursor, MovingError, Progress};
pub use read::{OffsetAtTime, OffsetQuery, ReadRequest, ReadResult, Reader};
pub use traffic::{Shape, Standing};

use super::error::Error;
use super::isr::Queue;
use super::leader::{LeaderState, Rules};
use super::quota::Quotas;
use super::wait::{Pulse, Registration, Waiter, Waiters};
use crate::cluster::Cluster;
use crate::log::{ActiveProducer, Log, LogConfig, LogHandle};
use crate::metrics::Metrics;
use crate::model::{
    BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch, TopicId, TopicPartition,
};
use crate::protocol::interbroker::PartitionState;

/// What all partitions of a broker share.
pub(super) struct Surroundings {
    pub(super) own_id: BrokerId,
    pub(super) clock: SharedClock,
    /// Who is alive.
    pub(super) cluster: Arc<Cluster>,
    /// `replica.lag.time.max.ms`.
    pub(super) lag_max: Duration,
    pub(super) isr_queue: Queue,
    pub(super) quotas: Arc<Quotas>,
    pub(super) pulse: Pulse,
    pub(super) metrics: Arc<Metrics>,
    /// Of the newest registration.
    pub(super) broker_epoch: AtomicI64,
}

impl Surroundings {
    pub(super) fn broker_epoch(&self) -> BrokerEpoch {
        self.broker_epoch.load(Ordering::Acquire)
    }
}

/// One replica.
pub struct Partition {
    id: TopicPartition,
    around: Arc<Surroundings>,
    log: LogHandle,
    state: Mutex<State>,
    waiters: Waiters,
    /// A follower has not reached its leader's high watermark yet.
    lags: AtomicBool,
    traffic: traffic::Counters,
}

struct State {
    role: Role,
    high_watermark: Offset,
}

enum Role {
    Leader(LeaderState),
    Follower(Following),
    /// Told to stop in this epoch.
    Stopped {
        epoch: LeaderEpoch,
    },
    /// Not told yet.
    None,
}

/// Whom a follower follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Following {
    pub(super) leader: BrokerId,
    pub(super) epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
}

impl Partition {
    pub(super) fn new(
        id: TopicPartition,
        around: Arc<Surroundings>,
        log: LogHandle,
        high_watermark: Offset,
    ) -> Self {
        let (start, end) = {
            let log = log.read();
            (log.log_start_offset(), log.log_end_offset())
        };
        let state = State {
            role: Role::None,
            high_watermark: high_watermark.clamp(start, end),
        };
        Self {
            id,
            waiters: Waiters::new(&around.pulse),
            around,
            log,
            state: Mutex::new(state),
            lags: AtomicBool::new(true),
            traffic: traffic::Counters::default(),
        }
    }

    #[must_use]
    pub fn id(&self) -> &TopicPartition {
        &self.id
    }

    /// The epoch in which this replica leads, if it does.
    #[must_use]
    pub fn leads_in(&self) -> Option<LeaderEpoch> {
        match &self.state.lock().role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Follower(_) | Role::Stopped { .. } | Role::None => None,
        }
    }

    /// The newest epoch that this replica was told.
    pub(super) fn epoch(&self) -> Option<LeaderEpoch> {
        match &self.state.lock().role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Follower(following) => Some(following.epoch),
            Role::Stopped { epoch } => Some(*epoch),
            Role::None => None,
        }
    }

    /// Whether it was told to stop.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state.lock().role, Role::Stopped { .. })
    }

    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.state.lock().high_watermark
    }

    /// First and next offset of the log, and its size in bytes.
    #[must_use]
    pub fn extent(&self) -> (Offset, Offset, u64) {
        let log = self.log.read();
        (log.log_start_offset(), log.log_end_offset(), log.size())
    }

    /// The idempotent producers that the log remembers, by their ids.
    #[must_use]
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.log.read().active_producers()
    }

    /// Says whether the directory of the log failed.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.log.read().is_offline()
    }

    /// The id of the topic that the log belongs to, if it is known.
    pub(super) fn topic_id(&self) -> Option<TopicId> {
        self.log.read().topic_id()
    }

    /// The topic's configuration as it is now.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        self.log.read().config().clone()
    }

    pub(super) fn set_config(&self, config: LogConfig) {
        self.log.write().reconfigure(config);
    }

    /// Takes the role that the controller decided; `decided` is of a newer
    /// leader epoch than what this replica knows.
    pub(super) fn become_leader(&self, decided: &PartitionState) -> Result<(), Error> {
        let mut state = self.state.lock();
        let now = self.around.clock.monotonic();
        let mut log = self.log.write();
        let log_end = log.log_end_offset();
        log.begin_epoch(decided.leader_epoch)?;
        let own_id = self.around.own_id;
        let leader = match &state.role {
            Role::Leader(leader) => leader.continued(own_id, decided, log_end, now),
            _ => LeaderState::new(own_id, decided, log_end, now),
        };
        tracing::debug!(
            partition = %self.id, epoch = leader.epoch, isr = ?leader.isr, log_end,
            high_watermark = state.high_watermark, "leads"
        );
        state.role = Role::Leader(leader);
        self.advance(&mut state, &log);
        drop(log);
        drop(state);
        self.waiters.wake();
        Ok(())
    }

    /// Follows `decided.leader` from now on. A log without epochs has no better
    /// mark than the high watermark, so it is cut there; any other keeps what it
    /// has until the leader says where the two part (KIP-101).
    pub(super) fn become_follower(
        &self,
        decided: &PartitionState,
    ) -> Result<Following, FollowError> {
        let following = Following {
            leader: decided.leader,
            epoch: decided.leader_epoch,
            partition_epoch: decided.partition_epoch,
        };
        self.state.lock().role = Role::Follower(following);
        self.lags.store(true, Ordering::Relaxed);
        if self.log.read().latest_epoch().is_none() {
            self.cut_to_high_watermark(following.epoch)?;
        }
        self.waiters.wake();
        Ok(following)
    }

    /// Another replica leads by now, though nobody has said so here yet: whoever waits
    /// for this leader is sent there. A leader without followers goes on.
    pub(super) fn step_down(&self) {
        let state = self.state.lock();
        let has_heirs = matches!(&state.role, Role::Leader(leader) if leader.has_followers());
        drop(state);
        if has_heirs {
            self.stop();
        }
    }

    pub(super) fn stop(&self) {
        let epoch = self.epoch();
        let mut state = self.state.lock();
        state.role = epoch.map_or(Role::None, |epoch| Role::Stopped { epoch });
        drop(state);
        self.waiters.wake();
    }

    /// Wakes `waiter` whenever offsets or role change.
    #[must_use]
    pub fn register(&self, waiter: &Waiter) -> Registration {
        self.waiters.register(waiter)
    }

    /// Moves the high watermark of a leader to what is committed by now.
    fn advance(&self, state: &mut State, log: &Log) {
        let Role::Leader(leader) = &state.role else {
            return;
        };
        let is_alive = |id| self.is_alive(id);
        let rules = self.rules(log, &is_alive);
        if let Some(reached) = leader.high_watermark(&rules) {
            state.high_watermark = state.high_watermark.max(reached);
        }
        debug_assert!(
            state.high_watermark <= rules.log_end,
            "the high watermark passed the log's end"
        );
    }

    fn rules<'a>(&self, log: &Log, is_alive: &'a dyn Fn(BrokerId) -> bool) -> Rules<'a> {
        Rules {
            log_end: log.log_end_offset(),
            in_sync_min: log.config().min_insync_replicas,
            lag_max: self.around.lag_max,
            now: self.around.clock.monotonic(),
            is_alive,
        }
    }

    fn is_alive(&self, id: BrokerId) -> bool {
        self.around.cluster.snapshot().brokers.contains_key(&id)
    }
}
