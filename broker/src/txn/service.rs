//! Routes requests to shards, and lets shards come and go with leadership.
//!
//! Flow: `load` starts a shard's task, `unload` ends it; requests find their
//! shard by the hash of the transactional id.
//!
//! **Invariant:** a partition has at most one running shard; the next one reads
//! the log only after the previous one has ended.
//! **Invariant:** a shard's coordinator epoch is the leader epoch it was loaded in.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::markers::{MarkerChannel, Sender};
use super::shard::{self, Command, Parts, Reply, Shard, Task};
use super::state::End;
use super::{Config, Description, Error, InitRequest, Initialized, TransactionRef};
use crate::cluster::Cluster;
use crate::model::{LeaderEpoch, TopicPartition};
use crate::state_log::{StateLog, partition_for};

/// Requests that may wait for one shard; more make their connections wait.
const COMMANDS_WAITING_MAX: usize = 1_024;

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
    shards: Mutex<Shards>,
}

#[derive(Default)]
struct Shards {
    running: HashMap<i32, Slot>,
    /// Tasks of partitions that were given up, until the next load.
    ending: HashMap<i32, JoinHandle<()>>,
    /// The highest leader epoch heard of.
    epochs: HashMap<i32, LeaderEpoch>,
    is_stopped: bool,
}

