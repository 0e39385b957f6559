//! A replica that lost its tail in a power cut does not lead with what is left
//! (KIP-966).

use std::path::PathBuf;

use broker::model::{BrokerId, TopicName, TopicPartition};
use broker::registry::{LeaderAndIsr, PartitionLeadership, Registry};
use kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment;

use crate::support::cluster::{Cluster, leaders, topic};
use crate::support::eventually;
use crate::support::serving::{Client, batch};

fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), 0)
}

fn log_dir(cluster: &Cluster, id: BrokerId) -> PathBuf {
    cluster.dirs.path().join(id.to_string())
}

/// The broker was stopped; its directory becomes that of one whose process was
/// killed.
fn was_killed(cluster: &Cluster, id: BrokerId) {
    std::fs::remove_file(log_dir(cluster, id).join(".kafka_cleanshutdown")).unwrap();
}

/// The same, and the machine went down with it: `t-0` keeps `kept` batches of
/// one length.
fn lost_power(cluster: &Cluster, id: BrokerId, kept: u64) {
    was_killed(cluster, id);
    let dir = log_dir(cluster, id);
    std::fs::write(dir.join(".boot-id"), "0\nan earlier one\n").unwrap();
    std::fs::remove_file(dir.join("recovery-point-offset-checkpoint")).unwrap();
    let path = dir.join("t-0/00000000000000000000.log");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let batch = u64::try_from(batch(&["a"]).len()).unwrap();
    assert!(file.metadata().unwrap().len() > kept * batch);
    file.set_len(kept * batch).unwrap();
}

/// What nobody saw: the state of `t-0` when all went down at once.
async fn set_state(cluster: &Cluster, leader: BrokerId, isr: &[BrokerId]) {
    let client = cluster.space.client().await;
    let registry = Registry::new(client.clone(), common::clock::system());
    let read = registry.partition_states(&[partition()]).await.unwrap();
    let read = read.into_iter().next().unwrap().unwrap();
    let state = LeaderAndIsr {
        leader,
        isr: isr.to_vec(),
        ..read.state
    };
    let wanted = PartitionLeadership { state, ..read };
    let written = registry.write_isr(&partition(), &wanted).await.unwrap();
    assert!(written.is_some());
    client.close().await;
}

/// Brokers 0 and 1 have "a" and "b" in `t-0`; then all three were stopped.
async fn stopped() -> Cluster {
    let mut cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let placed = CreatableReplicaAssignment::default().with_broker_ids(vec![0.into(), 1.into()]);
    let topic = topic("t", -1, -1).with_assignments(vec![placed]);
    assert_eq!(cluster.create(topic).await, (0, String::new()));
    cluster.agree("0 leads", |m| leaders(m, "t") == [0]).await;
    let mut client = Client::connect(cluster.port(0)).await;
    for value in ["a", "b"] {
        assert_eq!(client.produce("t", -1, batch(&[value])).await.0, 0);
    }
    for id in [2, 1, 0] {
        cluster.stop(id).await;
    }
    cluster
}

async fn has_both_records(cluster: &Cluster, id: BrokerId) {
    let what = format!("broker {id} has both records");
    eventually(&what, || async {
        let mut client = Client::connect(cluster.port(id)).await;
        client.fetch("t", 0).await == (0, 2, vec!["a".to_owned(), "b".to_owned()])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_the_isr_that_lost_its_tail_lets_another_lead() {
    let mut cluster = stopped().await;
    set_state(&cluster, 0, &[0, 1]).await;
    lost_power(&cluster, 0, 1);
    cluster.start(0).await;
    cluster
        .agree("nobody leads yet", |m| leaders(m, "t") == [-1])
        .await;
    cluster.start(1).await;
    cluster.agree("1 leads", |m| leaders(m, "t") == [1]).await;
    has_both_records(&cluster, 1).await;
    has_both_records(&cluster, 0).await;
}

/// The last member of the ISR went down with its machine. Another has more than
/// is left, and would have to cut it.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_member_of_the_isr_gives_way_to_a_replica_that_has_more() {
    let mut cluster = stopped().await;
    set_state(&cluster, 0, &[0]).await;
    lost_power(&cluster, 0, 1);
    cluster.start(1).await;
    cluster
        .agree("nobody leads", |m| leaders(m, "t") == [-1])
        .await;
    cluster.start(0).await;
    cluster.agree("1 leads", |m| leaders(m, "t") == [1]).await;
    has_both_records(&cluster, 1).await;
    has_both_records(&cluster, 0).await;
}

/// The same with an empty disk.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_disk_does_not_lead_although_it_is_the_isr() {
    let mut cluster = stopped().await;
    set_state(&cluster, 0, &[0]).await;
    std::fs::remove_dir_all(log_dir(&cluster, 0)).unwrap();
    cluster.start(1).await;
    cluster.start(0).await;
    cluster.agree("1 leads", |m| leaders(m, "t") == [1]).await;
    has_both_records(&cluster, 0).await;
}

/// Whoever lost nothing that another has leads, as before.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_member_of_the_isr_leads_when_nobody_has_more() {
    let mut cluster = stopped().await;
    set_state(&cluster, 0, &[0]).await;
    lost_power(&cluster, 1, 1);
    lost_power(&cluster, 0, 1);
    cluster.start(1).await;
    cluster.start(0).await;
    cluster.agree("0 leads", |m| leaders(m, "t") == [0]).await;
    let mut client = Client::connect(cluster.port(0)).await;
    assert_eq!(client.fetch("t", 0).await, (0, 1, vec!["a".to_owned()]));
}

/// What a killed process wrote is still there.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_only_killed_leads_at_once() {
    let mut cluster = stopped().await;
    set_state(&cluster, 0, &[0, 1]).await;
    was_killed(&cluster, 0);
    cluster.start(0).await;
    cluster.agree("0 leads", |m| leaders(m, "t") == [0]).await;
    cluster.start(1).await;
    has_both_records(&cluster, 0).await;
    has_both_records(&cluster, 1).await;
}
