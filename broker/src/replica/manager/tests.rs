//! Roles as a controller gives and takes them.

use crate::log::{Disk, Identity, LockedDirs};
use crate::protocol::interbroker::StopPartition;

use super::*;

fn manager(dir: &std::path::Path) -> Manager {
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
        config_of_broker(1),
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
            version: 17,
        },
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
