//! SyncGroup: a member fetches its assignment, the leader brings everybody's.

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::error;
use super::group_wire::{GroupRequestContext, owned, owned_bytes, owned_option, wire_option};
use crate::group::{Error, Handle, SyncRequest, Synced};

/// From this version on the member must name type and protocol (KIP-559).
const VERSION_PROTOCOL_MANDATORY: i16 = 5;

/// Answers when the assignment is stored.
pub(crate) async fn handle(
    groups: &Handle,
    ctx: &GroupRequestContext,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let names_all = request.protocol_type.is_some() && request.protocol_name.is_some();
    if ctx.api_version >= VERSION_PROTOCOL_MANDATORY && !names_all {
        return response(Err(Error::InconsistentGroupProtocol));
    }
    let assignments = request.assignments.iter();
    let request = SyncRequest {
        group_id: owned(&request.group_id),
        generation: request.generation_id,
        member_id: owned(&request.member_id),
        instance_id: owned_option(request.group_instance_id.as_ref()),
        protocol_type: owned_option(request.protocol_type.as_ref()),
        protocol_name: owned_option(request.protocol_name.as_ref()),
        assignments: assignments
            .map(|of| (owned(&of.member_id), owned_bytes(&of.assignment)))
            .collect(),
    };
    response(groups.sync(request).await)
}

fn response(answer: Result<Synced, Error>) -> SyncGroupResponse {
    match answer {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(wire_option(synced.protocol_type))
            .with_protocol_name(wire_option(synced.protocol_name))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error::group(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        let synced = Synced {
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignment: Bytes::from_static(b"a"),
        };
        for version in 0..=5 {
            for answer in [Ok(synced.clone()), Err(Error::RebalanceInProgress)] {
                let (code, assignment) = match &answer {
                    Ok(synced) => (0, synced.assignment.clone()),
                    Err(_) => (27, Bytes::new()),
                };
                let mut bytes = BytesMut::new();
                response(answer).encode(&mut bytes, version).unwrap();
                let read = SyncGroupResponse::decode(&mut bytes.freeze(), version).unwrap();
                assert_eq!((read.error_code, read.assignment), (code, assignment));
            }
        }
    }
}
