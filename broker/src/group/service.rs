//! Routes requests to shards, and lets shards come and go with leadership.
//!
//! Flow: `load` starts a shard's task, `unload` ends it; requests find their
//! shard by the hash of the group id.
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

use super::api::{
    CommitRequest, Description, FetchRequest, FetchedOffsets, JoinFailure, JoinRequest, Joined,
    LeavingMember, Listing, MemberRef, PartitionOutcomes, SyncRequest, Synced, TransactionEnd,
};
use super::loading::{Loading, Rounds};
use super::shard::{self, Command, Reply, Shard, Task};
use super::{Config, Error};
use crate::model::{LeaderEpoch, TopicPartition};
use crate::state_log::{self, StateLog, partition_for};

/// Requests that may wait for one shard; more make their connections wait.
const COMMANDS_WAITING_MAX: usize = 1_024;
/// The longest group id that a record of the internal topic can hold.
const GROUP_ID_SIZE_MAX: usize = i16::MAX as usize;

/// Looks after all groups of this broker until it stops.
pub struct Service {
    handle: Handle,
}

/// The way to the groups; cheap to clone.
///
/// Every request may be dropped at any time: what it asked for happens or does
/// not, as if the answer had been lost.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    config: Arc<Config>,
    clock: SharedClock,
    log: Arc<dyn StateLog>,
    rounds: Arc<Rounds>,
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
    pub fn new(config: Config, log: Arc<dyn StateLog>, clock: SharedClock) -> Self {
        let shards = Mutex::default();
        let config = Arc::new(config);
        let rounds = Rounds::new(Arc::clone(&clock));
        Self {
            handle: Handle(Arc::new(Shared {
                config,
                clock,
                log,
                rounds,
                shards,
            })),
        }
    }

    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Expires offsets from time to time; on shutdown lets every shard finish
    /// the writes in flight and ends when all have ended.
    pub async fn run(self, shutdown: Shutdown) {
        let interval = self.handle.0.config.retention_check_interval;
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                () = tokio::time::sleep(interval) => self.handle.expire_offsets().await,
            }
        }
        for task in self.handle.0.stop() {
            if let Err(error) = task.await {
                tracing::error!(%error, "a group shard failed");
            }
        }
    }
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
}

impl Handle {
    /// This broker leads the partition: its groups are read back and served.
    /// Must be called within a tokio runtime; returns at once.
    pub fn load(&self, partition: i32, leader_epoch: LeaderEpoch) {
        let shared = &self.0;
        let mut shards = shared.shards.lock();
        if shards.is_stopped || !shards.accept_epoch(partition, leader_epoch) {
            return;
        }
        if shards
            .running
            .get(&partition)
            .is_some_and(|slot| !slot.commands.is_closed())
        {
            return;
        }
        let failed = shards.running.remove(&partition).map(|slot| slot.task);
        let predecessor = failed.or_else(|| shards.ending.remove(&partition));
        let (commands, receiver) = mpsc::channel(COMMANDS_WAITING_MAX);
        let is_loaded = Arc::new(AtomicBool::new(false));
        let stop = Shutdown::new();
        let (config, clock) = (Arc::clone(&shared.config), Arc::clone(&shared.clock));
        let task = Task {
            shard: Shard::new(partition, config, clock, Arc::clone(&shared.log)),
            commands: receiver,
            stop: stop.clone(),
            is_loaded: Arc::clone(&is_loaded),
            loading: Some(shared.rounds.begin()),
            predecessor,
        };
        let task = common::task::spawn("group shard", shard::run(task));
        shards.running.insert(
            partition,
            Slot {
                commands,
                is_loaded,
                stop,
                task,
            },
        );
    }

    /// Keeps one round of loading open, so that all partitions which `load` is
    /// called for before it is dropped are reported as one.
    #[must_use]
    pub fn begin_loading(&self) -> Loading {
        self.0.rounds.begin()
    }

