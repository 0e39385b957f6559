//! What the coordinator is asked from outside, and the shards that answer.
//!
//! **Invariant:** a shard's coordinator epoch is the leader epoch it was loaded in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;

use super::markers::{MarkerChannel, Sender};
use super::shard::{Command, Found, Parts, Shard};
use super::state::End;
use super::{Census, Config, Description, Error, InitRequest, Initialized, TransactionRef};
use crate::cluster::Cluster;
use crate::metrics::Metrics;
use crate::model::{LeaderEpoch, TopicPartition};
use crate::state_log::{Loading, Route, Shards, StateLog};

/// Looks after all transactions of this broker until it stops.
pub struct Service {
    handle: Handle,
}

/// The way to the transactions; cheap to clone.
///
/// Every request may be dropped at any time: what it asked for happens or does
/// not, as if the answer had been lost.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    parts: Parts,
    shards: Shards<Shard>,
}

impl Service {
    #[must_use]
    pub fn new(
        config: Config,
        log: Arc<dyn StateLog>,
        cluster: Arc<Cluster>,
        channel: Arc<dyn MarkerChannel>,
        clock: SharedClock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let parts = Parts {
            config: Arc::new(config),
            clock,
            log,
            markers: Sender::new(cluster, channel),
            metrics,
        };
        let (log, clock) = (parts.log.clone(), parts.clock.clone());
        let shards = Shards::new(log, clock, parts.config.load_buffer_size);
        Self {
            handle: Handle(Arc::new(Shared { parts, shards })),
        }
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends what is late and removes what is idle from time to time; on shutdown
    /// lets every shard finish the writes that somebody waits for.
    pub async fn run(self, shutdown: Shutdown) {
        let config = self.handle.0.parts.config.clone();
        let mut aborts = interval(config.abort_interval);
        let mut expirations = interval(config.expiration_interval);
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                _ = aborts.tick() => self.handle.abort_late().await,
                _ = expirations.tick() => self.handle.expire().await,
            }
        }
        self.handle.0.shards.stop().await;
        self.handle.0.parts.markers.stop();
    }
}

/// Ticks that are late do not come in a burst; the first one comes after `period`.
fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(1)));
    interval.reset();
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    interval
}

impl Handle {
    /// This broker leads the partition: its ids are read back and served. A newer
    /// epoch of a partition that it led already reads it again. Must be called
    /// within a tokio runtime; returns at once.
    pub fn load(&self, partition: i32, leader_epoch: LeaderEpoch) {
        let shared = &self.0;
        shared.shards.load(partition, leader_epoch, || {
            Shard::new(partition, leader_epoch, shared.parts.clone())
        });
    }

    /// Keeps one round of loading open, so that all partitions which `load` is
    /// called for before it is dropped are reported as one.
    #[must_use]
    pub fn begin_loading(&self) -> Loading<Found> {
        self.0.shards.begin_loading()
    }

    /// Another broker leads the partition: its ids are forgotten and whoever
    /// waits is sent there. Without an epoch the partition itself is gone.
    pub fn unload(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        self.0.shards.unload(partition, leader_epoch);
    }

    /// The partition of the internal topic that holds the id; `None` while the
    /// topic does not exist.
    #[must_use]
    pub fn partition_for(&self, transactional_id: &str) -> Option<i32> {
        self.0.shards.partition_for(transactional_id)
    }

    /// A producer wants to own the id. `fresh_producer_id` is asked for when it is
    /// needed.
    pub async fn init(
        &self,
        request: InitRequest,
        fresh_producer_id: Option<i64>,
    ) -> Result<Initialized, Error> {
        if request.transactional_id.is_empty() {
            return Err(Error::InvalidRequest);
        }
        let allowed = 1..=self.0.parts.config.timeout_ms_max;
        if !allowed.contains(&request.timeout_ms) {
            return Err(Error::InvalidTransactionTimeout);
        }
        let shard = self.route(&request.transactional_id)?;
        shard
            .ask(|reply| Command::Init {
                request,
                fresh_producer_id,
                reply,
            })
            .await?
    }

    /// Adds the partitions to the transaction, which begins if there is none.
    pub async fn add(
        &self,
        transaction: TransactionRef,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<(), Error> {
        let shard = self.route_named(&transaction)?;
        shard
            .ask(|reply| Command::Add {
                transaction,
                partitions,
                reply,
            })
            .await?
    }

    /// Says of each partition whether it is in the transaction (KIP-890).
    pub async fn verify(
        &self,
        transaction: TransactionRef,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<bool>, Error> {
        let shard = self.route_named(&transaction)?;
        shard
            .ask(|reply| Command::Verify {
                transaction,
                partitions,
                reply,
            })
            .await?
    }

    /// Ends the transaction; it is decided when this returns, and carried out
    /// soon after.
    pub async fn end(&self, transaction: TransactionRef, end: End) -> Result<(), Error> {
        let shard = self.route_named(&transaction)?;
        shard
            .ask(|reply| Command::End {
                transaction,
                end,
                reply,
            })
            .await?
    }

    pub async fn describe(&self, transactional_id: String) -> Result<Description, Error> {
        if self.0.shards.is_stopped() {
            return Err(Error::CoordinatorNotAvailable);
        }
        if transactional_id.is_empty() {
            return Err(Error::InvalidRequest);
        }
        let shard = self.route(&transactional_id)?;
        shard
            .ask(|reply| Command::Describe {
                transactional_id,
                reply,
            })
            .await?
    }

    /// All ids that this broker coordinates.
    pub async fn list(&self) -> Result<Vec<Description>, Error> {
        let loaded = self.0.shards.all();
        let loaded = loaded.map_err(|_| Error::CoordinatorNotAvailable)?;
        if loaded.is_loading {
            return Err(Error::CoordinatorLoadInProgress);
        }
        let mut all = Vec::new();
        for listed in loaded.ask_all(|reply| Command::List { reply }).await {
            all.extend(listed?);
        }
        Ok(all)
    }

    /// How many ids there are; shards that are still being read back are left out.
    pub async fn census(&self) -> Census {
        let mut census = Census::default();
        if let Ok(loaded) = self.0.shards.all() {
            let counted = loaded.ask_all(|reply| Command::Count { reply }).await;
            let counted = counted.into_iter().flatten();
            counted.for_each(|counted| census += counted);
        }
        census
    }

    /// Aborts the transactions that are open for too long.
    pub async fn abort_late(&self) {
        self.0.shards.tell_all(|| Command::AbortLate).await;
    }

    /// Removes the ids that nobody used for too long.
    pub async fn expire(&self) {
        self.0.shards.tell_all(|| Command::Expire).await;
    }

    fn route_named(&self, transaction: &TransactionRef) -> Result<Route<Command>, Error> {
        if transaction.transactional_id.is_empty() {
            return Err(Error::InvalidRequest);
        }
        self.route(&transaction.transactional_id)
    }

    fn route(&self, transactional_id: &str) -> Result<Route<Command>, Error> {
        Ok(self.0.shards.route(transactional_id)?)
    }
}

#[cfg(test)]
mod tests;
