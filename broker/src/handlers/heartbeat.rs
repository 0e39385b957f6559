//! Heartbeat: a member says that it lives, and hears of a rebalance.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::error;
use super::group_wire::{GroupRequestContext, owned, owned_option};
use crate::group::{Error, Handle, MemberRef};

/// Answers at once.
pub(crate) async fn handle(
    groups: &Handle,
    _ctx: &GroupRequestContext,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let member = MemberRef {
        group_id: owned(&request.group_id),
        generation: request.generation_id,
        member_id: owned(&request.member_id),
        instance_id: owned_option(request.group_instance_id.as_ref()),
    };
    response(&groups.heartbeat(member).await)
}

fn response(outcome: &Result<(), Error>) -> HeartbeatResponse {
    HeartbeatResponse::default().with_error_code(error::group_outcome(*outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        for version in 0..=4 {
            for (outcome, code) in [(Ok(()), 0), (Err(Error::IllegalGeneration), 22)] {
                let mut bytes = BytesMut::new();
                response(&outcome).encode(&mut bytes, version).unwrap();
                let read = HeartbeatResponse::decode(&mut bytes.freeze(), version).unwrap();
                assert_eq!(read.error_code, code);
            }
        }
    }
}
