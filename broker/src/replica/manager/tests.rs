//! Roles as a controller gives and takes them.

use bytes::Bytes;
use common::frame::FrameReader;
use common::wire::Frame;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    FetchRequest, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, RequestHeader,
    ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::log::{Disk, Identity, LockedDirs};
use crate::protocol::interbroker::{LiveLeader, StopPartition};
use crate::record::{BatchBuilder, Compression};
use crate::replica::Acks;

use super::*;
use crate::protocol::interbroker::{EPOCH_DURING_DELETE, StopReplicaRequest};

fn manager(dir: &std::path::Path) -> Manager {
    manager_with(dir, config_of_broker(1))
}

fn manager_with(dir: &std::path::Path, of_broker: ManagerConfig) -> Manager {
    let config = log::ManagerConfig {
        identity: Identity {
            cluster_id: "cluster".to_owned(),
            broker_id: 1,
        },
        recovery_threads_per_dir: 1,
        producer_expiration_ms: i64::MAX,
        defaults: LogConfig::default(),
        on_dir_failure: log::FailureHook::default(),
        boot_id: None,
    };
    let dirs = LockedDirs::acquire(&[dir.to_owned()]).unwrap();
    let config_of = |_: &str| LogConfig::default();
    let logs = log::Manager::open(dirs, config, Arc::new(Disk), 0, &config_of).unwrap();
    let clock = common::clock::system();
    Manager::new(
        of_broker,
        Arc::new(logs),
        Arc::default(),
        HashMap::new(),
        clock,
        Shutdown::new(),
    )
}

fn config_of_broker(broker_id: BrokerId) -> ManagerConfig {
    ManagerConfig {
        broker_id,
        lag_max: Duration::from_secs(30),
        fetch: FetchConfig {
            lanes: 1,
            wait_max_ms: 500,
            bytes_min: 1,
            bytes_max: 10 << 20,
            partition_bytes_max: 1 << 20,
            backoff_max: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            receive_buffer: None,
            version: crate::model::NEWEST,
        },
        moves_at_a_time: None,
        replication_windows: Windows::default(),
        log_dirs_windows: Windows::default(),
        metrics: crate::metrics::Metrics::new(Vec::new()),
    }
}

fn header() -> ControlHeader {
    ControlHeader {
        controller_id: 1,
        controller_epoch: 1,
        broker_epoch: 1,
    }
}

/// The controller says that `leader` leads `t-0` of the topic with this id.
fn led_by(leader: BrokerId, leader_epoch: LeaderEpoch, topic_id: u128) -> LeaderAndIsrRequest {
    let name = TopicName::new("t").unwrap();
    LeaderAndIsrRequest {
        header: header(),
        is_full: false,
        topic_ids: vec![(name.clone(), TopicId::from_u128(topic_id))],
        partitions: vec![PartitionState {
            topic_partition: TopicPartition::new(name, 0),
            controller_epoch: 1,
            leader,
            leader_epoch,
            isr: vec![leader],
            partition_epoch: 0,
            replicas: vec![1, 2],
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
            is_new: false,
            leader_recovery_state: 0,
        }],
        live_leaders: Vec::new(),
    }
}

fn codes(response: &ControlResponse) -> Vec<i16> {
    let errors = response.partition_errors.iter();
    errors.map(|(_, code)| *code).collect()
}

#[test]
fn a_topic_that_was_created_anew_does_not_get_the_old_records() {
    let dir = tempfile::tempdir().unwrap();
    let manager = manager(dir.path());
    let configs = TopicConfigMap::new();
    let (response, changes) = manager.become_leader_or_follower(&led_by(1, 0, 7), &configs);
    assert!(codes(&response).is_empty() && changes.len() == 1);
    let (response, changes) = manager.become_leader_or_follower(&led_by(1, 1, 8), &configs);
    assert_eq!(codes(&response), [code::INCONSISTENT_TOPIC_ID]);
    assert!(changes.is_empty());
    let stop = StopReplicaRequest {
        header: header(),
        partitions: vec![StopPartition {
            topic_partition: led_by(1, 0, 7).partitions[0].topic_partition.clone(),
            leader_epoch: EPOCH_DURING_DELETE,
            delete: true,
        }],
    };
    assert!(codes(&manager.stop_replicas(&stop).0).is_empty());
    let (response, _) = manager.become_leader_or_follower(&led_by(1, 1, 8), &configs);
    assert!(codes(&response).is_empty());
}

