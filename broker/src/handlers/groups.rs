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
use super::offset_znodes::{OffsetZnodes, ZNODES_VERSION};
use super::{
    delete_groups, describe_groups, heartbeat, join_group, later, later_any, leave_group,
    list_groups, offset_commit, offset_delete, offset_fetch, sync_group,
};
use crate::cluster::Cluster;
use crate::group;
use crate::model::TopicPartition;
use crate::protocol::{Error, RequestFrame};
use crate::server::Reply;

/// Where groups and their offsets are.
pub(super) struct Groups {
    pub(super) handle: group::Handle,
    pub(super) cluster: Arc<Cluster>,
    /// Offsets of version 0 lie in the coordinator's znodes.
    pub(super) znodes: OffsetZnodes,
}

/// Says whether the API is one of these.
pub(super) fn serves(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::JoinGroup
            | ApiKey::SyncGroup
            | ApiKey::Heartbeat
            | ApiKey::LeaveGroup
            | ApiKey::OffsetCommit
            | ApiKey::OffsetFetch
            | ApiKey::DescribeGroups
            | ApiKey::ListGroups
            | ApiKey::DeleteGroups
            | ApiKey::OffsetDelete
    )
}

/// Hands a group request to its handler.
pub(super) fn dispatch(
    groups: &Groups,
    ctx: &RequestContext,
    frame: &RequestFrame,
) -> Result<Reply, Error> {
    if frame.version == ZNODES_VERSION
        && let ApiKey::OffsetCommit | ApiKey::OffsetFetch = frame.api.key
    {
        return in_znodes(groups, frame);
    }
    let (groups, cluster) = (groups.handle.clone(), &groups.cluster);
    let ctx = GroupRequestContext {
        api_version: ctx.api_version,
        client_id: ctx.client_id.clone(),
        client_ip: ctx.client_ip,
    };
    macro_rules! answer {
        ($handler:ident) => {{
            let request = frame.decode()?;
            later(
                frame,
                async move { $handler::handle(&groups, &ctx, request).await }.boxed(),
            )
        }};
        ($handler:ident, $find:expr, $decode:ident, $later:ident) => {{
            let request = frame.$decode()?;
            let find = $find;
            let answer = async move { $handler::handle(&groups, &ctx, &find, request).await };
            $later(frame, answer.boxed())
        }};
    }
    Ok(match frame.api.key {
        ApiKey::JoinGroup => answer!(join_group),
        ApiKey::SyncGroup => answer!(sync_group),
        ApiKey::Heartbeat => answer!(heartbeat),
        ApiKey::LeaveGroup => answer!(leave_group),
        ApiKey::OffsetCommit => answer!(offset_commit, existing_in(cluster), decode_any, later_any),
        ApiKey::OffsetFetch => answer!(offset_fetch),
        ApiKey::DescribeGroups => answer!(describe_groups),
        ApiKey::ListGroups => answer!(list_groups),
        ApiKey::DeleteGroups => answer!(delete_groups),
        ApiKey::OffsetDelete => answer!(offset_delete, existing_in(cluster), decode, later),
        _ => return Err(Error::UnknownApi(frame.api.key as i16)),
    })
}

/// Finds what the cluster has now.
pub(super) fn existing_in(
    cluster: &Cluster,
) -> impl Fn(&str, i32) -> Option<TopicPartition> + Send + Sync + 'static {
    let snapshot = cluster.snapshot();
    move |topic, index| {
        let (name, topic) = snapshot.topics.get_key_value(topic)?;
        topic.partitions.get(&index)?;
        Some(TopicPartition::new(name.clone(), index))
    }
}

/// Version 0 of OffsetCommit and OffsetFetch.
fn in_znodes(groups: &Groups, frame: &RequestFrame) -> Result<Reply, Error> {
    let znodes = groups.znodes.clone();
    let find = existing_in(&groups.cluster);
    Ok(match frame.api.key {
        ApiKey::OffsetCommit => {
            let request = frame.decode_any()?;
            let answer = async move { znodes.commit(&find, request).await };
            later_any(frame, answer.boxed())
        }
        _ => {
            let request = frame.decode_any()?;
            let answer = async move { znodes.fetch(&find, request).await };
            later_any(frame, answer.boxed())
        }
    })
}
