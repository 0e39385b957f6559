//! Kafka's APIs, one file each, and the match on the API key. Whole areas match
//! their keys themselves: `groups`, `transactions`, `administration`, `operator`,
//! and `interbroker` for requests between brokers.
//!
//! Flow: frame -> `Handlers::call` -> header -> one handler -> reply. A handler
//! gets the handles that it uses and nothing more.
//!
//! **Invariant:** what runs before `call` returns is the ordered part of a
//! request; a wait is a future that it hands back.
//! **Invariant:** no handler knows a socket.

mod accounts;
mod add_partitions_to_txn;
mod administration;
mod alter_configs;
mod alter_replica_log_dirs;
mod api_versions;
mod auto_create;
mod client_quotas;
mod committed_offsets;
mod consumer_group;
mod context;
pub mod control;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod elect_leaders;
mod error;
mod fetch;
mod find_coordinator;
mod group_wire;
mod groups;
mod heartbeat;
pub mod in_sync;
mod init_producer_id;
mod interbroker;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod metadata;
mod moved;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod offset_znodes;
mod operator;
mod partitions;
mod parts;
mod produce;
pub mod producer_id_blocks;
mod reassignments;
mod reply;
mod scram;
mod security;
mod sync_group;
mod throttle;
mod topic_admin;
mod topic_config;
mod transaction_listing;
mod transaction_markers;
mod transactional;
mod transactions;
mod txn_offset_commit;
mod update_features;
mod verification;
mod wire;
mod write_txn_markers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::clock::SharedClock;
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::messages::ApiKey;
use tokio::sync::watch;

use self::accounts::Accounts;
pub use self::accounts::accounts;
use self::auto_create::AutoCreate;
pub use self::auto_create::Config as AutoCreateConfig;
use self::context::RequestContext;
pub use self::create_topics::Defaults as TopicDefaults;
use self::describe_configs::DescribeConfigs;
use self::groups::Groups;
use self::init_producer_id::ProducerIds;
use self::interbroker::Interbroker;
use self::partitions::Partitions;
pub use self::parts::Parts;
pub use self::producer_id_blocks::ProducerIdBlocks;
use self::reply::{failed, later, later_any, now, now_any, outcome, produced_reply};
use self::throttle::{Meter, Throttle};
use self::topic_admin::TopicAdmin;
pub use self::topic_config::TopicConfigs;
pub use self::transaction_markers::{MarkerConfig, MarkersByWire};
use self::transactions::Transactions;
use self::txn_offset_commit::TxnOffsetCommit;
use self::verification::Verifier;
pub use self::verification::VerifierConfig;
use self::write_txn_markers::Markers;
use crate::cluster::Cluster;
use crate::model::BrokerId;
use crate::protocol::legacy::ListOffsetsRequestV0;
use crate::protocol::{Error, InterbrokerFrame, RequestFrame, fetch_response};
use crate::registry::FinalizedFeatures;
use crate::server::{Call, Kind, Peer, Reply, Service};

/// Whether this broker is the controller, which some APIs need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Controller,
    Other,
}

/// The ordered part of a request, over or under way.
enum Ordered<'a> {
    Done(Reply),
    Waits(BoxFuture<'a, Result<Reply, Error>>),
}

/// Serves every API of the table.
pub struct Handlers {
    broker_id: BrokerId,
    cluster_id: String,
    cluster: Arc<Cluster>,
    partitions: Partitions,
    groups: Groups,
    transactions: Transactions,
    clock: SharedClock,
    topic_configs: TopicConfigs,
    admin: Arc<TopicAdmin>,
    auto_create: AutoCreate,
    topic_defaults: TopicDefaults,
    producer_ids: ProducerIds,
    fetches: fetch::Source,
    meter: Meter,
    markers: Markers,
    verifier: Verifier,
    /// Whose turn it is to change a configuration.
    config_turn: tokio::sync::Mutex<()>,
    interbroker: Interbroker,
    features: watch::Receiver<FinalizedFeatures>,
    accounts: Accounts,
}

impl Handlers {
    fn role(&self) -> Role {
        match topic_admin::is_controller(&self.cluster, self.broker_id) {
            true => Role::Controller,
            false => Role::Other,
        }
    }