    /// Another broker leads the partition: its groups are forgotten and whoever
    /// waits is sent there. Without an epoch the partition itself is gone.
    pub fn unload(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        let mut shards = self.0.shards.lock();
        if leader_epoch.is_some_and(|epoch| !shards.accept_epoch(partition, epoch)) {
            return;
        }
        if let Some(slot) = shards.running.remove(&partition) {
            slot.stop.request();
            shards.ending.insert(partition, slot.task);
        }
    }

    /// The partition of the internal topic that holds the group; `None` while
    /// the topic does not exist.
    #[must_use]
    pub fn partition_for(&self, group_id: &str) -> Option<i32> {
        partition_for(group_id, self.0.log.partition_count())
    }

    pub async fn join(&self, mut request: JoinRequest) -> Result<Joined, JoinFailure> {
        let member_id = request.member_id.clone();
        let refuse = |error| JoinFailure {
            error,
            member_id: member_id.clone(),
        };
        let commands = self.route_named(&request.group_id).map_err(refuse)?;
        let config = &self.0.config;
        let allowed = config.session_timeout_ms_min..=config.session_timeout_ms_max;
        if !allowed.contains(&request.session_timeout_ms) {
            return Err(refuse(Error::InvalidSessionTimeout));
        }
        if request.rebalance_timeout_ms < 0 {
            // Versions without the field rebalance within the session.
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        let prefix = request.instance_id.as_ref().unwrap_or(&request.client_id);
        let fresh_member_id = format!("{prefix}-{}", uuid::Uuid::new_v4());
        let request = Box::new(request);
        let command = |reply| Command::Join {
            request,
            fresh_member_id,
            reply,
        };
        ask(commands, command).await.map_err(refuse)?
    }

    pub async fn sync(&self, request: SyncRequest) -> Result<Synced, Error> {
        let commands = match self.route_named(&request.group_id) {
            // The generation is over once loading is; joining again finds out.
            Err(Error::CoordinatorLoadInProgress) => return Err(Error::RebalanceInProgress),
            routed => routed?,
        };
        let request = Box::new(request);
        ask(commands, |reply| Command::Sync { request, reply }).await?
    }

    pub async fn heartbeat(&self, member: MemberRef) -> Result<(), Error> {
        let commands = match self.route_named(&member.group_id) {
            // Sessions begin anew after loading, so the member is not late.
            Err(Error::CoordinatorLoadInProgress) => return Ok(()),
            routed => routed?,
        };
        ask(commands, |reply| Command::Heartbeat { member, reply }).await?
    }

    /// The outcome of each member, in the order asked.
    pub async fn leave(
        &self,
        group_id: String,
        members: Vec<LeavingMember>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let commands = self.route_named(&group_id)?;
        ask(commands, |reply| Command::Leave {
            group_id,
            members,
            reply,
        })
        .await?
    }

    /// The outcome of each partition, in the order asked.
    pub async fn commit(&self, request: CommitRequest) -> Result<PartitionOutcomes, Error> {
        let commands = self.route(&request.member.group_id)?;
        ask(commands, |reply| Command::Commit { request, reply }).await
    }

    /// Says whether a transaction's offsets of this group belong here, now.
    pub fn check_coordinates(&self, group_id: &str) -> Result<(), Error> {
        self.route_named(group_id).map(drop)
    }

    /// Writes the marker of a transaction behind the offsets that were committed
    /// in it, and lets them count, or drops them, once it is committed.
    pub async fn end_transaction(
        &self,
        partition: i32,
        end: TransactionEnd,
    ) -> Result<(), state_log::Error> {
        // Who is not ready yet says so as a leader would: the transaction
        // coordinator knows of no groups, and comes again.
        let not_ready = |_| state_log::Error::NotLeader;
        let commands = self.route_partition(partition).map_err(not_ready)?;
        let answer = ask(commands, |reply| Command::EndTransaction { end, reply });
        answer.await.map_err(not_ready)?
    }

    pub async fn fetch(&self, request: FetchRequest) -> Result<FetchedOffsets, Error> {
        let commands = self.route(&request.group_id)?;
        ask(commands, |reply| Command::Fetch { request, reply }).await
    }

    /// `None` when there is no such group.
    pub async fn describe(&self, group_id: String) -> Result<Option<Description>, Error> {
        let commands = self.route(&group_id)?;
        ask(commands, |reply| Command::Describe { group_id, reply }).await
    }

    /// All groups that this broker coordinates.
    pub async fn list(&self) -> Result<Listing, Error> {
        let (shards, loading) = self.all_shards()?;
        let mut groups = Vec::new();
        for commands in shards {
            // A shard that ends meanwhile has no groups here any more.
            groups.extend(
                ask(commands, |reply| Command::List { reply })
                    .await
                    .unwrap_or_default(),
            );
        }
        Ok(Listing { groups, loading })
    }

    pub async fn delete(&self, group_id: String) -> Result<(), Error> {
        let commands = self.route(&group_id)?;
        ask(commands, |reply| Command::Delete { group_id, reply }).await?
    }

    /// The outcome of each partition, in the order asked.
    pub async fn delete_offsets(
        &self,
        group_id: String,
        partitions: Vec<TopicPartition>,
    ) -> Result<PartitionOutcomes, Error> {
        let commands = self.route_named(&group_id)?;
        ask(commands, |reply| Command::DeleteOffsets {
            group_id,
            partitions,
            reply,
        })
        .await?
    }

    /// The partitions are deleted: offsets committed for them go, too.
    pub async fn forget_partitions(&self, partitions: Vec<TopicPartition>) {
        let partitions: Arc<[TopicPartition]> = partitions.into();
        self.tell_all(|| Command::ForgetPartitions {
            partitions: Arc::clone(&partitions),
        })
        .await;
    }

    /// Starts the removal of what has outlived its retention.
    pub async fn expire_offsets(&self) {
        self.tell_all(|| Command::Expire).await;
    }

    async fn tell_all(&self, command: impl Fn() -> Command) {
        let Ok((shards, _)) = self.all_shards() else {
            return;
        };
        for commands in shards {
            // A shard that ends meanwhile has nothing to do any more.
            let _ = commands.send(command()).await;
        }
    }

    /// The loaded shards, and whether others are still loading.
    fn all_shards(&self) -> Result<(Vec<mpsc::Sender<Command>>, bool), Error> {
        let shards = self.0.shards.lock();
        if shards.is_stopped {
            return Err(Error::CoordinatorNotAvailable);
        }
        let routes: Vec<_> = shards.running.values().map(Slot::route).collect();
        let is_loading =
            |route: &Result<_, Error>| matches!(route, Err(Error::CoordinatorLoadInProgress));
        let loading = routes.iter().any(is_loading);
        Ok((routes.into_iter().flatten().collect(), loading))
    }

    /// As `route`, for requests that do not take the group without a name.
    fn route_named(&self, group_id: &str) -> Result<mpsc::Sender<Command>, Error> {
        if group_id.is_empty() {
            return Err(Error::InvalidGroupId);
        }
        self.route(group_id)
    }

    fn route(&self, group_id: &str) -> Result<mpsc::Sender<Command>, Error> {
        if group_id.len() > GROUP_ID_SIZE_MAX {
            return Err(Error::InvalidGroupId);
        }
        match self.partition_for(group_id) {
            Some(partition) => self.route_partition(partition),
            None if self.0.shards.lock().is_stopped => Err(Error::CoordinatorNotAvailable),
            None => Err(Error::NotCoordinator),
        }
    }

    fn route_partition(&self, partition: i32) -> Result<mpsc::Sender<Command>, Error> {
        let shards = self.0.shards.lock();
        if shards.is_stopped {
            return Err(Error::CoordinatorNotAvailable);
        }
        let slot = shards.running.get(&partition);
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
    answer.await.map_err(|_| Error::NotCoordinator)
}

#[cfg(test)]
mod tests;
