//! Topics and brokers through the controller, end to end, with a fake channel.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::controller::ControlledShutdownError;
use broker::model::{BrokerId, TopicName, TopicPartition};
use broker::protocol::interbroker::{ControlRequest, PartitionState};
use broker::registry::assignment::Candidate;
use broker::registry::{Mode, NewTopic, Placement};
use indexmap::IndexMap;

use crate::support::{Node, RecordingChannel, Space, eventually};

fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

fn manual(topic: &str, partitions: &[&[BrokerId]]) -> NewTopic {
    let replicas = partitions.iter().map(|replicas| replicas.to_vec());
    NewTopic {
        name: name(topic),
        placement: Placement::Manual((0..).zip(replicas).collect()),
        config: IndexMap::new(),
    }
}

fn candidates(ids: &[BrokerId]) -> Vec<Candidate> {
    ids.iter()
        .map(|id| Candidate {
            id: *id,
            rack: None,
        })
        .collect()
}

/// The last LeaderAndIsr state of each partition that a broker was told.
fn told(log: &[(BrokerId, ControlRequest)], broker: BrokerId) -> BTreeMap<String, PartitionState> {
    let mut states = BTreeMap::new();
    for (to, request) in log {
        if let (true, ControlRequest::LeaderAndIsr(request)) = (*to == broker, request) {
            for state in &request.partitions {
                states.insert(state.topic_partition.to_string(), state.clone());
            }
        }
    }
    states
}

fn leader(
    log: &[(BrokerId, ControlRequest)],
    broker: BrokerId,
    partition: &str,
) -> Option<(i32, Vec<i32>)> {
    told(log, broker)
        .get(partition)
        .map(|state| (state.leader, state.isr.clone()))
}

async fn exists(node: &Node, path: &str) -> bool {
    node.client.exists(path, None).await.unwrap().is_some()
}

#[tokio::test]
async fn a_topic_lives_from_creation_to_deletion() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let node = Node::start(&space, 1, &channel).await;
    node.until_active().await;
    let first = channel
        .wait_for("who is alive", |log| !log.is_empty())
        .await;
    let (1, ControlRequest::UpdateMetadata(alive)) = &first[0] else {
        panic!("brokers first learn who is alive: {first:?}");
    };
    assert_eq!(alive.live_brokers[0].epoch, node.epoch);
    assert_eq!(alive.header.broker_epoch, node.epoch);
    channel.clear();

    let topic = manual("t", &[&[1], &[1]]);
    let created = node
        .registry
        .create_topic(&topic, &[], Mode::Apply)
        .await
        .unwrap();
    let log = channel.wait_for("the metadata", |log| log.len() >= 2).await;
    let (1, ControlRequest::LeaderAndIsr(led)) = &log[0] else {
        panic!("leaders come first: {log:?}");
    };
    assert_eq!(led.topic_ids, [(name("t"), created.topic_id.unwrap())]);
    assert!(
        led.partitions
            .iter()
            .all(|state| state.is_new && state.leader == 1)
    );
    assert_eq!(led.partitions.len(), 2);
    assert!(matches!(&log[1], (1, ControlRequest::UpdateMetadata(m)) if m.partitions.len() == 2));
    let (state, _) = node
        .client
        .get_data("/brokers/topics/t/partitions/0/state", None)
        .await
        .unwrap();
    let golden = br#"{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1]}"#;
    assert_eq!(&state[..], golden);

    channel.clear();
    let brokers = candidates(&[1]);
    let added = node
        .registry
        .add_partitions(&topic.name, 3, None, &brokers, Mode::Apply)
        .await;
    assert_eq!(added.unwrap().topic_id, created.topic_id);
    channel
        .wait_for("the added partition", |log| {
            told(log, 1).contains_key("t-2")
        })
        .await;

    channel.clear();
    node.registry.delete_topic(&name("t")).await.unwrap();
    eventually("the topic is gone", || async {
        !exists(&node, "/brokers/topics/t").await
    })
    .await;
    eventually("the marker is gone", || async {
        !exists(&node, "/admin/delete_topics/t").await
    })
    .await;
    assert!(!exists(&node, "/config/topics/t").await);
    let log = channel.wait_for("the end", |log| log.len() >= 2).await;
    let is_delete = |request: &ControlRequest| {
        matches!(request, ControlRequest::StopReplica(stop)
            if stop.partitions.len() == 3 && stop.partitions.iter().all(|p| p.delete && p.leader_epoch == -2))
    };
    assert!(log.iter().any(|(_, request)| is_delete(request)), "{log:?}");
    let (_, ControlRequest::UpdateMetadata(ending)) = &log[0] else {
        panic!("clients are warned first: {log:?}");
    };
    assert!(ending.partitions.iter().all(|state| state.leader == -2));

    // The same name can be used again, with another id.
    channel.clear();
    let again = node
        .registry
        .create_topic(&topic, &[], Mode::Apply)
        .await
        .unwrap();
    assert_ne!(again.topic_id, created.topic_id);
    channel
        .wait_for("the new topic", |log| told(log, 1).contains_key("t-1"))
        .await;
    node.stop().await;
}

