//! A controller that was cut off from the network keeps no leader waiting.

use std::sync::Arc;
use std::time::Duration;

use broker::cluster::Cluster;
use broker::handlers::in_sync::ByController;
use broker::peer::{self, Peers};
use broker::protocol::interbroker::{ControlHeader, Endpoint, LiveBroker, UpdateMetadataRequest};
use broker::replica::IsrChannel;
use common::frame::FrameReader;

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
