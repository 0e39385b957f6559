//! Three brokers and one coordinator in this process: partitions spread, the
//! controller's word reaches every broker, and the cluster lives on.

use std::time::Duration;

use broker::model::BrokerId;
use bytes::Buf;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    MetadataResponse,
};

use crate::support::cluster::{Cluster, call, count, exchange, leaders, metadata, topic};

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_led_by_every_broker_and_wait_for_theirs() {
    let mut cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    assert_eq!(cluster.create(topic("t", 6, 1)).await, (0, String::new()));
    let spread = |m: &MetadataResponse| (0..3).all(|id| count(&leaders(m, "t"), id) == 2);
    cluster.agree("two partitions each", spread).await;

    let controller = cluster.controller().await;
    let other = (controller + 1) % 3;
    cluster.stop(other).await;
    let waiting = |m: &MetadataResponse| {
        let leaders = leaders(m, "t");
        count(&leaders, -1) == 2 && count(&leaders, other) == 0 && m.brokers.len() == 2
    };
    cluster
        .agree("no leader without its only replica", waiting)
        .await;
    cluster.start(other).await;
    cluster.agree("all are led again", spread).await;

    cluster.stop(controller).await;
    let elected = |m: &MetadataResponse| {
        m.controller_id.0 >= 0
            && m.controller_id.0 != controller
            && count(&leaders(m, "t"), -1) == 2
            && m.brokers.len() == 2
    };
    cluster.agree("another controller", elected).await;
    let told: Vec<BrokerId> = {
        let mut told = Vec::new();
        for member in &cluster.members {
            told.push(metadata(member.port, None).await.controller_id.0);
        }
        told
    };
    assert_eq!(told[0], told[1]);
    assert_eq!(
        cluster.create(topic("after", 2, 1)).await,
        (0, String::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_controller_creates_and_any_broker_creates_automatically() {
    let cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let controller = cluster.controller().await;
    for member in cluster.members.iter().filter(|m| m.id != controller) {
        let request = CreateTopicsRequest::default().with_topics(vec![topic("t", 1, 1)]);
        let response: CreateTopicsResponse = call(member.port, 7, &request).await;
        let code = ResponseError::NotController.code();
        assert_eq!(response.topics[0].error_code, code, "broker {}", member.id);
    }
    let topics = [(0, "auto-0"), (1, "auto-1"), (2, "auto-2")];
    for (id, topic) in topics {
        metadata(cluster.port(id), Some(topic)).await;
    }
    let created = |m: &MetadataResponse| {
        topics
            .iter()
            .all(|(_, topic)| leaders(m, topic).first().is_some_and(|id| *id >= 0))
    };
    cluster.agree("all have leaders", created).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_go_where_they_can_and_partitions_are_added_alike() {
    let cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let replicas = |ids: &[i32]| ids.iter().map(|id| (*id).into()).collect();
    let assigned = CreatableReplicaAssignment::default().with_broker_ids(replicas(&[0, 1]));
    let manual = topic("manual", -1, -1).with_assignments(vec![assigned]);
    assert_eq!(cluster.create(manual).await, (0, String::new()));
    let too_many = cluster.create(topic("t", 1, 4)).await;
    assert_eq!(too_many.0, ResponseError::InvalidReplicationFactor.code());
    assert!(
        too_many.1.contains("larger than available brokers"),
        "{too_many:?}"
    );

    assert_eq!(cluster.create(topic("t", 1, 1)).await.0, 0);
    let (exists, _) = cluster.create(topic("t", 1, 2)).await;
    assert_eq!(exists, ResponseError::TopicAlreadyExists.code());
    // Assignments for none of the three new partitions, then left to the broker.
    assert_eq!(
        cluster.extend(Some(Vec::new())).await,
        ResponseError::InvalidReplicaAssignment.code()
    );
    assert_eq!(cluster.extend(None).await, 0);
    let extended = |m: &MetadataResponse| {
        let leaders = leaders(m, "t");
        leaders.len() == 4 && count(&leaders, -1) == 0
    };
    cluster.agree("four partitions", extended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_brokers_ask_is_listed_checked_and_never_believed_when_stale() {
    let cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let port = cluster.port(1);
    let listed: ApiVersionsResponse = call(port, 0, &ApiVersionsRequest::default()).await;
    for (key, versions) in [(4, (0, 7)), (5, (0, 4)), (6, (0, 8)), (7, (0, 3))] {
        let api = listed
            .api_keys
            .iter()
            .find(|api| api.api_key == key)
            .unwrap();
        assert_eq!((api.min_version, api.max_version), versions, "key {key}");
    }
    let header = |key: i16, version: i16| {
        let mut out = Vec::new();
        out.extend(key.to_be_bytes());
        out.extend(version.to_be_bytes());
        out.extend([0, 0, 0, 9, 0xff, 0xff, 0]);
        out
    };
    // UpdateMetadata of controller 9 in an epoch before the first.
    let mut stale = header(6, 8);
    stale.extend([0, 0, 0, 9, 0, 0, 0, 0, 0]);
    stale.extend((-1_i64).to_be_bytes());
    stale.extend([1, 1, 0]);
    let mut answer = exchange(port, stale.clone().into())
        .await
        .expect("an answer");
    assert_eq!((answer.get_i32(), answer.get_u8()), (9, 0));
    assert_eq!(answer.get_i16(), ResponseError::StaleControllerEpoch.code());
    assert_eq!(
        metadata(port, None).await.brokers.len(),
        3,
        "it changed nothing"
    );
    for cut in 11..stale.len() {
        let cut = stale[..cut].to_vec();
        assert_eq!(exchange(port, cut.into()).await, None, "malformed");
    }
    let old = exchange(port, header(6, 5).into()).await;
    assert_eq!(old, None, "version 5 is not served");
    let wait = Duration::from_secs(5);
    let alive = tokio::time::timeout(wait, metadata(port, None)).await;
    assert_eq!(alive.unwrap().brokers.len(), 3);
}
