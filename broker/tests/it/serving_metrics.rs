//! What the page of metrics says after traffic that is known to the last byte.

use std::net::SocketAddr;

use kafka_protocol::messages::HeartbeatRequest;

use crate::support::cluster::{Cluster, leaders, metadata, topic, with_config};
use crate::support::eventually;
use crate::support::group::{commit, join_alone, until_coordinated};
use crate::support::serving::{Client, Site, batch, fetch_request, http_get, text};

/// The page, read once.
struct Page(String);

impl Page {
    async fn of(admin: SocketAddr) -> Self {
        let (status, page) = http_get(admin, "/metrics").await;
        assert_eq!(status, 200);
        Self(page)
    }

    /// The value of a sample, by all that stands before it.
    fn get(&self, sample: &str) -> Option<f64> {
        self.0.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == sample).then(|| value.parse().unwrap())
        })
    }

    #[track_caller]
    fn expect(&self, expected: &[(&str, usize)]) {
        for (sample, value) in expected {
            let found = self.get(sample);
            assert_eq!(found, Some(*value as f64), "{sample}\n{}", self.0);
        }
    }
}

const TOPIC: &str = "topic=\"counted\"";

#[tokio::test(flavor = "multi_thread")]
async fn records_are_counted_to_the_last_byte() {
    let site = Site::new().await;
    let broker = site.broker(&[("message.max.bytes", "1000")]).await;
    let mut client = broker.client().await;
    client.create_topic("counted", 1).await;
    let (two, three) = (batch(&["a", "b"]), batch(&["c", "d", "e"]));
    assert_eq!(client.produce("counted", 1, two.clone()).await, (0, 0));
    assert_eq!(client.produce("counted", -1, three.clone()).await, (0, 2));
    let large = batch(&["x".repeat(1_000).as_str()]);
    let (code, _) = client.produce("counted", 1, large.clone()).await;
    assert_eq!(code, 10, "MESSAGE_TOO_LARGE");
    let (code, _) = client.produce("unknown", 1, two.clone()).await;
    assert_eq!(code, 3, "UNKNOWN_TOPIC_OR_PARTITION");
    assert_eq!(client.fetch("counted", 0).await.2.len(), 5);
    assert_eq!(client.fetch("counted", 5).await.2.len(), 0);
    let of_topic = |name: &str| format!("{name}{{{TOPIC}}}");
    let page = Page::of(broker.admin).await;
    let taken = two.len() + three.len();
    for (name, all, of_the_topic) in [
        ("messagesin", 5, 5),
        ("bytesin", taken, taken),
        ("bytesout", taken, taken),
        ("bytesrejected", large.len(), large.len()),
        ("totalproducerequests", 4, 3),
        ("totalfetchrequests", 2, 2),
        ("replicationbytesin", 0, 0),
        ("failedproducerequests", 0, 0),
    ] {
        let name = format!("kafka_server_brokertopicmetrics_{name}_total");
        page.expect(&[(&name, all)]);
        if of_the_topic > 0 {
            page.expect(&[(&of_topic(&name), of_the_topic)]);
        }
    }
    let size = format!("kafka_log_log_size{{partition=\"0\",{TOPIC}}}");
    let end = format!("kafka_log_log_logendoffset{{partition=\"0\",{TOPIC}}}");
    page.expect(&[
        (
            "kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"9\"}",
            4,
        ),
        (
            "kafka_network_requestmetrics_requests_total{request=\"Fetch\",version=\"12\"}",
            2,
        ),
        (
            "kafka_network_requestmetrics_requests_total{request=\"FetchConsumer\",version=\"12\"}",
            2,
        ),
        (
            "kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"}",
            4,
        ),
        (
            "kafka_network_requestmetrics_totaltimems_bucket{le=\"+Inf\",request=\"Fetch\"}",
            2,
        ),
        ("kafka_server_replicamanager_leadercount", 1),
        ("kafka_server_replicamanager_partitioncount", 1),
        ("kafka_server_replicamanager_underreplicatedpartitions", 0),
        ("kafka_server_replicamanager_atminisrpartitioncount", 1),
        ("kafka_controller_kafkacontroller_activecontrollercount", 1),
        ("kafka_controller_kafkacontroller_globaltopiccount", 1),
        ("kafka_controller_kafkacontroller_offlinepartitionscount", 0),
        ("kafka_server_socketservermetrics_connection_count", 1),
        ("kafka_server_sessionexpirelistener_connected", 1),
        ("kafka_log_logmanager_offlinelogdirectorycount", 0),
        (&size, taken),
        (&end, 5),
    ]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_waits_is_timed_until_its_answer() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("counted", 1).await;
    let wait_ms = 300;
    let waiting = fetch_request("counted", 0).with_max_wait_ms(wait_ms);
    client.call(12, &waiting).await;
    let page = Page::of(broker.admin).await;
    let sum = page.get("kafka_network_requestmetrics_totaltimems_sum{request=\"FetchConsumer\"}");
    assert!(sum >= Some(f64::from(wait_ms)), "{sum:?}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_commits_are_counted() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("counted", 1).await;
    until_coordinated(broker.port, "g").await;
    let member = join_alone(&mut client, "g").await;
    for offset in [3, 4] {
        assert_eq!(
            commit(&mut client, "g", &member, "counted", offset).await,
            0
        );
    }
    let heartbeat = HeartbeatRequest::default()
        .with_group_id(kafka_protocol::messages::GroupId(text("g")))
        .with_generation_id(member.generation)
        .with_member_id(member.id.clone());
    assert_eq!(client.call(4, &heartbeat).await.error_code, 0);
    Page::of(broker.admin).await.expect(&[
        ("kafka_coordinator_group_groupmetadatamanager_numgroups", 1),
        (
            "kafka_coordinator_group_groupmetadatamanager_numgroupsstable",
            1,
        ),
        (
            "kafka_coordinator_group_groupmetadatamanager_numgroupsempty",
            0,
        ),
        ("kafka_coordinator_group_groupmetadatamanager_numoffsets", 1),
        (
            "kafka_server_group_coordinator_metrics_offset_commit_count",
            2,
        ),
        (
            "kafka_server_group_coordinator_metrics_group_completed_rebalance_count",
            1,
        ),
        (
            "kafka_network_requestmetrics_requests_total{request=\"OffsetCommit\",version=\"8\"}",
            2,
        ),
        (
            "kafka_network_requestmetrics_requests_total{request=\"Heartbeat\",version=\"4\"}",
            1,
        ),
    ]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replication_is_counted_on_both_sides() {
    let mut cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let created = with_config(topic("counted", 1, 2), "min.insync.replicas", "2");
    assert_eq!(cluster.create(created).await, (0, String::new()));
    let leads = |m: &_| leaders(m, "counted").first().is_some_and(|id| *id >= 0);
    cluster.agree("a leader", leads).await;
    let leader = leaders(&metadata(cluster.members[0].port, None).await, "counted")[0];
    let mut client = Client::connect(cluster.port(leader)).await;
    let records = batch(&["a", "b"]);
    assert_eq!(client.produce("counted", -1, records.clone()).await, (0, 0));
    let (mut given, mut got, mut controllers) = (0.0, 0.0, 0.0);
    let mut followers = Vec::new();
    for member in &cluster.members {
        let page = Page::of(member.admin).await;
        let value = |name: &str| page.get(name).unwrap();
        given += value("kafka_server_brokertopicmetrics_replicationbytesout_total");
        let replicated = value("kafka_server_brokertopicmetrics_replicationbytesin_total");
        got += replicated;
        controllers += value("kafka_controller_kafkacontroller_activecontrollercount");
        if replicated > 0.0 {
            followers.push(member.id);
        }
        let fetches = "kafka_network_requestmetrics_totaltimems_count{request=\"FetchFollower\"}";
        let is_fetched = page.get(fetches).is_some_and(|count| count > 0.0);
        assert_eq!(is_fetched, member.id == leader, "broker {}", member.id);
    }
    let bytes = records.len() as f64;
    assert_eq!((given, got, controllers), (bytes, bytes, 1.0));
    let admin = |id| cluster.members.iter().find(|m| m.id == id).unwrap().admin;
    let admin = admin(leader);
    Page::of(admin).await.expect(&[
        ("kafka_server_replicamanager_underreplicatedpartitions", 0),
        ("kafka_server_replicamanager_atminisrpartitioncount", 1),
        ("kafka_server_replicamanager_underminisrpartitioncount", 0),
    ]);
    cluster.stop(followers[0]).await;
    eventually("the follower is missed", || async move {
        let page = Page::of(admin).await;
        let is_missed = "kafka_server_replicamanager_underminisrpartitioncount";
        let is_under = "kafka_server_replicamanager_underreplicatedpartitions";
        (page.get(is_missed), page.get(is_under)) == (Some(1.0), Some(1.0))
    })
    .await;
}
