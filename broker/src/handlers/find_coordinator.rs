//! FindCoordinator: which broker leads the group's partition of `__consumer_offsets`,
//! or the transactional id's of `__transaction_state`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{
    BrokerId as WireBrokerId, FindCoordinatorRequest, FindCoordinatorResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::auto_create::AutoCreate;
use super::context::RequestContext;
use super::wire::text;
use crate::cluster::Cluster;
use crate::group;
use crate::model::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC};
use crate::txn;

/// The key type of groups; transactions have 1.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From here on, several keys come in one request.
const BATCHED_FROM: i16 = 4;

/// Where coordinators are looked for.
pub(crate) struct Finder<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) groups: &'a group::Handle,
    pub(crate) transactions: &'a txn::Handle,
    pub(crate) auto_create: &'a AutoCreate,
    pub(crate) ctx: &'a RequestContext,
}

/// Answers for every key of the request.
pub(crate) async fn handle(
    finder: Finder<'_>,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let ctx = finder.ctx;
    if ctx.api_version >= BATCHED_FROM {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(finder.find(request.key_type, key).await);
        }
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found = finder.find(request.key_type, request.key).await;
    let mut response = FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port);
    if ctx.api_version >= 1 {
        // Kafka puts its own name of "no error" there.
        response.error_message = match found.error_code {
            0 => Some(StrBytes::from_static_str("NONE")),
            _ => found.error_message,
        };
    }
    response
}

impl Finder<'_> {
    async fn find(&self, key_type: i8, key: StrBytes) -> Coordinator {
        let found = match key_type {
            GROUP => self.group(&key).await,
            TRANSACTION => self.transaction(&key).await,
            _ => {
                let reason = "Coordinators of this type are not known.";
                return refused(key, ResponseError::InvalidRequest, reason);
            }
        };
        match found {
            Some((id, host, port)) => Coordinator::default()
                .with_key(key)
                .with_node_id(WireBrokerId(id))
                .with_host(text(host))
                .with_port(i32::from(port)),
            None => {
                let reason = "The coordinator is not available.";
                refused(key, ResponseError::CoordinatorNotAvailable, reason)
            }
        }
    }

    async fn group(&self, id: &str) -> Option<(i32, String, u16)> {
        if self
            .cluster
            .snapshot()
            .topic(GROUP_METADATA_TOPIC)
            .is_none()
        {
            self.auto_create.create_group_metadata_topic().await;
            return None;
        }
        self.leader(GROUP_METADATA_TOPIC, self.groups.partition_for(id)?)
    }

    async fn transaction(&self, id: &str) -> Option<(i32, String, u16)> {
        let snapshot = self.cluster.snapshot();
        if snapshot.topic(TRANSACTION_STATE_TOPIC).is_none() {
            self.auto_create.create_transaction_state_topic().await;
            return None;
        }
        let partition = self.transactions.partition_for(id)?;
        self.leader(TRANSACTION_STATE_TOPIC, partition)
    }

    fn leader(&self, topic: &str, partition: i32) -> Option<(i32, String, u16)> {
        let snapshot = self.cluster.snapshot();
        let leader = snapshot.partition(topic, partition)?.state.leader;
        let endpoint = snapshot.endpoint(leader, &self.ctx.listener)?;
        Some((leader, endpoint.host.clone(), endpoint.port))
    }
}

fn refused(key: StrBytes, error: ResponseError, reason: &'static str) -> Coordinator {
    Coordinator::default()
        .with_key(key)
        .with_node_id(WireBrokerId(-1))
        .with_port(-1)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_static_str(reason)))
}
