//! LeaveGroup: members leave, one by itself or several by an administrator.

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::error;
use super::group_wire::{GroupRequestContext, owned, owned_option, wire_option};
use super::wire::text;
use crate::group::{Error, Handle, LeavingMember};

/// From this version on a request carries several members (KIP-345).
const VERSION_BATCH: i16 = 3;

/// Answers at once.
pub(crate) async fn handle(
    groups: &Handle,
    ctx: &GroupRequestContext,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let leaving = leaving_members(ctx.api_version, &request);
    let outcomes = groups
        .leave(owned(&request.group_id), leaving.clone())
        .await;
    response(ctx.api_version, leaving, outcomes)
}

fn leaving_members(version: i16, request: &LeaveGroupRequest) -> Vec<LeavingMember> {
    if version < VERSION_BATCH {
        let member_id = owned(&request.member_id);
        return vec![LeavingMember {
            member_id,
            instance_id: None,
            reason: None,
        }];
    }
    let members = request.members.iter();
    members
        .map(|member| LeavingMember {
            member_id: owned(&member.member_id),
            instance_id: owned_option(member.group_instance_id.as_ref()),
            reason: owned_option(member.reason.as_ref()),
        })
        .collect()
}

fn response(
    version: i16,
    leaving: Vec<LeavingMember>,
    outcomes: Result<Vec<Result<(), Error>>, Error>,
) -> LeaveGroupResponse {
    let outcomes = match outcomes {
        Err(error) => {
            return LeaveGroupResponse::default().with_error_code(error::group(error));
        }
        Ok(outcomes) => outcomes,
    };
    if version < VERSION_BATCH {
        let code = outcomes
            .iter()
            .copied()
            .map(error::group_outcome)
            .find(|code| *code != 0);
        return LeaveGroupResponse::default().with_error_code(code.unwrap_or(0));
    }
    let member = |(leaving, outcome): (LeavingMember, Result<(), Error>)| {
        MemberResponse::default()
            .with_member_id(text(leaving.member_id))
            .with_group_instance_id(wire_option(leaving.instance_id))
            .with_error_code(error::group_outcome(outcome))
    };
    let members = leaving.into_iter().zip(outcomes).map(member).collect();
    LeaveGroupResponse::default().with_members(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        let leaving = LeavingMember {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            reason: None,
        };
        for version in 0..=5 {
            for (outcomes, top, inner) in [
                (Ok(vec![Ok(())]), 0, 0),
                (Ok(vec![Err(Error::UnknownMemberId)]), 0, 25),
                (Err(Error::NotCoordinator), 16, 0),
            ] {
                let response = response(version, vec![leaving.clone()], outcomes);
                let mut bytes = BytesMut::new();
                response.encode(&mut bytes, version).unwrap();
                let read = LeaveGroupResponse::decode(&mut bytes.freeze(), version).unwrap();
                let expected_top = if version < VERSION_BATCH {
                    top.max(inner)
                } else {
                    top
                };
                assert_eq!(read.error_code, expected_top, "version {version}");
                for member in read.members {
                    assert_eq!(member.error_code, inner);
                }
            }
        }
    }
}