    /// Runs a request; what waits in its ordered part is a future.
    fn answer<'a>(
        &'a self,
        peer: &Peer,
        frame: Bytes,
        kind: &'a Kind,
    ) -> Result<Ordered<'a>, Error> {
        if let Some(frame) = InterbrokerFrame::parse(&frame)? {
            return Ok(Ordered::Waits(self.interbroker.dispatch(frame).boxed()));
        }
        let length = frame.len();
        let frame = RequestFrame::parse(frame)?;
        let throttle = Throttle::of(&self.meter, &frame, length);
        let ctx = RequestContext::new(peer, &frame, throttle.clone());
        let Some(throttle) = throttle else {
            return self.dispatch(ctx, frame, kind);
        };
        let serving = async move {
            match self.dispatch(ctx, frame, kind)? {
                Ordered::Done(reply) => Ok(reply),
                Ordered::Waits(reply) => reply.await,
            }
        };
        Ok(Ordered::Waits(throttle.metered(serving.boxed()).boxed()))
    }

    fn dispatch<'a>(
        &'a self,
        ctx: RequestContext,
        frame: RequestFrame,
        kind: &Kind,
    ) -> Result<Ordered<'a>, Error> {
        if frame.api.key == ApiKey::Produce {
            return self.produce(ctx, frame);
        }
        Ok(match self.dispatch_at_once(&ctx, &frame, kind)? {
            Some(reply) => Ordered::Done(reply),
            None => {
                Ordered::Waits(async move { self.dispatch_waiting(&ctx, &frame).await }.boxed())
            }
        })
    }

    /// Those whose ordered part waits for nothing; they cost no future.
    fn dispatch_at_once(
        &self,
        ctx: &RequestContext,
        frame: &RequestFrame,
        kind: &Kind,
    ) -> Result<Option<Reply>, Error> {
        Ok(Some(match frame.api.key {
            ApiKey::Fetch => self.fetch(ctx, frame, kind)?,
            ApiKey::ListOffsets => self.list_offsets(ctx, frame)?,
            ApiKey::OffsetForLeaderEpoch => {
                let request = frame.decode_any()?;
                now_any(
                    frame,
                    &offset_for_leader_epoch::handle(&self.partitions, request),
                )?
            }
            ApiKey::DeleteRecords => {
                let response = delete_records::handle(&self.partitions, frame.decode()?);
                later(frame, response)
            }
            ApiKey::WriteTxnMarkers => self.write_txn_markers(ctx, frame)?,
            ApiKey::ApiVersions => {
                let epoch = self.features.borrow().epoch;
                let response = api_versions::handle(ctx, &frame.decode()?, epoch);
                now(frame, &response)?
            }
            key if transactions::serves(key) => {
                transactions::dispatch(&self.transactions, self.clock.wall_ms(), frame)?
            }
            key if groups::serves(key) => groups::dispatch(&self.groups, ctx, frame)?,
            _ => return Ok(None),
        }))
    }

    async fn dispatch_waiting(
        &self,
        ctx: &RequestContext,
        frame: &RequestFrame,
    ) -> Result<Reply, Error> {
        match frame.api.key {
            ApiKey::TxnOffsetCommit => self.commit_in_transaction(frame).await,
            ApiKey::DescribeLogDirs => {
                let request = frame.decode_any()?;
                let response = describe_log_dirs::handle(&self.partitions.replicas, &request);
                now_any(frame, &response)
            }
            ApiKey::AlterReplicaLogDirs => {
                let request = frame.decode_any()?;
                let replicas = &self.partitions.replicas;
                let response = alter_replica_log_dirs::handle(replicas, request);
                now_any(frame, &response.await)
            }
            ApiKey::InitProducerId => {
                let (ids, transactions) = (&self.producer_ids, &self.transactions.handle);
                let request = frame.decode()?;
                let response = init_producer_id::handle(ids, transactions, frame.version, request);
                now(frame, &response.await)
            }
            ApiKey::Metadata
            | ApiKey::FindCoordinator
            | ApiKey::DescribeCluster
            | ApiKey::DescribeConfigs => self.describe(ctx, frame).await,
            ApiKey::CreateTopics | ApiKey::DeleteTopics | ApiKey::CreatePartitions => {
                self.administrate(ctx, frame).await
            }
            ApiKey::AlterConfigs | ApiKey::IncrementalAlterConfigs => self.configure(frame).await,
            ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::ListPartitionReassignments => self.ask_controller(frame).await,
            key if operator::serves(key) => self.operate(frame).await,
            key => Err(Error::UnknownApi(key as i16)),
        }
    }

    fn list_offsets(&self, ctx: &RequestContext, frame: &RequestFrame) -> Result<Reply, Error> {
        if frame.version == 0 {
            let request = ListOffsetsRequestV0::decode(frame)?;
            let response = list_offsets::handle_v0(&self.partitions, request);
            return Ok(Reply::Now(response.encode(frame)?.into()));
        }
        let request = frame.decode()?;
        now(frame, &list_offsets::handle(&self.partitions, ctx, request))
    }

    fn produce<'a>(
        &'a self,
        ctx: RequestContext,
        frame: RequestFrame,
    ) -> Result<Ordered<'a>, Error> {
        let request = frame.decode_any()?;
        if let Some(checked) = transactional::check_without_id(&request) {
            let produced = produce::handle(&self.partitions, &ctx, request, checked);
            return Ok(Ordered::Done(produced_reply(&ctx, &frame, produced)?));
        }
        // As in Kafka the connection waits where a transaction has to be verified first.
        let verified = async move {
            let (partitions, version) = (&self.partitions, frame.version);
            let checked = transactional::check(partitions, &self.verifier, version, &request).await;
            let produced = produce::handle(partitions, &ctx, request, checked);
            produced_reply(&ctx, &frame, produced)
        };
        Ok(Ordered::Waits(verified.boxed()))
    }

    fn write_txn_markers(
        &self,
        ctx: &RequestContext,
        frame: &RequestFrame,
    ) -> Result<Reply, Error> {
        if let Some(throttle) = &ctx.throttle {
            throttle.exempt();
        }
        let request = frame.decode_any()?;
        let response = write_txn_markers::handle(&self.markers, request);
        Ok(later_any(frame, response))
    }

    async fn commit_in_transaction(&self, frame: &RequestFrame) -> Result<Reply, Error> {
        let find = groups::existing_in(&self.cluster);
        let handler = TxnOffsetCommit {
            groups: &self.groups.handle,
            known: &self.partitions,
            verifier: &self.verifier,
            find: &find,
            version: frame.version,
        };
        now(frame, &handler.handle(frame.decode()?).await)
    }

    fn fetch(
        &self,
        ctx: &RequestContext,
        frame: &RequestFrame,
        kind: &Kind,
    ) -> Result<Reply, Error> {
        let request = frame.decode_any()?;
        if fetch::is_of_follower(frame.version, &request) {
            self.accounts.note_follower(kind, frame.version);
        }
        let (version, correlation_id) = (frame.version, frame.correlation_id);
        match fetch::handle(&self.fetches, ctx, request) {
            fetch::Fetched::Now(response) => Ok(Reply::Now(fetch_response::encode(
                version,
                correlation_id,
                response,
            )?)),
            fetch::Fetched::Later(response) => Ok(Reply::Later(
                response
                    .map(move |response| {
                        outcome(fetch_response::encode(version, correlation_id, response))
                    })
                    .boxed(),
            )),
        }
    }

    async fn describe(&self, ctx: &RequestContext, frame: &RequestFrame) -> Result<Reply, Error> {
        let cluster = &*self.cluster;
        match frame.api.key {
            ApiKey::Metadata => {
                let request = frame.decode()?;
                let response =
                    metadata::handle(cluster, &self.cluster_id, &self.auto_create, ctx, request);
                now(frame, &response.await)
            }
            ApiKey::FindCoordinator => {
                let request = frame.decode()?;
                let finder = find_coordinator::Finder {
                    cluster,
                    groups: &self.groups.handle,
                    transactions: &self.transactions.handle,
                    auto_create: &self.auto_create,
                    ctx,
                };
                now(frame, &find_coordinator::handle(finder, request).await)
            }
            ApiKey::DescribeCluster => {
                let request = frame.decode()?;
                now(
                    frame,
                    &describe_cluster::handle(cluster, &self.cluster_id, ctx, &request),
                )
            }
            _ => {
                let handler = DescribeConfigs {
                    registry: &self.admin.registry,
                    cluster,
                    topics: &self.topic_configs,
                    broker_id: self.broker_id,
                    ctx,
                };
                now_any(frame, &handler.handle(frame.decode_any()?).await)
            }
        }
    }
}

impl Service for Handlers {
    fn call<'a>(&'a self, peer: &'a Peer, frame: Bytes, kind: &'a Kind) -> Call<'a> {
        let prefix = RequestFrame::prefix(&frame);
        if let Ok(prefix) = &prefix {
            self.accounts.note(kind, prefix);
        }
        match self.answer(peer, frame, kind) {
            Ok(Ordered::Done(reply)) => Call::Done(reply),
            Ok(Ordered::Waits(reply)) => Call::Waits(
                reply
                    .map(move |reply| reply.unwrap_or_else(|error| failed(peer, &prefix, &error)))
                    .boxed(),
            ),
            Err(error) => Call::Done(failed(peer, &prefix, &error)),
        }
    }

    fn served(&self, kind: u32, took: Duration) {
        self.accounts.served(kind, took);
    }
}
