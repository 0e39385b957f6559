//! What the controller asks of this broker: roles, metadata, goodbyes.
//!
//! The controller in the same process comes in by `Channel`, another broker's
//! over the wire; both end in the same `Control`.
//!
//! **Invariant:** one request at a time, whoever sent it: what a newer
//! controller said is never overtaken by what an older one said before.

use std::collections::HashSet;
use std::sync::Arc;

use common::task;
use futures::future::BoxFuture;

use super::topic_config::TopicConfigs;
use crate::cluster::Cluster;
use crate::group;
use crate::model::{
    BrokerId, GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC, TopicName, TopicPartition,
};
use crate::peer::{self, ControlChannel, Peers};
use crate::protocol::interbroker::{
    ControlRequest, ControlResponse, LeaderAndIsrRequest, LiveBroker, StopReplicaRequest,
    UpdateMetadataRequest,
};
use crate::registry::Registry;
use crate::replica::{Manager, RoleChange, TopicConfigMap};
use crate::txn;

/// Carries control requests out.
#[derive(Clone)]
pub struct Control {
    pub cluster: Arc<Cluster>,
    pub replicas: Arc<Manager>,
    pub groups: group::Handle,
    pub transactions: txn::Handle,
    pub registry: Registry,
    pub topic_configs: TopicConfigs,
    /// Whose turn it is; clones share it.
    pub turn: Arc<tokio::sync::Mutex<()>>,
}

impl Control {
    pub async fn handle(&self, request: ControlRequest) -> ControlResponse {
        let _turn = self.turn.lock().await;
        match request {
            ControlRequest::LeaderAndIsr(request) => self.leader_and_isr(request).await,
            ControlRequest::UpdateMetadata(request) => self.update_metadata(&request).await,
            ControlRequest::StopReplica(request) => self.stop_replicas(request).await,
        }
    }

    async fn leader_and_isr(&self, request: LeaderAndIsrRequest) -> ControlResponse {
        let configs = self.configs(&request).await;
        let replicas = self.replicas.clone();
        let work = move || replicas.become_leader_or_follower(&request, &configs);
        let Ok((response, changes)) = task::spawn_blocking("leader and isr", work).await else {
            return failed();
        };
        self.tell_coordinators(&changes);
        response
    }

    /// The configurations of the topics of which partitions are opened now; the
    /// change feed keeps those that are open. A broker that cannot ask for one
    /// uses its defaults and hears of it by the feed, too.
    async fn configs(&self, request: &LeaderAndIsrRequest) -> TopicConfigMap {
        let is_new = |id: &&TopicPartition| self.replicas.partition(id).is_err();
        let topics: HashSet<&TopicName> = request
            .partitions
            .iter()
            .map(|state| &state.topic_partition)
            .filter(is_new)
            .map(|id| &id.topic)
            .collect();
        let read = topics.into_iter().map(|topic| async move {
            let overrides = match self.registry.topic_config(topic).await {
                Ok(overrides) => overrides,
                Err(error) => {
                    tracing::warn!(%topic, %error, "the topic's configuration cannot be read");
                    return None;
                }
            };
            match self.topic_configs.check(&overrides) {
                Ok(config) => Some((topic.clone(), config)),
                Err(error) => {
                    tracing::warn!(%topic, %error, "the topic's configuration is not valid");
                    None
                }
            }
        });
        futures::future::join_all(read)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn update_metadata(&self, request: &UpdateMetadataRequest) -> ControlResponse {
        if let Some(refusal) = self.replicas.refusal(&request.header) {
            return refusal;
        }
        let before = self.cluster.snapshot();
        let gone = self.cluster.apply(request);
        let now = self.cluster.snapshot();
        if before
            .brokers
            .keys()
            .any(|id| !now.brokers.contains_key(id))
        {
            self.replicas.look_again();
        }
        if !gone.is_empty() {
            self.groups.forget_partitions(gone).await;
        }
        ControlResponse::default()
    }

    async fn stop_replicas(&self, request: StopReplicaRequest) -> ControlResponse {
        let replicas = self.replicas.clone();
        let work = move || replicas.stop_replicas(&request);
        let Ok((response, changes)) = task::spawn_blocking("stop replicas", work).await else {
            return failed();
        };
        self.tell_coordinators(&changes);
        response
    }

    /// The coordinators of groups and transactions follow the leadership of their
    /// internal topics.
    fn tell_coordinators(&self, changes: &[RoleChange]) {
        let _together = (
            self.groups.begin_loading(),
            self.transactions.begin_loading(),
        );
        for change in changes {
            let partition = change.partition.partition;
            match (change.partition.topic.as_str(), change.leads_in) {
                (GROUP_METADATA_TOPIC, Some(epoch)) => self.groups.load(partition, epoch),
                (GROUP_METADATA_TOPIC, None) => self.groups.unload(partition, None),
                (TRANSACTION_STATE_TOPIC, Some(epoch)) => self.transactions.load(partition, epoch),
                (TRANSACTION_STATE_TOPIC, None) => self.transactions.unload(partition, None),
                _ => {}
            }
        }
    }
}

/// The task that did the work ended early: the process is stopping.
fn failed() -> ControlResponse {
    const UNKNOWN_SERVER_ERROR: i16 = -1;
    ControlResponse {
        error_code: UNKNOWN_SERVER_ERROR,
        partition_errors: Vec::new(),
    }
}

/// The controller's way to all brokers: its own without a wire.
pub struct Channel {
    pub own_id: BrokerId,
    pub control: Control,
    pub peers: Arc<Peers>,
}

impl ControlChannel for Channel {
    fn send(
        &self,
        to: &LiveBroker,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<ControlResponse, peer::Error>> {
        if to.id != self.own_id {
            return self.peers.send(to, request);
        }
        let control = self.control.clone();
        Box::pin(async move { Ok(control.handle(request).await) })
    }

    fn disconnect(&self, broker: BrokerId) {
        self.peers.disconnect(broker);
    }
}
