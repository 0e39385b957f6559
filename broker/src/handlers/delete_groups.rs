//! DeleteGroups: removes empty groups with their offsets.

use std::collections::HashSet;

use futures::future::join_all;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::error;
use super::group_wire::{GroupRequestContext, owned};
use crate::group::{Error, Handle};

/// Answers when the tombstones are committed.
pub(crate) async fn handle(
    groups: &Handle,
    _ctx: &GroupRequestContext,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut seen = HashSet::new();
    let distinct = request
        .groups_names
        .into_iter()
        .filter(|id| seen.insert(id.clone()));
    let results = distinct.map(|group_id| async move {
        let outcome = groups.delete(owned(&group_id)).await;
        (group_id, outcome)
    });
    response(join_all(results).await)
}

fn response(outcomes: Vec<(GroupId, Result<(), Error>)>) -> DeleteGroupsResponse {
    let result = |(group_id, outcome)| {
        DeletableGroupResult::default()
            .with_group_id(group_id)
            .with_error_code(error::group_outcome(outcome))
    };
    DeleteGroupsResponse::default().with_results(outcomes.into_iter().map(result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::text;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        for version in 0..=2 {
            let outcomes = vec![
                (GroupId(text("a")), Ok(())),
                (GroupId(text("b")), Err(Error::NonEmptyGroup)),
            ];
            let mut bytes = BytesMut::new();
            response(outcomes).encode(&mut bytes, version).unwrap();
            let read = DeleteGroupsResponse::decode(&mut bytes.freeze(), version).unwrap();
            let codes: Vec<_> = read
                .results
                .iter()
                .map(|result| result.error_code)
                .collect();
            assert_eq!(codes, [0, 68], "version {version}");
        }
    }
}