struct Slot {
    leader_epoch: LeaderEpoch,
    commands: mpsc::Sender<Command>,
    is_loaded: Arc<AtomicBool>,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl Slot {
    fn route(&self) -> Result<mpsc::Sender<Command>, Error> {
        if self.commands.is_closed() {
            return Err(Error::NotCoordinator);
        }
        if !self.is_loaded.load(Ordering::Acquire) {
            return Err(Error::CoordinatorLoadInProgress);
        }
        Ok(self.commands.clone())
    }
}

impl Service {
    #[must_use]
    pub fn new(
        config: Config,
        log: Arc<dyn StateLog>,
        cluster: Arc<Cluster>,
        channel: Arc<dyn MarkerChannel>,
        clock: SharedClock,
    ) -> Self {
        let parts = Parts {
            config: Arc::new(config),
            clock,
            log,
            markers: Sender::new(cluster, channel),
        };
        let shards = Mutex::default();
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
        for task in self.handle.0.stop() {
            if let Err(error) = task.await {
                tracing::error!(%error, "a transaction shard failed");
            }
        }
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

impl Shared {
    /// Closes all shards and gives back their tasks.
    fn stop(&self) -> Vec<JoinHandle<()>> {
        let mut shards = self.shards.lock();
        shards.is_stopped = true;
        let running: Vec<Slot> = shards.running.drain().map(|(_, slot)| slot).collect();
        let ending = shards.ending.drain().map(|(_, task)| task);
        running
            .into_iter()
            .map(|slot| slot.task)
            .chain(ending)
            .collect()
    }
}

impl Shards {
    /// Remembers the epoch; false when a newer one is known.
    fn accept_epoch(&mut self, partition: i32, epoch: LeaderEpoch) -> bool {
        let known = self.epochs.entry(partition).or_insert(epoch);
        *known = epoch.max(*known);
        *known == epoch
    }

    /// Ends the shard of the partition, if there is one.
    fn give_up(&mut self, partition: i32) {
        if let Some(slot) = self.running.remove(&partition) {
            slot.stop.request();
            self.ending.insert(partition, slot.task);
        }
    }
}

impl Handle {
    /// This broker leads the partition: its ids are read back and served. A newer
    /// epoch of a partition that it led already reads it again. Must be called
    /// within a tokio runtime; returns at once.
    pub fn load(&self, partition: i32, leader_epoch: LeaderEpoch) {
        let shared = &self.0;
        let mut shards = shared.shards.lock();
        if shards.is_stopped || !shards.accept_epoch(partition, leader_epoch) {
            return;
        }
        let is_served =
            |slot: &Slot| slot.leader_epoch == leader_epoch && !slot.commands.is_closed();
        if shards.running.get(&partition).is_some_and(is_served) {
            return;
        }
        shards.give_up(partition);
        let predecessor = shards.ending.remove(&partition);
        let (commands, receiver) = mpsc::channel(COMMANDS_WAITING_MAX);
        let is_loaded = Arc::new(AtomicBool::new(false));
        let stop = Shutdown::new();
        let task = Task {
            shard: Shard::new(partition, leader_epoch, shared.parts.clone()),
            commands: receiver,
            stop: stop.clone(),
            is_loaded: Arc::clone(&is_loaded),
            predecessor,
        };
        let task = common::task::spawn("transaction shard", shard::run(task));
        let slot = Slot {
            leader_epoch,
            commands,
            is_loaded,
            stop,
            task,
        };
        shards.running.insert(partition, slot);
    }

    /// Another broker leads the partition: its ids are forgotten and whoever
    /// waits is sent there. Without an epoch the partition itself is gone.
    pub fn unload(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        let mut shards = self.0.shards.lock();
        if leader_epoch.is_some_and(|epoch| !shards.accept_epoch(partition, epoch)) {
            return;
        }
        shards.give_up(partition);
    }

    /// The partition of the internal topic that holds the id; `None` while the
    /// topic does not exist.
    #[must_use]
    pub fn partition_for(&self, transactional_id: &str) -> Option<i32> {
        partition_for(transactional_id, self.0.parts.log.partition_count())
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
        let commands = self.route(&request.transactional_id)?;
        ask(commands, |reply| Command::Init {
            request,
            fresh_producer_id,
            reply,
        })
        .await
    }

    /// Adds the partitions to the transaction, which begins if there is none.
    pub async fn add(
        &self,
        transaction: TransactionRef,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<(), Error> {
        let commands = self.route_named(&transaction)?;
        ask(commands, |reply| Command::Add {
            transaction,
            partitions,
            reply,
        })
        .await
    }

    /// Says of each partition whether it is in the transaction (KIP-890).
    pub async fn verify(
        &self,
        transaction: TransactionRef,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<bool>, Error> {
        let commands = self.route_named(&transaction)?;
        ask(commands, |reply| Command::Verify {
            transaction,
            partitions,
            reply,
        })
        .await
    }

    /// Ends the transaction; it is decided when this returns, and carried out
    /// soon after.
    pub async fn end(&self, transaction: TransactionRef, end: End) -> Result<(), Error> {
        let commands = self.route_named(&transaction)?;
        ask(commands, |reply| Command::End {
            transaction,
            end,
            reply,
        })
        .await
    }

    pub async fn describe(&self, transactional_id: String) -> Result<Description, Error> {
        if self.0.shards.lock().is_stopped {
            return Err(Error::CoordinatorNotAvailable);
        }
        if transactional_id.is_empty() {
            return Err(Error::InvalidRequest);
        }
        let commands = self.route(&transactional_id)?;
        ask(commands, |reply| Command::Describe {
            transactional_id,
            reply,
        })
        .await
    }

    /// All ids that this broker coordinates.
    pub async fn list(&self) -> Result<Vec<Description>, Error> {
        let mut all = Vec::new();
        for commands in self.all_shards()? {
            let listed = ask(commands, |reply| Command::List { reply }).await;
            // A shard that ends meanwhile has no ids here any more.
            all.extend(listed.unwrap_or_default());
        }
        Ok(all)
    }

    /// Aborts the transactions that are open for too long.
    pub async fn abort_late(&self) {
        self.tell_all(|| Command::AbortLate).await;
    }

    /// Removes the ids that nobody used for too long.
    pub async fn expire(&self) {
        self.tell_all(|| Command::Expire).await;
    }

    async fn tell_all(&self, command: impl Fn() -> Command) {
        let routes: Vec<_> = {
            let shards = self.0.shards.lock();
            let running = shards.running.values();
            running.filter_map(|slot| slot.route().ok()).collect()
        };
        for commands in routes {
            // A shard that ends meanwhile has nothing to do any more.
            let _ = commands.send(command()).await;
        }
    }

    /// The loaded shards, unless one is still loading.
    fn all_shards(&self) -> Result<Vec<mpsc::Sender<Command>>, Error> {
        let shards = self.0.shards.lock();
        if shards.is_stopped {
            return Err(Error::CoordinatorNotAvailable);
        }
        let mut routes = Vec::with_capacity(shards.running.len());
        for slot in shards.running.values() {
            match slot.route() {
                Ok(route) => routes.push(route),
                Err(Error::CoordinatorLoadInProgress) => {
                    return Err(Error::CoordinatorLoadInProgress);
                }
                Err(_) => {}
            }
        }
        Ok(routes)
    }

    fn route_named(&self, transaction: &TransactionRef) -> Result<mpsc::Sender<Command>, Error> {
        if transaction.transactional_id.is_empty() {
            return Err(Error::InvalidRequest);
        }
        self.route(&transaction.transactional_id)
    }

    fn route(&self, transactional_id: &str) -> Result<mpsc::Sender<Command>, Error> {
        let partition = self.partition_for(transactional_id);
        let shards = self.0.shards.lock();
        let slot = partition.and_then(|partition| shards.running.get(&partition));
        slot.ok_or(Error::NotCoordinator)?.route()
    }
}

async fn ask<T>(
    commands: mpsc::Sender<Command>,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<T, Error> {
    let (reply, answer) = oneshot::channel();
    let sent = commands.send(command(reply)).await;
    // A closed channel must not keep the shard's stop waiting for this answer.
    drop(commands);
    sent.map_err(|_| Error::NotCoordinator)?;
    answer.await.map_err(|_| Error::NotCoordinator)?
}

#[cfg(test)]
mod tests;