#[tokio::test]
async fn a_topic_without_an_id_gets_one() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let node = Node::start(&space, 1, &channel).await;
    node.until_active().await;
    let old = bytes::Bytes::from_static(br#"{"version":1,"partitions":{"0":[1]}}"#);
    let mode = broker::zk::CreateMode::Persistent;
    node.client
        .create("/brokers/topics/old", Some(old), mode)
        .await
        .unwrap();
    channel
        .wait_for("the topic", |log| told(log, 1).contains_key("old-0"))
        .await;
    assert!(
        node.registry
            .topic_id(&name("old"))
            .await
            .unwrap()
            .is_some()
    );
    node.stop().await;
}

#[tokio::test]
async fn leaders_move_when_brokers_die_and_return() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let one = Node::start(&space, 1, &channel).await;
    one.until_active().await;
    let two = Node::start(&space, 2, &channel).await;
    channel.wait_for("both are alive", |log| {
        log.iter().any(|(to, request)| {
            matches!((to, request), (1, ControlRequest::UpdateMetadata(m)) if m.live_brokers.len() == 2)
        })
    })
    .await;
    let topic = manual("t", &[&[2, 1], &[1, 2]]);
    let solo = manual("solo", &[&[2]]);
    one.registry
        .create_topic(&topic, &[], Mode::Apply)
        .await
        .unwrap();
    one.registry
        .create_topic(&solo, &[], Mode::Apply)
        .await
        .unwrap();
    channel
        .wait_for("broker 2 leads", |log| {
            leader(log, 2, "solo-0") == Some((2, vec![2]))
        })
        .await;

    channel.clear();
    two.stop().await;
    channel
        .wait_for("broker 1 leads", |log| {
            leader(log, 1, "t-0") == Some((1, vec![1]))
        })
        .await;
    channel
        .wait_for("the ISR shrinks", |log| {
            leader(log, 1, "t-1") == Some((1, vec![1]))
        })
        .await;
    let orphan = TopicPartition::new(name("solo"), 0);
    let states = one
        .registry
        .partition_states(std::slice::from_ref(&orphan))
        .await
        .unwrap();
    let state = &states[0].as_ref().unwrap().state;
    assert_eq!(
        (state.leader, &state.isr[..]),
        (-1, &[2][..]),
        "the last member stays in the ISR"
    );

    channel.clear();
    let two = Node::start(&space, 2, &channel).await;
    channel
        .wait_for("the orphan is led", |log| {
            leader(log, 2, "solo-0") == Some((2, vec![2]))
        })
        .await;
    let log = channel
        .wait_for("the followers", |log| told(log, 2).len() == 3)
        .await;
    assert_eq!(
        leader(&log, 2, "t-0"),
        Some((1, vec![1])),
        "leaders stay where they are"
    );
    let full = log.iter().find_map(|(to, request)| match (to, request) {
        (2, ControlRequest::UpdateMetadata(request)) => Some(request),
        _ => None,
    });
    assert_eq!(
        full.unwrap().partitions.len(),
        3,
        "a new broker learns everything"
    );
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn a_broker_that_shuts_down_hands_its_leaders_over() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let one = Node::start(&space, 1, &channel).await;
    one.until_active().await;
    let two = Node::start(&space, 2, &channel).await;
    channel
        .wait_for("broker 2 is known", |log| {
            log.iter().any(|(to, _)| *to == 2)
        })
        .await;
    let topic = manual("t", &[&[2, 1], &[1, 2]]);
    let solo = manual("solo", &[&[2]]);
    one.registry
        .create_topic(&topic, &[], Mode::Apply)
        .await
        .unwrap();
    one.registry
        .create_topic(&solo, &[], Mode::Apply)
        .await
        .unwrap();
    channel
        .wait_for("the topic", |log| told(log, 2).len() == 3)
        .await;

    let unknown = one.controller.controlled_shutdown(9, 0).await.unwrap_err();
    assert!(matches!(unknown, ControlledShutdownError::UnknownBroker(9)));
    let stale = one
        .controller
        .controlled_shutdown(2, two.epoch - 1)
        .await
        .unwrap_err();
    assert!(matches!(
        stale,
        ControlledShutdownError::StaleBrokerEpoch { .. }
    ));
    let elsewhere = two
        .controller
        .controlled_shutdown(2, two.epoch)
        .await
        .unwrap_err();
    assert!(matches!(elsewhere, ControlledShutdownError::NotController));

    channel.clear();
    let left = one
        .controller
        .controlled_shutdown(2, two.epoch)
        .await
        .unwrap();
    assert_eq!(
        left,
        [],
        "a sole replica has nowhere to go and does not count"
    );
    let log = channel
        .wait_for("the hand-over", |log| {
            leader(log, 1, "t-0") == Some((1, vec![1]))
        })
        .await;
    assert_eq!(
        leader(&log, 1, "t-1").map_or_else(Vec::new, |(_, isr)| isr),
        [1]
    );
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_delays_nobody() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    channel.make_unreachable(2);
    let one = Node::start(&space, 1, &channel).await;
    one.until_active().await;
    let two = Node::start(&space, 2, &channel).await;
    let topic = manual("t", &[&[1], &[2]]);
    one.registry
        .create_topic(&topic, &[], Mode::Apply)
        .await
        .unwrap();
    let log = channel
        .wait_for("broker 1 leads", |log| told(log, 1).contains_key("t-0"))
        .await;
    assert!(log.iter().all(|(to, _)| *to == 1));
    channel.make_reachable(2);
    let two_leads = |log: &[_]| told(log, 2).contains_key("t-1");
    channel.wait_for("broker 2 catches up", two_leads).await;
    two.stop().await;
    one.stop().await;
}

