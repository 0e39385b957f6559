//! ListGroups: the groups that this broker coordinates.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use super::error;
use super::group_wire::GroupRequestContext;
use super::wire::text;
use crate::group::{Error, Handle, Listing, Overview};

/// The only type of group there is (KIP-848 adds others).
const GROUP_TYPE: &str = "classic";

/// Answers at once.
pub(crate) async fn handle(
    groups: &Handle,
    _ctx: &GroupRequestContext,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    response(&request, groups.list().await)
}

fn response(request: &ListGroupsRequest, answer: Result<Listing, Error>) -> ListGroupsResponse {
    let listing = match answer {
        Ok(listing) => listing,
        Err(error) => {
            return ListGroupsResponse::default().with_error_code(error::group(error));
        }
    };
    let is_wanted = |group: &Overview| {
        accepts(&request.states_filter, group.phase.name())
            && accepts(&request.types_filter, GROUP_TYPE)
    };
    let listed = |group: Overview| {
        ListedGroup::default()
            .with_group_id(GroupId(text(group.group_id)))
            .with_protocol_type(text(group.protocol_type))
            .with_group_state(text(group.phase.name()))
            .with_group_type(text(GROUP_TYPE))
    };
    let code = match listing.loading {
        true => ResponseError::CoordinatorLoadInProgress.code(),
        false => 0,
    };
    let groups = listing
        .groups
        .into_iter()
        .filter(is_wanted)
        .map(listed)
        .collect();
    ListGroupsResponse::default()
        .with_error_code(code)
        .with_groups(groups)
}

fn accepts(filter: &[StrBytes], name: &str) -> bool {
    filter.is_empty()
        || filter
            .iter()
            .any(|wanted| wanted.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::Phase;
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    fn listing() -> Listing {
        let group = |id: &str, phase| Overview {
            group_id: id.into(),
            protocol_type: "consumer".into(),
            phase,
        };
        let groups = vec![group("a", Phase::Stable), group("b", Phase::Empty)];
        Listing {
            groups,
            loading: false,
        }
    }

    #[test]
    fn every_version_can_be_encoded() {
        for version in 0..=5 {
            let mut bytes = BytesMut::new();
            let request = ListGroupsRequest::default();
            response(&request, Ok(listing()))
                .encode(&mut bytes, version)
                .unwrap();
            let read = ListGroupsResponse::decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(read.groups.len(), 2);
            let state = if version >= 4 { "Stable" } else { "" };
            assert_eq!(
                read.groups[0].group_state.as_str(),
                state,
                "version {version}"
            );
        }
    }

    #[test]
    fn filters_ignore_case() {
        let ids = |states: &[&'static str], types: &[&'static str]| -> Vec<String> {
            let filter = |names: &[&'static str]| names.iter().map(|n| text(*n)).collect();
            let request = ListGroupsRequest::default()
                .with_states_filter(filter(states))
                .with_types_filter(filter(types));
            let groups = response(&request, Ok(listing())).groups;
            groups
                .iter()
                .map(|group| group.group_id.to_string())
                .collect()
        };
        assert_eq!(ids(&["sTABLE"], &[]), ["a"]);
        assert_eq!(ids(&[], &["Classic"]), ["a", "b"]);
        assert!(ids(&[], &["consumer"]).is_empty());
    }
}
