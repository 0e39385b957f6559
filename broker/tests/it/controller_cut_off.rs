//! A controller that was cut off from the network keeps no leader waiting.

use std::sync::Arc;
use std::time::Duration;

use broker::cluster::Cluster;
use broker::handlers::in_sync::{ByController, ByZnodes, PastController};
use broker::model::{TopicId, TopicName, TopicPartition};
use broker::peer::{self, Peers};
use broker::protocol::interbroker::{ControlHeader, Endpoint, LiveBroker, UpdateMetadataRequest};
use broker::replica::{IsrChannel, IsrProposal};
use broker::zk::CreateMode;
use common::frame::FrameReader;
use tokio::net::TcpListener;

use crate::support::{LIMIT, Node, RecordingChannel, Space, eventually};

const CONTROLLER: i32 = 7;
const LEADER: i32 = 8;

/// A leader asks for another ISR, and its question gets lost with the answer.
/// Only one question is under way at a time, so all further ones wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_to_a_controller_of_the_past_is_given_up() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let controller = Node::start(&space, CONTROLLER, &channel).await;
    controller.until_active().await;
    let leader = Node::start(&space, LEADER, &channel).await;
    eventually("the leader knows the controller", || async {
        leader.controller.controller_id() == Some(CONTROLLER)
    })
    .await;
    let (silent, channel) = silent_controller(&leader).await;
    let asked = common::task::spawn("asked", channel.ask(1, Vec::new()));
    let (stream, _) = silent.accept().await.unwrap();
    let (read, _write) = stream.into_split();
    let mut frames = FrameReader::new(read, 1 << 20);
    assert!(frames.next().await.unwrap().is_some(), "it was asked");
    controller.stop().await;
    let outcome = tokio::time::timeout(LIMIT, asked).await;
    let failure = outcome.expect("the question is given up").unwrap();
    let failure = failure.unwrap_err().to_string();
    assert!(failure.contains("not the controller any more"), "{failure}");
    leader.stop().await;
}

/// Something that takes questions in the name of the controller, and the way of
/// `leader` to it.
async fn silent_controller(leader: &Node) -> (TcpListener, ByController) {
    let silent = common::net::bind("127.0.0.1:0".parse().unwrap()).await;
    let silent = silent.unwrap();
    let cluster = Cluster::default();
    cluster.apply(&UpdateMetadataRequest {
        header: ControlHeader {
            controller_id: CONTROLLER,
            controller_epoch: 1,
            broker_epoch: 1,
        },
        partitions: Vec::new(),
        offline_replicas: Vec::new(),
        topic_ids: Vec::new(),
        live_brokers: vec![LiveBroker {
            id: CONTROLLER,
            epoch: 1,
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".into(),
                security_protocol: "PLAINTEXT".into(),
                host: "127.0.0.1".into(),
                port: silent.local_addr().unwrap().port(),
            }],
            rack: None,
        }],
    });
    let peers = Peers::new(peer::Config {
        broker_id: LEADER,
        listener: "PLAINTEXT".to_owned(),
        // Longer than the test may take.
        request_timeout: Duration::from_secs(3600),
        version: "3.9".parse().unwrap(),
    });
    let channel = ByController {
        own_id: LEADER,
        controller: leader.controller.clone(),
        cluster: Arc::new(cluster),
        peers: Arc::new(peers),
        version: 3,
    };
    (silent, channel)
}

/// The controller is alive and out of reach. A leader takes replicas out of the
/// ISR by itself, as long as nothing else was decided; it lets none in.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_leave_the_isr_although_the_controller_is_out_of_reach() {
    let space = Space::new().await;
    let recording = Arc::new(RecordingChannel::new());
    let controller = Node::start(&space, CONTROLLER, &recording).await;
    controller.until_active().await;
    let leader = Node::start(&space, LEADER, &recording).await;
    eventually("the leader knows the controller", || async {
        leader.controller.controller_id() == Some(CONTROLLER)
    })
    .await;
    let partition = TopicPartition::new(TopicName::new("t").unwrap(), 0);
    let node = format!("/brokers/topics/{}/partitions/0/state", partition.topic);
    let mut created = String::new();
    for name in node.split('/').skip(1) {
        created = format!("{created}/{name}");
        // The first two are there; the topic has no assignment, so nobody elects.
        let _ = leader
            .client
            .create(&created, None, CreateMode::Persistent)
            .await;
    }
    let (_silent, by_controller) = silent_controller(&leader).await;
    let znodes = ByZnodes {
        registry: leader.registry.clone(),
    };
    let clock = common::clock::system();
    let mut channel = PastController::new(by_controller, znodes, clock);
    channel.patience = Duration::from_millis(50);
    let proposal = |isr: &[i32], partition_epoch| IsrProposal {
        partition: partition.clone(),
        topic_id: TopicId::nil(),
        leader: LEADER,
        leader_epoch: 3,
        isr: isr.to_vec(),
        recovery: 0,
        partition_epoch,
        controller_epoch: 1,
        is_shrink: isr.len() < 3,
        number: 1,
    };
    let joins = channel.ask(1, vec![proposal(&[LEADER, 9, 10], 0)]).await;
    assert!(joins.is_err(), "left to the controller: {joins:?}");
    let asked = vec![proposal(&[LEADER, 9], 0), proposal(&[LEADER, 9, 10], 0)];
    let decisions = channel.ask(1, asked).await.unwrap();
    let altered = decisions[0].as_ref().unwrap();
    assert_eq!(
        (&altered.isr[..], altered.partition_epoch),
        (&[LEADER, 9][..], 1)
    );
    assert_eq!(decisions[1], Err(-1), "asked again");
    let asked = std::slice::from_ref(&partition);
    let read = leader.registry.partition_states(asked).await;
    let state = read.unwrap()[0].clone().unwrap().state;
    assert_eq!((state.leader, state.isr), (LEADER, vec![LEADER, 9]));
    // Something else was decided since.
    let stale = channel.ask(1, vec![proposal(&[LEADER], 0)]).await.unwrap();
    assert_eq!(stale, [Err(95)]);
    controller.stop().await;
    leader.stop().await;
}
