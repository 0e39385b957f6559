//! Routes commands to the shards of a coordinator, and lets shards come and go with
//! leadership.
//!
//! Flow: `load` starts a shard's task, `unload` ends it; commands find their shard
//! by the hash of the id that they are about.
//!
//! **Invariant:** a partition has at most one running shard; the next one reads
//! the log only after the previous one has ended.
//! **Invariant:** a `load` or `unload` of an older leader epoch changes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::loading::{Loading, Rounds};
use super::shard::{self, Shard, Task};
use super::{StateLog, partition_for};
use crate::model::LeaderEpoch;

/// Commands that may wait for one shard; more make their connections wait.
const COMMANDS_WAITING_MAX: usize = 1_024;

/// Why there is no shard to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    #[error("the coordinator is stopping")]
    Stopped,
    #[error("the partition is still being read back")]
    Loading,
    #[error("this broker does not lead the partition")]
    NotHere,
}

/// The way back to whoever asks.
pub type Reply<T> = oneshot::Sender<T>;

/// The way to one shard.
pub struct Route<C>(mpsc::Sender<C>);

impl<C> Route<C> {
    /// Asks, and waits for the answer. May be dropped at any time: what it asked
    /// for happens or does not, as if the answer had been lost.
    pub async fn ask<T>(self, command: impl FnOnce(Reply<T>) -> C) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(command(reply)).await;
        // A closed channel must not keep the shard's stop waiting for this answer.
        drop(self);
        sent.map_err(|_| Unavailable::NotHere)?;
        answer.await.map_err(|_| Unavailable::NotHere)
    }
}

/// The way to every shard that is loaded.
pub struct Loaded<C> {
    pub routes: Vec<Route<C>>,
    /// Others are still being read back.
    pub is_loading: bool,
}

impl<C> Loaded<C> {
    /// What each of them answers. One that ends meanwhile has nothing here any more.
    pub async fn ask_all<T>(self, command: impl Fn(Reply<T>) -> C) -> Vec<T> {
        let mut answers = Vec::with_capacity(self.routes.len());
        for route in self.routes {
            answers.extend(route.ask(&command).await);
        }
        answers
    }
}

/// The shards of one coordinator on this broker, by partition.
pub struct Shards<S: Shard> {
    log: Arc<dyn StateLog>,
    clock: SharedClock,
    load_buffer_size: usize,
    rounds: Arc<Rounds<S::Found>>,
    table: Mutex<Table<S::Command>>,
}

struct Table<C> {
    running: HashMap<i32, Slot<C>>,
    /// Tasks of partitions that were given up, until the next load.
    ending: HashMap<i32, JoinHandle<()>>,
    /// The highest leader epoch heard of.
    epochs: HashMap<i32, LeaderEpoch>,
    is_stopped: bool,
}

struct Slot<C> {
    leader_epoch: LeaderEpoch,
    commands: mpsc::Sender<C>,
    is_loaded: Arc<AtomicBool>,
    stop: Shutdown,
    task: JoinHandle<()>,
}

impl<C> Slot<C> {
    fn route(&self) -> Result<Route<C>, Unavailable> {
        if self.commands.is_closed() {
            return Err(Unavailable::NotHere);
        }
        if !self.is_loaded.load(Ordering::Acquire) {
            return Err(Unavailable::Loading);
        }
        Ok(Route(self.commands.clone()))
    }
}

impl<C> Table<C> {
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

impl<S: Shard> Shards<S> {
    /// `load_buffer_size` bytes are read at a time while loading.
    #[must_use]
    pub fn new(log: Arc<dyn StateLog>, clock: SharedClock, load_buffer_size: usize) -> Self {
        let rounds = Rounds::new(Arc::clone(&clock));
        let table = Mutex::new(Table {
            running: HashMap::new(),
            ending: HashMap::new(),
            epochs: HashMap::new(),
            is_stopped: false,
        });
        Self {
            log,
            clock,
            load_buffer_size,
            rounds,
            table,
        }
    }

