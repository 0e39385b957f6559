//! JoinGroup: a consumer becomes, or stays, a member.

use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::error;
use super::group_wire::{GroupRequestContext, owned, owned_bytes, owned_option, wire_option};
use super::wire::text;
use crate::group::{Handle, JoinFailure, JoinRequest, Joined};

/// From this version on dynamic members must ask for an id first (KIP-394).
const VERSION_MEMBER_ID_REQUIRED: i16 = 4;
/// From this version on no protocol may be told as null.
const VERSION_NULLABLE_PROTOCOL: i16 = 7;
/// From this version on a leader may be told to keep the assignment (KIP-814).
const VERSION_SKIP_ASSIGNMENT: i16 = 9;

/// Answers when the rebalance is complete.
pub(crate) async fn handle(
    groups: &Handle,
    ctx: &GroupRequestContext,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let answer = groups.join(domain_request(ctx, &request)).await;
    response(ctx.api_version, answer)
}

fn domain_request(ctx: &GroupRequestContext, request: &JoinGroupRequest) -> JoinRequest {
    let instance_id = owned_option(request.group_instance_id.as_ref());
    let protocols = request.protocols.iter();
    JoinRequest {
        group_id: owned(&request.group_id),
        member_id: owned(&request.member_id),
        member_id_required: ctx.api_version >= VERSION_MEMBER_ID_REQUIRED && instance_id.is_none(),
        instance_id,
        skip_assignment_supported: ctx.api_version >= VERSION_SKIP_ASSIGNMENT,
        client_id: owned(&ctx.client_id),
        client_host: ctx.client_host(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: owned(&request.protocol_type),
        protocols: protocols
            .map(|p| (owned(&p.name), owned_bytes(&p.metadata)))
            .collect(),
        reason: owned_option(request.reason.as_ref()),
    }
}

fn response(version: i16, answer: Result<Joined, JoinFailure>) -> JoinGroupResponse {
    let never_null = |name: Option<String>| match version {
        VERSION_NULLABLE_PROTOCOL.. => wire_option(name),
        _ => Some(text(name.unwrap_or_default())),
    };
    match answer {
        Ok(joined) => JoinGroupResponse::default()
            .with_generation_id(joined.generation)
            .with_protocol_type(wire_option(joined.protocol_type))
            .with_protocol_name(never_null(joined.protocol_name))
            .with_leader(text(joined.leader))
            .with_skip_assignment(joined.skip_assignment)
            .with_member_id(text(joined.member_id))
            .with_members(joined.members.into_iter().map(member).collect()),
        Err(failure) => JoinGroupResponse::default()
            .with_error_code(error::group(failure.error))
            .with_generation_id(-1)
            .with_protocol_type(None)
            .with_protocol_name(never_null(None))
            .with_member_id(text(failure.member_id)),
    }
}

fn member(member: crate::group::JoinedMember) -> JoinGroupResponseMember {
    JoinGroupResponseMember::default()
        .with_member_id(text(member.member_id))
        .with_group_instance_id(wire_option(member.instance_id))
        .with_metadata(member.metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{Error, JoinedMember};
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        let joined = |version: i16| Joined {
            member_id: "m".into(),
            generation: 3,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: "m".into(),
            skip_assignment: version >= VERSION_SKIP_ASSIGNMENT,
            members: vec![JoinedMember {
                member_id: "m".into(),
                instance_id: Some("i".into()),
                metadata: Bytes::from_static(b"x"),
            }],
        };
        let failure = JoinFailure {
            error: Error::MemberIdRequired,
            member_id: "new".into(),
        };
        for version in 0..=9 {
            for answer in [Ok(joined(version)), Err(failure.clone())] {
                let is_refused = answer.is_err();
                let mut bytes = BytesMut::new();
                response(version, answer)
                    .encode(&mut bytes, version)
                    .unwrap();
                let read = JoinGroupResponse::decode(&mut bytes.freeze(), version).unwrap();
                assert_eq!(
                    read.error_code,
                    if is_refused { 79 } else { 0 },
                    "version {version}"
                );
                assert_eq!(read.members.len(), usize::from(!is_refused));
                let is_null = read.protocol_name.is_none();
                assert_eq!(is_null, is_refused && version >= VERSION_NULLABLE_PROTOCOL);
            }
        }
    }

    #[test]
    fn an_id_is_required_of_dynamic_members_only() {
        let ctx = |api_version| GroupRequestContext {
            api_version,
            client_id: "c".into(),
            client_ip: [127, 0, 0, 1].into(),
        };
        let dynamic = JoinGroupRequest::default();
        let fixed = JoinGroupRequest::default().with_group_instance_id(Some(text("i")));
        assert!(!domain_request(&ctx(3), &dynamic).member_id_required);
        assert!(domain_request(&ctx(4), &dynamic).member_id_required);
        assert!(!domain_request(&ctx(9), &fixed).member_id_required);
        assert!(!domain_request(&ctx(8), &fixed).skip_assignment_supported);
        assert!(domain_request(&ctx(9), &fixed).skip_assignment_supported);
    }
}
