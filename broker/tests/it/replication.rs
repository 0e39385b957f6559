//! Three brokers in this process keep three replicas of each record.

use std::time::Duration;

use broker::model::BrokerId;
use broker::registry::{ConfigEntity, EntityType, Registry};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, DeleteTopicsRequest, ElectLeadersRequest,
    InitProducerIdRequest, ListPartitionReassignmentsRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::cluster::{Cluster, call, leaders, metadata, name, topic, with_config};
use crate::support::eventually;
use crate::support::group;
use crate::support::serving::{Client, batch, fetch_request, fetched, produce_request, produced};

/// The in-sync replicas of a topic's first partition, sorted.
fn isr(metadata: &MetadataResponse, topic: &'static str) -> Vec<BrokerId> {
    let wanted = Some(name(topic));
    let found = metadata.topics.iter().find(|topic| topic.name == wanted);
    let partition = found.and_then(|topic| topic.partitions.first());
    let isr = partition.map(|partition| partition.isr_nodes.iter().map(|id| id.0).collect());
    let mut isr: Vec<BrokerId> = isr.unwrap_or_default();
    isr.sort_unstable();
    isr
}

async fn three() -> Cluster {
    let cluster = Cluster::of_three_with("offsets.topic.replication.factor=3\n").await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    cluster
}

/// A topic with three replicas of which two must be in sync.
async fn create(cluster: &Cluster, text: &'static str) {
    let topic = with_config(topic(text, 1, 3), "min.insync.replicas", "2");
    assert_eq!(cluster.create(topic).await, (0, String::new()));
    cluster
        .agree("all know it", |m| isr(m, text) == [0, 1, 2])
        .await;
}

async fn leader(cluster: &Cluster, topic: &'static str) -> BrokerId {
    leaders(&metadata(cluster.members[0].port, None).await, topic)[0]
}

