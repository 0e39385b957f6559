//! Dispatch of the consumer group APIs.
//!
//! Each of them may wait (for members, for the log), so each is a future; its
//! first poll, which comes before the next frame is read, submits the request
//! to the group's shard and so keeps the order.

use std::sync::Arc;

use futures::FutureExt;
use kafka_protocol::messages::ApiKey;

use super::context::RequestContext;
use super::group_wire::GroupRequestContext;
use super::{
    delete_groups, describe_groups, heartbeat, join_group, later, leave_group, list_groups,
    offset_commit, offset_delete, offset_fetch, sync_group,
};
use crate::cluster::Cluster;
use crate::group;
use crate::model::TopicPartition;
use crate::protocol::{Error, RequestFrame};
use crate::server::Reply;

/// Hands a group request to its handler.
pub(super) fn dispatch(
    groups: &group::Handle,
    cluster: &Arc<Cluster>,
    ctx: &RequestContext,
    frame: &RequestFrame,
) -> Result<Reply, Error> {
    let groups = groups.clone();
    let ctx = GroupRequestContext {
        api_version: ctx.api_version,
        client_id: ctx.client_id.clone(),
        client_host: ctx.client_host.clone(),
    };
    macro_rules! answer {
        ($handler:ident) => {{
            let request = frame.decode()?;
            later(frame, async move { $handler::handle(&groups, &ctx, request).await }.boxed())
        }};
        ($handler:ident, $cluster:expr) => {{
            let request = frame.decode()?;
            let snapshot = $cluster.snapshot();
            let exists = move |id: &TopicPartition| {
                snapshot.partition(id.topic.as_str(), id.partition).is_some()
            };
            let answer = async move { $handler::handle(&groups, &ctx, &exists, request).await };
            later(frame, answer.boxed())
        }};
    }
    Ok(match frame.api.key {
        ApiKey::JoinGroup => answer!(join_group),
        ApiKey::SyncGroup => answer!(sync_group),
        ApiKey::Heartbeat => answer!(heartbeat),
        ApiKey::LeaveGroup => answer!(leave_group),
        ApiKey::OffsetCommit => answer!(offset_commit, cluster),
        ApiKey::OffsetFetch => answer!(offset_fetch),
        ApiKey::DescribeGroups => answer!(describe_groups),
        ApiKey::ListGroups => answer!(list_groups),
        ApiKey::DeleteGroups => answer!(delete_groups),
        ApiKey::OffsetDelete => answer!(offset_delete, cluster),
        _ => return Err(Error::UnknownApi(frame.api.key as i16)),
    })
}
