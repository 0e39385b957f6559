//! A broker as a stranger meets it: versions, metadata, topics, admin pages.

use bytes::Buf;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DeleteTopicsRequest, DescribeClusterRequest,
    MetadataRequest, ResponseHeader,
};
use kafka_protocol::protocol::Decodable;

use crate::support::eventually;
use crate::support::serving::{Site, batch, create_topic_request, http_get, text, topic_name};

const UNSUPPORTED_VERSION: i16 = 35;
const LEADER_NOT_AVAILABLE: i16 = 5;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const INVALID_REPLICATION_FACTOR: i16 = 38;

fn metadata(names: &[&str]) -> MetadataRequest {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_told_also_to_a_client_from_the_future() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("test"))
        .with_client_software_version(text("1"));
    let told = client.call(3, &request).await;
    assert_eq!(told.error_code, 0);
    assert!(told.api_keys.iter().any(|api| api.api_key == 0));

    // KIP-511: version 99 with a body that nobody knows is answered in version 0.
    client
        .raw(&[0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 0, 42, 1, 2, 3, 4])
        .await;
    let mut answer = client.answer().await.unwrap();
    assert_eq!(
        ResponseHeader::decode(&mut answer, 0)
            .unwrap()
            .correlation_id,
        42
    );
    let fallback = ApiVersionsResponse::decode(&mut answer, 0).unwrap();
    assert_eq!(fallback.error_code, UNSUPPORTED_VERSION);
    assert!(fallback.api_keys.iter().any(|api| api.api_key == 18));
    assert!(!answer.has_remaining());
    client.call(0, &ApiVersionsRequest::default()).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_comes_into_being_when_it_is_asked_for() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    let first = client.call(12, &metadata(&["fresh", "in valid"])).await;
    assert_eq!(first.topics[0].error_code, LEADER_NOT_AVAILABLE);
    assert_eq!(first.topics[1].error_code, INVALID_TOPIC);
    eventually("the topic has a leader", || async {
        let mut client = broker.client().await;
        let answer = client.call(12, &metadata(&["fresh"])).await;
        let topic = &answer.topics[0];
        topic.error_code == 0 && topic.partitions.iter().all(|p| p.leader_id.0 == 1)
    })
    .await;
    // The topic of transactions has a shape of its own: three replicas by default.
    let internal = client.call(12, &metadata(&["__transaction_state"])).await;
    assert_eq!(internal.topics[0].error_code, INVALID_REPLICATION_FACTOR);
    let silent = metadata(&["other"]).with_allow_auto_topic_creation(false);
    let answer = client.call(12, &silent).await;
    assert_eq!(answer.topics[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);
    let cluster = client.call(0, &DescribeClusterRequest::default()).await;
    assert_eq!(cluster.controller_id.0, 1);
    assert_eq!(i32::from(broker.port), cluster.brokers[0].port);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_comes_back_empty_under_the_same_name() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("again", 1).await;
    assert_eq!(client.produce("again", -1, batch(&["old"])).await, (0, 0));
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic_name("again")])
        .with_timeout_ms(20_000);
    let deleted = client.call(5, &request).await;
    assert_eq!(deleted.responses[0].error_code, 0);
    let (error, ..) = client.fetch("again", 0).await;
    assert_eq!(error, UNKNOWN_TOPIC_OR_PARTITION);
    // Its files and znodes go a little after its metadata, as in Kafka.
    eventually("the name is free", || async {
        let mut client = broker.client().await;
        let created = client.call(7, &create_topic_request("again", 1)).await;
        created.topics[0].error_code == 0
    })
    .await;
    assert_eq!(client.fetch("again", 0).await, (0, 0, vec![]));
    assert_eq!(client.produce("again", -1, batch(&["new"])).await, (0, 0));
    assert_eq!(client.fetch("again", 0).await.2, ["new"]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_pages_tell_what_is_there() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("shown", 1).await;
    client.produce("shown", 1, batch(&["a", "b"])).await;
    let (status, health) = http_get(broker.admin, "/health").await;
    assert_eq!(status, 200);
    assert!(health.contains("\"broker_id\":1"), "{health}");
    let (_, topics) = http_get(broker.admin, "/topics").await;
    assert!(topics.contains("\"log_end_offset\":2"), "{topics}");
    let (_, metrics) = http_get(broker.admin, "/metrics").await;
    let led = "kafka_server_replicamanager_leadercount 1";
    assert!(metrics.contains(led), "{metrics}");
    assert_eq!(http_get(broker.admin, "/nothing").await.0, 404);
    broker.stop().await;
}
