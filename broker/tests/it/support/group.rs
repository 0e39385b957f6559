//! A consumer group of one member.

use bytes::Bytes;
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, JoinGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::eventually;
use super::serving::{Client, text, topic_name};

/// Who a member is.
pub(crate) struct Member {
    pub(crate) id: StrBytes,
    pub(crate) generation: i32,
}

fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}

/// Waits until the group has a coordinator that has loaded it.
pub(crate) async fn until_coordinated(port: u16, group: &str) {
    eventually("the group has its coordinator", || async {
        let mut client = Client::connect(port).await;
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
        let found = client.call(4, &find).await;
        found.coordinators[0].error_code == 0 && fetch_offset(&mut client, group, "x").await.0 == 0
    })
    .await;
}

/// The broker that coordinates the group; -1 while there is none.
pub(crate) async fn coordinator(port: u16, group: &str) -> i32 {
    let mut client = Client::connect(port).await;
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
    let found = client.call(4, &find).await;
    match found.coordinators[0].error_code {
        0 => found.coordinators[0].node_id.0,
        _ => -1,
    }
}

/// Joins as the only member and leads the group into its generation.
pub(crate) async fn join_alone(client: &mut Client, group: &str) -> Member {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(&[
            0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
        ]));
    let mut join = JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(45_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let named = client.call(7, &join).await;
    assert_eq!(named.error_code, 79, "MEMBER_ID_REQUIRED");
    join.member_id = named.member_id.clone();
    let joined = client.call(7, &join).await;
    assert_eq!((joined.error_code, &joined.leader), (0, &named.member_id));
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(named.member_id.clone())
        .with_assignment(Bytes::from_static(b"mine"));
    let sync = SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(joined.generation_id)
        .with_member_id(named.member_id.clone())
        .with_assignments(vec![assignment]);
    let synced = client.call(4, &sync).await;
    assert_eq!(
        (synced.error_code, &synced.assignment[..]),
        (0, &b"mine"[..])
    );
    Member {
        id: named.member_id,
        generation: joined.generation_id,
    }
}

/// Commits partition 0 and gives the error code.
pub(crate) async fn commit(
    client: &mut Client,
    group: &str,
    member: &Member,
    topic: &str,
    offset: i64,
) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name(topic))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(member.generation)
        .with_member_id(member.id.clone())
        .with_topics(vec![topic]);
    client.call(8, &request).await.topics[0].partitions[0].error_code
}

/// Error code and committed offset of partition 0.
pub(crate) async fn committed(client: &mut Client, group: &str, topic: &str) -> (i16, i64) {
    fetch_offset(client, group, topic).await
}

async fn fetch_offset(client: &mut Client, group: &str, topic: &str) -> (i16, i64) {
    let topic = OffsetFetchRequestTopics::default()
        .with_name(topic_name(topic))
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default().with_groups(vec![
        OffsetFetchRequestGroup::default()
            .with_group_id(group_id(group))
            .with_topics(Some(vec![topic])),
    ]);
    let response = client.call(8, &request).await;
    let group = &response.groups[0];
    let offset = group
        .topics
        .first()
        .map_or(-1, |t| t.partitions[0].committed_offset);
    (group.error_code, offset)
}