    /// This broker leads the partition: it is read back into what `shard` makes,
    /// and served. Must be called within a tokio runtime; returns at once.
    pub fn load(&self, partition: i32, leader_epoch: LeaderEpoch, shard: impl FnOnce() -> S) {
        let mut table = self.table.lock();
        if table.is_stopped || !table.accept_epoch(partition, leader_epoch) {
            return;
        }
        let is_served = |slot: &Slot<_>| {
            let is_current = slot.leader_epoch == leader_epoch || !S::IS_OF_ONE_EPOCH;
            is_current && !slot.commands.is_closed()
        };
        if table.running.get(&partition).is_some_and(is_served) {
            return;
        }
        table.give_up(partition);
        let predecessor = table.ending.remove(&partition);
        let (commands, receiver) = mpsc::channel(COMMANDS_WAITING_MAX);
        let is_loaded = Arc::new(AtomicBool::new(false));
        let stop = Shutdown::new();
        let task = Task {
            shard: shard(),
            partition,
            leader_epoch,
            log: Arc::clone(&self.log),
            clock: Arc::clone(&self.clock),
            load_buffer_size: self.load_buffer_size,
            commands: receiver,
            stop: stop.clone(),
            is_loaded: Arc::clone(&is_loaded),
            loading: Some(self.rounds.begin()),
            predecessor,
        };
        let task = common::task::spawn(S::NAME, shard::run(task));
        let slot = Slot {
            leader_epoch,
            commands,
            is_loaded,
            stop,
            task,
        };
        table.running.insert(partition, slot);
    }

    /// Keeps one round of loading open, so that all partitions which `load` is
    /// called for before it is dropped are reported as one.
    #[must_use]
    pub fn begin_loading(&self) -> Loading<S::Found> {
        self.rounds.begin()
    }

    /// Another broker leads the partition: its state is forgotten and whoever
    /// waits is sent there. Without an epoch the partition itself is gone.
    pub fn unload(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        let mut table = self.table.lock();
        if leader_epoch.is_some_and(|epoch| !table.accept_epoch(partition, epoch)) {
            return;
        }
        table.give_up(partition);
    }

    /// The partition of the internal topic that holds the id; `None` while the
    /// topic does not exist.
    #[must_use]
    pub fn partition_for(&self, id: &str) -> Option<i32> {
        partition_for(id, self.log.partition_count())
    }

    /// The shard that holds the id.
    pub fn route(&self, id: &str) -> Result<Route<S::Command>, Unavailable> {
        self.route_found(self.partition_for(id))
    }

    /// The shard of the partition.
    pub fn route_partition(&self, partition: i32) -> Result<Route<S::Command>, Unavailable> {
        self.route_found(Some(partition))
    }

    fn route_found(&self, partition: Option<i32>) -> Result<Route<S::Command>, Unavailable> {
        let table = self.table.lock();
        if table.is_stopped {
            return Err(Unavailable::Stopped);
        }
        let slot = partition.and_then(|partition| table.running.get(&partition));
        slot.ok_or(Unavailable::NotHere)?.route()
    }

    /// All shards that can be asked now.
    pub fn all(&self) -> Result<Loaded<S::Command>, Unavailable> {
        let table = self.table.lock();
        if table.is_stopped {
            return Err(Unavailable::Stopped);
        }
        let mut routes = Vec::with_capacity(table.running.len());
        let mut is_loading = false;
        for slot in table.running.values() {
            match slot.route() {
                Ok(route) => routes.push(route),
                Err(refused) => is_loading |= refused == Unavailable::Loading,
            }
        }
        Ok(Loaded { routes, is_loading })
    }

    /// Tells every loaded shard, without waiting for what comes of it.
    pub async fn tell_all(&self, command: impl Fn() -> S::Command) {
        let Ok(loaded) = self.all() else {
            return;
        };
        for route in loaded.routes {
            // A shard that ends meanwhile has nothing to do any more.
            let _ = route.0.send(command()).await;
        }
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.table.lock().is_stopped
    }

    /// Lets every shard finish the writes that somebody waits for; ends when all
    /// have ended.
    pub async fn stop(&self) {
        for task in self.close() {
            if let Err(error) = task.await {
                tracing::error!(%error, "a {} failed", S::NAME);
            }
        }
    }

    /// Closes all shards and gives back their tasks.
    fn close(&self) -> Vec<JoinHandle<()>> {
        let mut table = self.table.lock();
        table.is_stopped = true;
        let running: Vec<_> = table.running.drain().map(|(_, slot)| slot.task).collect();
        let ending = table.ending.drain().map(|(_, task)| task);
        running.into_iter().chain(ending).collect()
    }
}
