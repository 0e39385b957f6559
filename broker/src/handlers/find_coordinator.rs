//! FindCoordinator: which broker leads the group's partition of `__consumer_offsets`.

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
use crate::model::GROUP_METADATA_TOPIC;

/// The key type of groups; transactions have 1.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// From here on, several keys come in one request.
const BATCHED_FROM: i16 = 4;

/// Answers for every key of the request.
pub(crate) async fn handle(
    cluster: &Cluster,
    groups: &group::Handle,
    auto_create: &AutoCreate,
    ctx: &RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let finder = Finder {
        cluster,
        groups,
        auto_create,
        ctx,
    };
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

struct Finder<'a> {
    cluster: &'a Cluster,
    groups: &'a group::Handle,
    auto_create: &'a AutoCreate,
    ctx: &'a RequestContext,
}

impl Finder<'_> {
    async fn find(&self, key_type: i8, key: StrBytes) -> Coordinator {
        match key_type {
            GROUP => match self.leader_of(&key).await {
                Some((id, host, port)) => Coordinator::default()
                    .with_key(key)
                    .with_node_id(WireBrokerId(id))
                    .with_host(text(host))
                    .with_port(i32::from(port)),
                None => {
                    let reason = "The coordinator is not available.";
                    refused(key, ResponseError::CoordinatorNotAvailable, reason)
                }
            },
            TRANSACTION => {
                let reason = "Transactions are not served by this broker yet.";
                refused(key, ResponseError::UnsupportedVersion, reason)
            }
            _ => {
                let reason = "Coordinators of this type are not known.";
                refused(key, ResponseError::InvalidRequest, reason)
            }
        }
    }

    async fn leader_of(&self, group: &str) -> Option<(i32, String, u16)> {
        let snapshot = self.cluster.snapshot();
        if snapshot.topic(GROUP_METADATA_TOPIC).is_none() {
            self.auto_create.create_group_metadata_topic().await;
            return None;
        }
        let partition = self.groups.partition_for(group)?;
        let leader = snapshot
            .partition(GROUP_METADATA_TOPIC, partition)?
            .state
            .leader;
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