#[tokio::test]
async fn a_new_controller_finishes_what_the_old_one_began() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let one = Node::start(&space, 1, &channel).await;
    one.until_active().await;
    let two = Node::start(&space, 2, &channel).await;
    channel
        .wait_for("broker 2 is known", |log| {
            log.iter().any(|(to, _)| *to == 2)
        })
        .await;
    one.registry
        .create_topic(&manual("dies", &[&[2]]), &[], Mode::Apply)
        .await
        .unwrap();
    channel
        .wait_for("the topic", |log| told(log, 2).contains_key("dies-0"))
        .await;
    // While nobody is the controller: a topic appears, another is to go.
    channel.make_unreachable(2);
    one.registry.delete_topic(&name("dies")).await.unwrap();
    one.stop().await;
    two.until_active().await;
    two.registry
        .create_topic(&manual("born", &[&[2]]), &[], Mode::Apply)
        .await
        .unwrap();
    channel.make_reachable(2);
    channel
        .wait_for("the new topic", |log| told(log, 2).contains_key("born-0"))
        .await;
    eventually("the old topic is gone", || async {
        !exists(&two, "/brokers/topics/dies").await
    })
    .await;
    two.stop().await;
}

#[tokio::test]
async fn one_bad_node_does_not_stop_the_controller() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let one = Node::start(&space, 1, &channel).await;
    one.until_active().await;
    let mode = broker::zk::CreateMode::Persistent;
    let bad = Some(bytes::Bytes::from_static(b"{"));
    for path in ["/brokers/topics/bad", "/brokers/topics/not a name"] {
        one.client.create(path, bad.clone(), mode).await.unwrap();
    }
    let good = manual("good", &[&[2]]);
    one.registry
        .create_topic(&good, &[], Mode::Apply)
        .await
        .unwrap();
    one.stop().await;
    let two = Node::start(&space, 2, &channel).await;
    two.until_active().await;
    channel
        .wait_for("the good topic", |log| told(log, 2).contains_key("good-0"))
        .await;
    two.stop().await;
}