/// Everything that a consumer reads of the partition at its leader.
async fn read_all(cluster: &Cluster, topic: &'static str) -> Vec<String> {
    let port = cluster.port(leader(cluster, topic).await);
    Client::connect(port).await.fetch(topic, 0).await.2
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_replicas_have_outlives_any_of_them() {
    let mut cluster = three().await;
    create(&cluster, "t").await;
    let first = leader(&cluster, "t").await;
    let mut client = Client::connect(cluster.port(first)).await;
    for value in ["a", "b", "c"] {
        let (code, _) = client.produce("t", -1, batch(&[value])).await;
        assert_eq!(code, 0);
    }
    assert_eq!(client.fetch("t", 0).await, (0, 3, abc("abc")));
    // Consumers may read from any replica, as far as it knows what is committed.
    for member in &cluster.members {
        let what = format!("broker {} has all", member.id);
        eventually(&what, || async {
            let mut client = Client::connect(member.port).await;
            client.fetch("t", 0).await == (0, 3, abc("abc"))
        })
        .await;
    }
    cluster.stop(first).await;
    let moved = |m: &MetadataResponse| {
        let leader = leaders(m, "t")[0];
        leader >= 0 && leader != first && isr(m, "t").len() == 2
    };
    cluster.agree("another leads", moved).await;
    let second = leader(&cluster, "t").await;
    let mut client = Client::connect(cluster.port(second)).await;
    assert_eq!(client.produce("t", -1, batch(&["d"])).await, (0, 3));
    eventually("all is read from the second", || async {
        read_all(&cluster, "t").await == abc("abcd")
    })
    .await;

    let third = (0..3).find(|id| *id != first && *id != second).unwrap();
    cluster.stop(third).await;
    cluster
        .agree("one is left", |m| isr(m, "t") == [second])
        .await;
    let (code, _) = client.produce("t", -1, batch(&["never"])).await;
    assert_eq!(code, 19, "NOT_ENOUGH_REPLICAS");

    cluster.start(first).await;
    cluster
        .agree("two are in sync again", |m| isr(m, "t").len() == 2)
        .await;
    assert_eq!(client.produce("t", -1, batch(&["e"])).await, (0, 4));
    cluster.start(third).await;
    cluster
        .agree("all are in sync again", |m| isr(m, "t") == [0, 1, 2])
        .await;
    cluster.stop(second).await;
    cluster
        .agree("a third leads", |m| {
            let leader = leaders(m, "t")[0];
            leader >= 0 && leader != second
        })
        .await;
    // The new leader shows the last record once its follower has asked for the next.
    eventually("all is read from the third", || async {
        read_all(&cluster, "t").await == abc("abcde")
    })
    .await;
}

fn abc(letters: &str) -> Vec<String> {
    letters.chars().map(String::from).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_offsets_follow_their_partition_to_another_broker() {
    let mut cluster = three().await;
    create(&cluster, "t").await;
    eventually("the group has its coordinator", || async {
        let id = group::coordinator(cluster.port(0), "g").await;
        id >= 0 && {
            let mut client = Client::connect(cluster.port(id)).await;
            group::committed(&mut client, "g", "t").await.0 == 0
        }
    })
    .await;
    let coordinator = group::coordinator(cluster.port(0), "g").await;
    let mut client = Client::connect(cluster.port(coordinator)).await;
    let member = group::join_alone(&mut client, "g").await;
    let code = group::commit(&mut client, "g", &member, "t", 42).await;
    assert_eq!(code, 0);
    cluster.stop(coordinator).await;
    let other = cluster.members[0].port;
    eventually("another broker coordinates the group", || async {
        let id = group::coordinator(other, "g").await;
        id >= 0 && id != coordinator
    })
    .await;
    let now = group::coordinator(other, "g").await;
    eventually("the offset is there", || async {
        let mut client = Client::connect(cluster.port(now)).await;
        group::committed(&mut client, "g", "t").await == (0, 42)
    })
    .await;
}

/// The replicas of a topic's first partition, in their order.
fn replicas(metadata: &MetadataResponse, topic: &'static str) -> Vec<BrokerId> {
    let wanted = Some(name(topic));
    let found = metadata.topics.iter().find(|topic| topic.name == wanted);
    let partition = found.and_then(|topic| topic.partitions.first());
    let ids = partition.map(|partition| partition.replica_nodes.iter().map(|id| id.0).collect());
    ids.unwrap_or_default()
}

fn move_to(target: Option<&[BrokerId]>) -> AlterPartitionReassignmentsRequest {
    let replicas = target.map(|ids| ids.iter().map(|id| (*id).into()).collect());
    let partition = ReassignablePartition::default().with_replicas(replicas);
    let topic = ReassignableTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    AlterPartitionReassignmentsRequest::default().with_topics(vec![topic])
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_move_to_other_brokers_with_their_records() {
    let cluster = three().await;
    let placed = CreatableReplicaAssignment::default().with_broker_ids(vec![0.into(), 1.into()]);
    let topic = topic("t", -1, -1).with_assignments(vec![placed]);
    assert_eq!(cluster.create(topic).await, (0, String::new()));
    cluster
        .agree("all know it", |m| isr(m, "t") == [0, 1])
        .await;
    let mut client = Client::connect(cluster.port(0)).await;
    for value in ["a", "b", "c"] {
        assert_eq!(client.produce("t", -1, batch(&[value])).await.0, 0);
    }
    let controller = cluster.port(cluster.controller().await);
    let code = async |request: &AlterPartitionReassignmentsRequest| {
        let response = call(controller, 0, request).await;
        assert_eq!(response.error_code, 0);
        response.responses[0].partitions[0].error_code
    };
    assert_eq!(code(&move_to(None)).await, 85, "nothing to cancel");
    assert_eq!(code(&move_to(Some(&[0, 7]))).await, 39, "7 is not alive");
    assert_eq!(code(&move_to(Some(&[2, 1]))).await, 0);
    let has_moved = |m: &MetadataResponse| {
        replicas(m, "t") == [2, 1] && isr(m, "t") == [1, 2] && leaders(m, "t") == [2]
    };
    cluster.agree("the replicas have moved", has_moved).await;
    let list = ListPartitionReassignmentsRequest::default();
    let listed = call(controller, 0, &list).await;
    assert_eq!((listed.error_code, listed.topics.len()), (0, 0));
    assert_eq!(read_all(&cluster, "t").await, abc("abc"));
    // The broker that gave it up does not serve it any more.
    let mut client = Client::connect(cluster.port(0)).await;
    assert_eq!(client.produce("t", -1, batch(&["x"])).await.0, 6);
    let mut client = Client::connect(cluster.port(2)).await;
    assert_eq!(client.produce("t", -1, batch(&["d"])).await, (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_reassigned_can_be_deleted() {
    let cluster = three().await;
    let placed = CreatableReplicaAssignment::default().with_broker_ids(vec![0.into()]);
    let topic = topic("t", -1, -1).with_assignments(vec![placed]);
    assert_eq!(cluster.create(topic).await, (0, String::new()));
    let controller = cluster.port(cluster.controller().await);
    for target in [0, 1] {
        let moved = call(controller, 0, &move_to(Some(&[target]))).await;
        assert_eq!(moved.responses[0].partitions[0].error_code, 0);
        let is_there = |m: &MetadataResponse| replicas(m, "t") == [target];
        cluster.agree("it is on its broker", is_there).await;
    }
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![name("t")])
        .with_timeout_ms(30_000);
    let deleted = call(controller, 1, &request).await;
    assert_eq!(deleted.responses[0].error_code, 0);
    cluster.agree("it is gone", |m| m.topics.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_go_back_to_their_preferred_replica_on_demand() {
    let mut cluster = three().await;
    create(&cluster, "t").await;
    let preferred = leader(&cluster, "t").await;
    cluster.stop(preferred).await;
    let moved = |m: &MetadataResponse| leaders(m, "t").first().is_some_and(|id| *id != preferred);
    cluster.agree("another leads", moved).await;
    cluster.start(preferred).await;
    cluster
        .agree("all are in sync", |m| isr(m, "t") == [0, 1, 2])
        .await;
    let elect = |election_type| {
        let topic = TopicPartitions::default()
            .with_topic(name("t"))
            .with_partitions(vec![0]);
        ElectLeadersRequest::default()
            .with_election_type(election_type)
            .with_topic_partitions(Some(vec![topic]))
            .with_timeout_ms(20_000)
    };
    let code = async |election_type| {
        let port = cluster.port(cluster.controller().await);
        let response = call(port, 2, &elect(election_type)).await;
        assert_eq!(response.error_code, 0);
        response.replica_election_results[0].partition_result[0].error_code
    };
    assert_eq!(code(1).await, 84, "a leader lives: ELECTION_NOT_NEEDED");
    assert_eq!(code(0).await, 0);
    cluster
        .agree("it leads again", |m| leaders(m, "t") == [preferred])
        .await;
    assert_eq!(code(0).await, 84);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_does_not_move_the_high_watermark() {
    let cluster = three().await;
    create(&cluster, "t").await;
    let port = cluster.port(leader(&cluster, "t").await);
    let mut client = Client::connect(port).await;
    assert_eq!(client.produce("t", -1, batch(&["a"])).await, (0, 0));
    let mut request = fetch_request("t", 1);
    request.replica_id = 77.into();
    let answer = tokio::time::timeout(Duration::from_secs(10), client.call(12, &request)).await;
    let (code, ..) = fetched(&answer.unwrap());
    assert_eq!(code, 75, "UNKNOWN_LEADER_EPOCH");
}

/// Broker 1 is out of sync with `t`, and broker 0, which has more, is stopped.
async fn without_its_leader() -> Cluster {
    let mut cluster = three().await;
    let placed = CreatableReplicaAssignment::default().with_broker_ids(vec![0.into(), 1.into()]);
    let topic = topic("t", -1, -1).with_assignments(vec![placed]);
    assert_eq!(cluster.create(topic).await, (0, String::new()));
    cluster
        .agree("all know it", |m| isr(m, "t") == [0, 1])
        .await;
    let mut client = Client::connect(cluster.port(0)).await;
    assert_eq!(client.produce("t", -1, batch(&["a"])).await, (0, 0));
    cluster.stop(1).await;
    cluster
        .agree("one is in sync", |m| isr(m, "t") == [0])
        .await;
    assert_eq!(client.produce("t", -1, batch(&["b"])).await, (0, 1));
    cluster.stop(0).await;
    cluster.start(1).await;
    let offline = |m: &MetadataResponse| leaders(m, "t") == [-1] && m.brokers.len() == 2;
    cluster.agree("nobody leads it", offline).await;
    cluster
}

/// An out-of-sync replica leads only on an operator's word, and then the others
/// follow it, whatever they had.
#[tokio::test(flavor = "multi_thread")]
async fn an_unclean_leader_is_elected_only_on_demand() {
    let mut cluster = without_its_leader().await;
    let wanted = TopicPartitions::default()
        .with_topic(name("t"))
        .with_partitions(vec![0]);
    let unclean = ElectLeadersRequest::default()
        .with_election_type(1)
        .with_topic_partitions(Some(vec![wanted]))
        .with_timeout_ms(20_000);
    let port = cluster.port(cluster.controller().await);
    let elected = call(port, 2, &unclean).await;
    let result = &elected.replica_election_results[0].partition_result[0];
    assert_eq!(result.error_code, 0);
    cluster.agree("it leads", |m| leaders(m, "t") == [1]).await;
    let mut client = Client::connect(cluster.port(1)).await;
    assert_eq!(client.produce("t", -1, batch(&["c"])).await, (0, 1));
    cluster.start(0).await;
    cluster
        .agree("both are in sync", |m| isr(m, "t") == [0, 1])
        .await;
    eventually("the old leader gave up what nobody else had", || async {
        let mut client = Client::connect(cluster.port(0)).await;
        client.fetch("t", 0).await == (0, 2, abc("ac"))
    })
    .await;
}

/// As Kafka's, the controller does not wait for the next failure.
#[tokio::test(flavor = "multi_thread")]
async fn an_unclean_leader_is_elected_once_the_topic_allows_it() {
    let cluster = without_its_leader().await;
    let client = cluster.space.client().await;
    let registry = Registry::new(client, common::clock::system());
    let allowed = [("unclean.leader.election.enable", "true")];
    let config = allowed
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let entity = ConfigEntity {
        entity_type: EntityType::Topics,
        name: "t".to_owned(),
    };
    registry.change_config(&entity, &config).await.unwrap();
    cluster.agree("it leads", |m| leaders(m, "t") == [1]).await;
}

/// The default of all topics changes while the brokers run.
#[tokio::test(flavor = "multi_thread")]
async fn an_unclean_leader_is_elected_once_the_cluster_allows_it() {
    let cluster = without_its_leader().await;
    let client = cluster.space.client().await;
    let registry = Registry::new(client, common::clock::system());
    let config = [("unclean.leader.election.enable", "true")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let entity = ConfigEntity {
        entity_type: EntityType::Brokers,
        name: "<default>".to_owned(),
    };
    registry.change_config(&entity, &config).await.unwrap();
    cluster.agree("it leads", |m| leaders(m, "t") == [1]).await;
}

/// Each broker has a block of its own, whether it is the controller or asks it.
#[tokio::test(flavor = "multi_thread")]
async fn producer_ids_come_in_blocks_from_the_controller() {
    let cluster = three().await;
    cluster.controller().await;
    let mut blocks = std::collections::BTreeSet::new();
    for id in 0..3 {
        let port = cluster.port(id);
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let first = call(port, 4, &request).await;
        let second = call(port, 4, &request).await;
        assert_eq!((first.error_code, second.error_code), (0, 0));
        assert_eq!(second.producer_id.0, first.producer_id.0 + 1);
        blocks.insert(first.producer_id.0 / 1000);
    }
    assert_eq!(blocks.len(), 3, "{blocks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_are_sent_to_the_replica_in_their_rack() {
    let cluster = Cluster::of_three_with(
        "offsets.topic.replication.factor=1\nreplica.selector.class=\
         org.apache.kafka.common.replica.RackAwareReplicaSelector\n",
    )
    .await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    create(&cluster, "t").await;
    let leader = leader(&cluster, "t").await;
    let near = (leader + 1) % 3;
    let mut client = Client::connect(cluster.port(leader)).await;
    assert_eq!(client.produce("t", -1, batch(&["a"])).await, (0, 0));
    let mut request = fetch_request("t", 0);
    let mut sent_to = async |rack: String, client: &mut Client| {
        request.rack_id = StrBytes::from_string(rack);
        let answer = client.call(12, &request).await;
        let (code, _, values) = fetched(&answer);
        let preferred = answer.responses[0].partitions[0].preferred_read_replica.0;
        (code, preferred, values)
    };
    let own = sent_to(format!("rack-{leader}"), &mut client).await;
    assert_eq!(own, (0, -1, abc("a")));
    let elsewhere = sent_to("nowhere".to_owned(), &mut client).await;
    assert_eq!(elsewhere, (0, -1, abc("a")));
    let moved = sent_to(format!("rack-{near}"), &mut client).await;
    assert_eq!(moved, (0, near, Vec::new()));
    eventually("the near replica has it", || async {
        let mut client = Client::connect(cluster.port(near)).await;
        client.fetch("t", 0).await == (0, 1, abc("a"))
    })
    .await;
}

/// `num.replica.fetchers` can be changed while brokers run: connections to each
/// leader, which a leader counts.
#[tokio::test(flavor = "multi_thread")]
async fn other_fetchers_take_the_partitions_over() {
    use kafka_protocol::messages::IncrementalAlterConfigsRequest;
    use kafka_protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    let cluster = three().await;
    let spread = topic("spread", 12, 3);
    assert_eq!(cluster.create(spread).await, (0, String::new()));
    let led = |m: &MetadataResponse| leaders(m, "spread").iter().all(|id| *id >= 0);
    cluster.agree("leaders", led).await;
    let connections = || async {
        let mut all = Vec::new();
        for member in &cluster.members {
            let (_, page) = crate::support::serving::http_get(member.admin, "/metrics").await;
            let name = "kafka_server_socketservermetrics_connection_count ";
            let line = page.lines().find_map(|line| line.strip_prefix(name));
            all.push(line.unwrap().parse::<usize>().unwrap());
        }
        all
    };
    let produce_all = || async {
        let told = metadata(cluster.members[0].port, None).await;
        for (index, leader) in leaders(&told, "spread").into_iter().enumerate() {
            let mut client = Client::connect(cluster.port(leader)).await;
            let mut request = produce_request("spread", -1, batch(&["x"]));
            request.topic_data[0].partition_data[0].index = i32::try_from(index).unwrap();
            let response = client.call(9, &request).await;
            assert_eq!(produced(&response).0, 0, "partition {index}");
        }
    };
    produce_all().await;
    let before = connections().await;
    let two = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("num.replica.fetchers"))
        .with_value(Some(StrBytes::from_static_str("2")));
    let change = AlterConfigsResource::default()
        .with_resource_type(4)
        .with_configs(vec![two]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![change]);
    let answer = call(cluster.members[0].port, 1, &request).await;
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    eventually("two more followers' connections at each leader", || async {
        let now = connections().await;
        now.iter()
            .zip(&before)
            .all(|(now, before)| *now >= before + 2)
    })
    .await;
    produce_all().await;
}
