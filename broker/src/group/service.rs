//! What groups are asked from outside, and the shards that answer.

use std::sync::Arc;

use common::clock::SharedClock;
use common::shutdown::Shutdown;

use super::api::{
    Census, CommitRequest, Description, FetchRequest, FetchedOffsets, JoinFailure, JoinRequest,
    Joined, LeavingMember, Listing, MemberRef, PartitionOutcomes, SyncRequest, Synced,
    TransactionEnd,
};
use super::shard::{Command, Found, Parts, Shard};
use super::{Config, Error};
use crate::metrics::Metrics;
use crate::model::{LeaderEpoch, TopicPartition};
use crate::state_log::{self, Loading, Route, Shards, StateLog};

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
    metrics: Arc<Metrics>,
    shards: Shards<Shard>,
}

impl Service {
    #[must_use]
    pub fn new(
        config: Config,
        log: Arc<dyn StateLog>,
        clock: SharedClock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (its_log, its_clock) = (Arc::clone(&log), Arc::clone(&clock));
        let shards = Shards::new(its_log, its_clock, config.load_buffer_size);
        let config = Arc::new(config);
        Self {
            handle: Handle(Arc::new(Shared {
                config,
                clock,
                log,
                metrics,
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
        self.handle.0.shards.stop().await;
    }
}

impl Handle {
    /// This broker leads the partition: its groups are read back and served.
    /// Must be called within a tokio runtime; returns at once.
    pub fn load(&self, partition: i32, leader_epoch: LeaderEpoch) {
        let shared = &self.0;
        shared.shards.load(partition, leader_epoch, || {
            Shard::new(
                partition,
                Parts {
                    config: Arc::clone(&shared.config),
                    clock: Arc::clone(&shared.clock),
                    log: Arc::clone(&shared.log),
                    metrics: Arc::clone(&shared.metrics),
                },
            )
        });
    }

    /// Keeps one round of loading open, so that all partitions which `load` is
    /// called for before it is dropped are reported as one.
    #[must_use]
    pub fn begin_loading(&self) -> Loading<Found> {
        self.0.shards.begin_loading()
    }

    /// Another broker leads the partition: its groups are forgotten and whoever
    /// waits is sent there. Without an epoch the partition itself is gone.
    pub fn unload(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        self.0.shards.unload(partition, leader_epoch);
    }

    /// The partition of the internal topic that holds the group; `None` while
    /// the topic does not exist.
    #[must_use]
    pub fn partition_for(&self, group_id: &str) -> Option<i32> {
        self.0.shards.partition_for(group_id)
    }

    pub async fn join(&self, mut request: JoinRequest) -> Result<Joined, JoinFailure> {
        let member_id = request.member_id.clone();
        let refuse = |error| JoinFailure {
            error,
            member_id: member_id.clone(),
        };
        let shard = self.route_named(&request.group_id).map_err(refuse)?;
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
        let asked = shard.ask(command).await;
        asked.map_err(|gone| refuse(gone.into()))?
    }

    pub async fn sync(&self, request: SyncRequest) -> Result<Synced, Error> {
        let shard = match self.route_named(&request.group_id) {
            // The generation is over once loading is; joining again finds out.
            Err(Error::CoordinatorLoadInProgress) => return Err(Error::RebalanceInProgress),
            routed => routed?,
        };
        let request = Box::new(request);
        shard.ask(|reply| Command::Sync { request, reply }).await?
    }

    pub async fn heartbeat(&self, member: MemberRef) -> Result<(), Error> {
        let shard = match self.route_named(&member.group_id) {
            // Sessions begin anew after loading, so the member is not late.
            Err(Error::CoordinatorLoadInProgress) => return Ok(()),
            routed => routed?,
        };
        shard
            .ask(|reply| Command::Heartbeat { member, reply })
            .await?
    }

    /// The outcome of each member, in the order asked.
    pub async fn leave(
        &self,
        group_id: String,
        members: Vec<LeavingMember>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let shard = self.route_named(&group_id)?;
        shard
            .ask(|reply| Command::Leave {
                group_id,
                members,
                reply,
            })
            .await?
    }

    /// The outcome of each partition, in the order asked.
    pub async fn commit(&self, request: CommitRequest) -> Result<PartitionOutcomes, Error> {
        let shard = self.route(&request.member.group_id)?;
        Ok(shard
            .ask(|reply| Command::Commit { request, reply })
            .await?)
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
        let shard = self.0.shards.route_partition(partition);
        let shard = shard.map_err(not_ready)?;
        let answer = shard.ask(|reply| Command::EndTransaction { end, reply });
        answer.await.map_err(not_ready)?
    }

    pub async fn fetch(&self, request: FetchRequest) -> Result<FetchedOffsets, Error> {
        let shard = self.route(&request.group_id)?;
        Ok(shard.ask(|reply| Command::Fetch { request, reply }).await?)
    }

    /// `None` when there is no such group.
    pub async fn describe(&self, group_id: String) -> Result<Option<Description>, Error> {
        let shard = self.route(&group_id)?;
        Ok(shard
            .ask(|reply| Command::Describe { group_id, reply })
            .await?)
    }

    /// All groups that this broker coordinates.
    pub async fn list(&self) -> Result<Listing, Error> {
        let loaded = self.0.shards.all()?;
        let loading = loaded.is_loading;
        let listed = loaded.ask_all(|reply| Command::List { reply }).await;
        let groups = listed.into_iter().flatten().collect();
        Ok(Listing { groups, loading })
    }

    /// How many groups and offsets there are; shards that are still being read
    /// back are left out.
    pub async fn census(&self) -> Census {
        let mut census = Census::default();
        if let Ok(loaded) = self.0.shards.all() {
            let counted = loaded.ask_all(|reply| Command::Count { reply }).await;
            counted.into_iter().for_each(|counted| census += counted);
        }
        census
    }

    pub async fn delete(&self, group_id: String) -> Result<(), Error> {
        let shard = self.route(&group_id)?;
        shard
            .ask(|reply| Command::Delete { group_id, reply })
            .await?
    }

    /// The outcome of each partition, in the order asked.
    pub async fn delete_offsets(
        &self,
        group_id: String,
        partitions: Vec<TopicPartition>,
    ) -> Result<PartitionOutcomes, Error> {
        let shard = self.route_named(&group_id)?;
        shard
            .ask(|reply| Command::DeleteOffsets {
                group_id,
                partitions,
                reply,
            })
            .await?
    }

    /// The partitions are deleted: offsets committed for them go, too.
    pub async fn forget_partitions(&self, partitions: Vec<TopicPartition>) {
        let partitions: Arc<[TopicPartition]> = partitions.into();
        self.0
            .shards
            .tell_all(|| Command::ForgetPartitions {
                partitions: Arc::clone(&partitions),
            })
            .await;
    }

    /// Starts the removal of what has outlived its retention.
    pub async fn expire_offsets(&self) {
        self.0.shards.tell_all(|| Command::Expire).await;
    }

    /// As `route`, for requests that do not take the group without a name.
    fn route_named(&self, group_id: &str) -> Result<Route<Command>, Error> {
        if group_id.is_empty() {
            return Err(Error::InvalidGroupId);
        }
        self.route(group_id)
    }

    fn route(&self, group_id: &str) -> Result<Route<Command>, Error> {
        if group_id.len() > GROUP_ID_SIZE_MAX {
            return Err(Error::InvalidGroupId);
        }
        Ok(self.0.shards.route(group_id)?)
    }
}

#[cfg(test)]
mod tests;
