//! DescribeGroups: state and members of groups.

use futures::future::join_all;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::error;
use super::group_wire::{GroupRequestContext, owned, wire_option};
use super::wire::text;
use crate::group::{Description, Error, Handle, MemberDescription, Phase};

/// From this version on the answer tells what may be done with the group.
const VERSION_OPERATIONS: i16 = 3;
/// From this version on an unknown group is an error (KIP-1043).
const VERSION_NOT_FOUND: i16 = 6;
/// READ, DELETE and DESCRIBE, as bits: all that can be done with a group where
/// nobody restricts it.
const ALL_OPERATIONS: i32 = (1 << 3) | (1 << 6) | (1 << 8);

/// Answers at once.
pub(crate) async fn handle(
    groups: &Handle,
    ctx: &GroupRequestContext,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let with_operations =
        request.include_authorized_operations && ctx.api_version >= VERSION_OPERATIONS;
    let described = request.groups.into_iter().map(|group_id| async move {
        let answer = groups.describe(owned(&group_id)).await;
        let mut group = described(ctx.api_version, group_id, answer);
        if with_operations && group.error_code == 0 {
            group.authorized_operations = ALL_OPERATIONS;
        }
        group
    });
    DescribeGroupsResponse::default().with_groups(join_all(described).await)
}

fn described(
    version: i16,
    group_id: GroupId,
    answer: Result<Option<Description>, Error>,
) -> DescribedGroup {
    let group = DescribedGroup::default().with_group_id(group_id.clone());
    match answer {
        Err(error) => group.with_error_code(error::group(error)),
        Ok(None) => {
            let group = group.with_group_state(text(Phase::Dead.name()));
            if version < VERSION_NOT_FOUND {
                return group;
            }
            let message = format!("Group {} not found.", group_id.as_str());
            group
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(text(message)))
        }
        Ok(Some(description)) => group
            .with_group_state(text(description.phase.name()))
            .with_protocol_type(text(description.protocol_type))
            .with_protocol_data(text(description.protocol))
            .with_members(description.members.into_iter().map(member).collect()),
    }
}

fn member(member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(member.member_id))
        .with_group_instance_id(wire_option(member.instance_id))
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        let description = Description {
            phase: Phase::Stable,
            protocol_type: "consumer".into(),
            protocol: "range".into(),
            members: vec![MemberDescription {
                member_id: "m".into(),
                instance_id: Some("i".into()),
                client_id: "c".into(),
                client_host: "/127.0.0.1".into(),
                metadata: Bytes::from_static(b"x"),
                assignment: Bytes::from_static(b"y"),
            }],
        };
        for version in 0..=6 {
            let unknown = if version >= VERSION_NOT_FOUND { 69 } else { 0 };
            for (answer, state, code) in [
                (Ok(Some(description.clone())), "Stable", 0),
                (Ok(None), "Dead", unknown),
                (Err(Error::NotCoordinator), "", 16),
            ] {
                let group = described(version, GroupId(text("g")), answer);
                let response = DescribeGroupsResponse::default().with_groups(vec![group]);
                let mut bytes = BytesMut::new();
                response.encode(&mut bytes, version).unwrap();
                let read = DescribeGroupsResponse::decode(&mut bytes.freeze(), version).unwrap();
                assert_eq!(
                    read.groups[0].group_state.as_str(),
                    state,
                    "version {version}"
                );
                assert_eq!(read.groups[0].error_code, code, "version {version}");
            }
        }
    }
}
