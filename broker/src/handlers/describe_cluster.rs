//! DescribeCluster (KIP-700).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{
    BrokerId as WireBrokerId, DescribeClusterRequest, DescribeClusterResponse,
};

use super::context::RequestContext;
use super::metadata::controller;
use super::wire::{operations, text};
use crate::cluster::Cluster;

/// The endpoint type that means brokers (KIP-919).
const BROKERS: i8 = 1;

/// Answers from the snapshot.
pub(crate) fn handle(
    cluster: &Cluster,
    cluster_id: &str,
    ctx: &RequestContext,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    if ctx.api_version >= 1 && request.endpoint_type != BROKERS {
        let message = format!("Unsupported endpoint type {}", request.endpoint_type);
        return DescribeClusterResponse::default()
            .with_error_code(ResponseError::UnsupportedEndpointType.code())
            .with_error_message(Some(text(message)));
    }
    let snapshot = cluster.snapshot();
    let brokers = snapshot.reachable(&ctx.listener).map(|(broker, endpoint)| {
        DescribeClusterBroker::default()
            .with_broker_id(WireBrokerId(broker.id))
            .with_host(text(endpoint.host.as_str()))
            .with_port(i32::from(endpoint.port))
            .with_rack(broker.rack.as_deref().map(text))
    });
    let mut response = DescribeClusterResponse::default()
        .with_cluster_id(text(cluster_id))
        .with_controller_id(WireBrokerId(controller(&snapshot)))
        .with_brokers(brokers.collect());
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = operations::OF_CLUSTER;
    }
    response
}