#[test]
fn what_an_older_epoch_decided_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let manager = manager(dir.path());
    let configs = TopicConfigMap::new();
    let partition = led_by(1, 5, 7).partitions[0].topic_partition.clone();
    manager.become_leader_or_follower(&led_by(1, 5, 7), &configs);
    let (response, _) = manager.become_leader_or_follower(&led_by(2, 4, 7), &configs);
    assert_eq!(codes(&response), [code::STALE_CONTROLLER_EPOCH]);
    assert_eq!(manager.partition(&partition).unwrap().leads_in(), Some(5));
    let mut stale = led_by(2, 6, 7);
    stale.header.controller_epoch = 0;
    let (response, _) = manager.become_leader_or_follower(&stale, &configs);
    assert_eq!(response.error_code, code::STALE_CONTROLLER_EPOCH);
    manager.set_broker_epoch(9);
    let (response, _) = manager.become_leader_or_follower(&led_by(2, 6, 7), &configs);
    assert_eq!(response.error_code, code::STALE_BROKER_EPOCH);
    assert_eq!(manager.partition(&partition).unwrap().leads_in(), Some(5));
}

async fn accept(
    listener: &tokio::net::TcpListener,
) -> (FrameReader<OwnedReadHalf>, OwnedWriteHalf) {
    let (stream, _) = listener.accept().await.unwrap();
    let (read, write) = stream.into_split();
    (FrameReader::new(read, 1 << 20), write)
}

/// A leader that says that its first epoch ended at 1, and answers no Fetch;
/// gives the offset that was to be fetched.
async fn offset_asked_of(listener: tokio::net::TcpListener) -> Offset {
    const EPOCHS: i16 = OffsetForLeaderEpochRequest::KEY;
    const FETCH: i16 = FetchRequest::KEY;
    let mut is_agreed = false;
    let (mut frames, mut write) = accept(&listener).await;
    loop {
        let Ok(Some(mut frame)) = frames.next().await else {
            // News from the controller ends what was asked before.
            (frames, write) = accept(&listener).await;
            continue;
        };
        let (key, version) = (
            i16::from_be_bytes([frame[0], frame[1]]),
            i16::from_be_bytes([frame[2], frame[3]]),
        );
        match key {
            EPOCHS => {
                let header = OffsetForLeaderEpochRequest::header_version(version);
                let header = RequestHeader::decode(&mut frame, header).unwrap();
                let request = OffsetForLeaderEpochRequest::decode(&mut frame, version).unwrap();
                let asked = &request.topics[0].partitions[0];
                assert_eq!((asked.leader_epoch, asked.current_leader_epoch), (0, 1));
                assert_eq!(request.replica_id.0, 1);
                let end = EpochEndOffset::default()
                    .with_leader_epoch(0)
                    .with_end_offset(1);
                let topic = OffsetForLeaderTopicResult::default()
                    .with_topic(request.topics[0].topic.clone())
                    .with_partitions(vec![end]);
                let answer = OffsetForLeaderEpochResponse::default().with_topics(vec![topic]);
                let mut out = Vec::new();
                ResponseHeader::default()
                    .with_correlation_id(header.correlation_id)
                    .encode(
                        &mut out,
                        OffsetForLeaderEpochResponse::header_version(version),
                    )
                    .unwrap();
                answer.encode(&mut out, version).unwrap();
                Frame::from(Bytes::from(out))
                    .send(write.as_ref())
                    .await
                    .unwrap();
                is_agreed = true;
            }
            FETCH => {
                assert!(is_agreed, "nothing is fetched before the logs agree");
                let header = FetchRequest::header_version(version);
                RequestHeader::decode(&mut frame, header).unwrap();
                let request = FetchRequest::decode(&mut frame, version).unwrap();
                return request.topics[0].partitions[0].fetch_offset;
            }
            other => panic!("an unexpected request {other}"),
        }
    }
}

/// KIP-101 with a leader whose Fetch does not tell where the logs part: without
/// the question, the second record of epoch 0 would stay for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_agrees_with_an_older_leader_before_anything_is_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config_of_broker(1);
    config.fetch.version = "2.6".parse().unwrap();
    let manager = manager_with(dir.path(), config);
    let configs = TopicConfigMap::new();
    manager.become_leader_or_follower(&led_by(1, 0, 7), &configs);
    let id = led_by(1, 0, 7).partitions[0].topic_partition.clone();
    let partition = manager.partition(&id).unwrap();
    for value in ["a", "b"] {
        let mut builder = BatchBuilder::new(Compression::None);
        assert!(builder.push(0, None, Some(value.as_bytes()), &[]));
        partition
            .append(builder.build().unwrap(), Acks::Leader)
            .unwrap();
    }
    let listener = common::net::bind("127.0.0.1:0".parse().unwrap()).await;
    let listener = listener.unwrap();
    let mut request = led_by(2, 1, 7);
    request.live_leaders = vec![LiveLeader {
        id: 2,
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
    }];
    manager.become_leader_or_follower(&request, &configs);
    let asked = tokio::time::timeout(Duration::from_secs(30), offset_asked_of(listener));
    assert_eq!(asked.await.unwrap(), 1);
    assert_eq!(partition.extent().1, 1);
}
