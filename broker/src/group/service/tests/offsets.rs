use super::*;
use crate::state_log;

async fn fetch(broker: &Broker, topic: &str) -> Option<CommittedOffset> {
    let request = FetchRequest {
        group_id: "g".into(),
        partitions: Some(vec![tp(topic, 0)]),
        require_stable: false,
    };
    let mut found = broker.groups.fetch(request).await.unwrap();
    found.remove(0).1.unwrap()
}

async fn offset(broker: &Broker, topic: &str) -> Option<i64> {
    fetch(broker, topic).await.map(|committed| committed.offset)
}

async fn commit(broker: &Broker, member: MemberRef, topic: &str, offset: i64) -> Result<(), Error> {
    let outcomes = broker
        .groups
        .commit(commit_of(member, topic, offset))
        .await
        .unwrap();
    outcomes[0].1
}

#[tokio::test(start_paused = true)]
async fn commits_survive_a_reload() {
    let broker = Broker::start().await;
    let a = stable_member(&broker, join("a")).await;
    assert_eq!(commit(&broker, who(&a), "t", 5).await, Ok(()));
    assert_eq!(commit(&broker, who(&a), "t", 7).await, Ok(()));
    let expected = CommittedOffset {
        offset: 7,
        leader_epoch: Some(1),
        metadata: "m".into(),
    };
    assert_eq!(fetch(&broker, "t").await, Some(expected.clone()));
    assert_eq!(fetch(&broker, "u").await, None);
    let successor = broker.successor().await;
    assert_eq!(fetch(&successor, "t").await, Some(expected.clone()));
    let all = FetchRequest {
        group_id: "g".into(),
        ..FetchRequest::default()
    };
    let found = successor.groups.fetch(all).await.unwrap();
    assert_eq!(found, [(tp("t", 0), Ok(Some(expected)))]);
}

#[tokio::test(start_paused = true)]
async fn who_may_commit() {
    let broker = Broker::start().await;
    let unknown = MemberRef {
        generation: 1,
        ..outside("x")
    };
    assert_eq!(
        commit(&broker, unknown, "t", 1).await,
        Err(Error::IllegalGeneration)
    );
    assert_eq!(commit(&broker, outside(""), "t", 1).await, Ok(()));
    // PyKafka's balanced consumer brings an id of its own.
    assert_eq!(commit(&broker, outside("host:uuid"), "t", 2).await, Ok(()));
    let a = stable_member(&broker, join("a")).await;
    let cases = [
        (outside(""), Err(Error::UnknownMemberId)),
        (outside("host:uuid"), Err(Error::UnknownMemberId)),
        (
            MemberRef {
                generation: 7,
                ..who(&a)
            },
            Err(Error::IllegalGeneration),
        ),
        (
            MemberRef {
                generation: -1,
                ..who(&a)
            },
            Err(Error::IllegalGeneration),
        ),
        (
            MemberRef {
                instance_id: Some("i".into()),
                ..who(&a)
            },
            Err(Error::UnknownMemberId),
        ),
        (who(&a), Ok(())),
    ];
    for (member, expected) in cases {
        assert_eq!(
            commit(&broker, member.clone(), "t", 3).await,
            expected,
            "{member:?}"
        );
    }
    let b_joins = broker.groups.join(join("b"));
    tokio::pin!(b_joins);
    assert!(poll!(&mut b_joins).is_pending());
    assert_eq!(
        commit(&broker, who(&a), "t", 4).await,
        Ok(()),
        "while preparing"
    );
    let a = broker.groups.join(rejoin("a", &a.member_id)).await.unwrap();
    let refused = commit(&broker, who(&a), "t", 5).await;
    assert_eq!(refused, Err(Error::RebalanceInProgress), "while completing");
    assert_eq!(offset(&broker, "t").await, Some(4));
}

#[tokio::test(start_paused = true)]
async fn metadata_has_a_limit_in_characters() {
    let broker = Broker::start().await;
    let mut request = commit_of(outside(""), "t", 1);
    let long = OffsetToCommit {
        partition: tp("u", 0),
        metadata: "ä".repeat(4_097),
        ..request.offsets[0].clone()
    };
    request.offsets[0].metadata = "ä".repeat(4_096);
    request.offsets.push(long);
    let outcomes = broker.groups.commit(request.clone()).await.unwrap();
    let too_long = Err(Error::OffsetMetadataTooLarge);
    assert_eq!(outcomes, [(tp("t", 0), Ok(())), (tp("u", 0), too_long)]);
    assert_eq!(offset(&broker, "u").await, None);
    let before = broker.log.batch_count();
    request.offsets.remove(0);
    let outcomes = broker.groups.commit(request).await.unwrap();
    assert_eq!(outcomes, [(tp("u", 0), too_long)]);
    assert_eq!(broker.log.batch_count(), before);
}

#[tokio::test(start_paused = true)]
async fn an_offset_counts_once_it_is_committed() {
    let broker = Broker::start().await;
    broker.log.hold();
    let first = broker.groups.commit(commit_of(outside(""), "t", 1));
    let second = broker.groups.commit(commit_of(outside(""), "t", 2));
    tokio::pin!(first, second);
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    assert_eq!(offset(&broker, "t").await, None);
    let stable = FetchRequest {
        group_id: "g".into(),
        partitions: Some(vec![tp("t", 0)]),
        require_stable: true,
    };
    let found = broker.groups.fetch(stable).await.unwrap();
    assert_eq!(found[0].1, Err(Error::UnstableOffsetCommit));
    broker.log.release();
    assert_eq!(first.await.unwrap(), [(tp("t", 0), Ok(()))]);
    assert_eq!(second.await.unwrap(), [(tp("t", 0), Ok(()))]);
    assert_eq!(offset(&broker, "t").await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_is_reported_and_yet_memory_follows_the_log() {
    let broker = Broker::start().await;
    broker.log.hold();
    let start = broker.clock.monotonic();
    let outcome = commit(&broker, outside(""), "t", 1).await;
    assert_eq!(outcome, Err(Error::RequestTimedOut));
    assert_eq!(
        broker.clock.monotonic() - start,
        Duration::from_millis(5_000)
    );
    assert_eq!(offset(&broker, "t").await, None);
    broker.log.release();
    assert_eq!(commit(&broker, outside(""), "u", 1).await, Ok(()));
    assert_eq!(offset(&broker, "t").await, Some(1));
    assert_eq!(offset(&broker.successor().await, "t").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_append_changes_nothing() {
    let broker = Broker::start().await;
    assert_eq!(commit(&broker, outside(""), "t", 1).await, Ok(()));
    let cases = [
        (state_log::Error::NotLeader, Error::NotCoordinator),
        (state_log::Error::Storage, Error::NotCoordinator),
        (
            state_log::Error::UnknownPartition,
            Error::CoordinatorNotAvailable,
        ),
        (
            state_log::Error::NotEnoughReplicas,
            Error::CoordinatorNotAvailable,
        ),
        (state_log::Error::TooLarge, Error::InvalidCommitOffsetSize),
        (state_log::Error::Timeout, Error::RequestTimedOut),
    ];
    for (failure, heard) in cases {
        broker.log.fail_with(Some(failure));
        assert_eq!(commit(&broker, outside(""), "t", 2).await, Err(heard));
        assert_eq!(
            broker.groups.delete("g".into()).await,
            Err(Error::from_group_store(failure))
        );
    }
    broker.log.fail_with(None);
    assert_eq!(offset(&broker, "t").await, Some(1));
    assert_eq!(commit(&broker, outside(""), "t", 3).await, Ok(()));
}

const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[tokio::test(start_paused = true)]
async fn the_offsets_of_an_empty_group_expire_and_the_group_with_them() {
    let broker = Broker::start().await;
    let a = stable_member(&broker, join("a")).await;
    assert_eq!(commit(&broker, who(&a), "t", 5).await, Ok(()));
    let leaving = LeavingMember {
        member_id: a.member_id,
        ..Default::default()
    };
    broker
        .groups
        .leave("g".into(), vec![leaving])
        .await
        .unwrap();

    tokio::time::advance(RETENTION - Duration::from_millis(1)).await;
    broker.groups.expire_offsets().await;
    assert_eq!(offset(&broker, "t").await, Some(5));
    tokio::time::advance(Duration::from_millis(1)).await;
    broker.groups.expire_offsets().await;
    assert_eq!(offset(&broker, "t").await, None);
    assert_eq!(broker.groups.describe("g".into()).await, Ok(None));
    let successor = broker.successor().await;
    assert_eq!(successor.groups.list().await.unwrap().groups, []);
}

#[tokio::test(start_paused = true)]
async fn the_retention_of_a_dated_commit_counts_from_its_own_time() {
    let broker = Broker::start().await;
    let now_ms = PausedClock::shared().wall_ms();
    let retention_ms = i64::try_from(RETENTION.as_millis()).unwrap();
    for (topic, age_ms) in [("t", retention_ms), ("u", retention_ms - 1)] {
        let mut request = commit_of(outside(""), topic, 5);
        request.offsets[0].committed_ms = Some(now_ms - age_ms);
        let outcomes = broker.groups.commit(request).await.unwrap();
        assert_eq!(outcomes, [(tp(topic, 0), Ok(()))]);
    }
    broker.groups.expire_offsets().await;
    assert_eq!(offset(&broker, "t").await, None);
    assert_eq!(offset(&broker, "u").await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn a_stable_group_keeps_the_offsets_of_its_topics() {
    let config = Config {
        retention: Duration::from_millis(5_000),
        ..Config::default()
    };
    let log = Arc::new(FakeLog::new());
    let broker = Broker::start_with(log, PausedClock::shared(), config).await;
    assert_eq!(commit(&broker, outside(""), "t", 1).await, Ok(()));
    assert_eq!(commit(&broker, outside(""), "u", 1).await, Ok(()));
    let a = stable_member(&broker, join("a")).await;
    tokio::time::advance(Duration::from_millis(5_000)).await;
    broker.groups.expire_offsets().await;
    assert_eq!(offset(&broker, "t").await, Some(1));
    assert_eq!(offset(&broker, "u").await, None);
    assert_eq!(broker.groups.heartbeat(who(&a)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn groups_and_offsets_can_be_deleted() {
    let broker = Broker::start().await;
    let groups = &broker.groups;
    assert_eq!(groups.delete("g".into()).await, Err(Error::GroupIdNotFound));
    let a = stable_member(&broker, join("a")).await;
    for topic in ["t", "u", "v"] {
        assert_eq!(commit(&broker, who(&a), topic, 1).await, Ok(()));
    }
    assert_eq!(groups.delete("g".into()).await, Err(Error::NonEmptyGroup));
    let outcomes = groups
        .delete_offsets("g".into(), vec![tp("t", 0), tp("u", 0)])
        .await;
    let subscribed = Err(Error::GroupSubscribedToTopic);
    assert_eq!(
        outcomes,
        Ok(vec![(tp("t", 0), subscribed), (tp("u", 0), Ok(()))])
    );
    groups.forget_partitions(vec![tp("v", 0)]).await;
    assert_eq!(
        (offset(&broker, "u").await, offset(&broker, "v").await),
        (None, None)
    );
    assert_eq!(offset(&broker.successor().await, "t").await, Some(1));

    let leaving = LeavingMember {
        member_id: a.member_id,
        ..Default::default()
    };
    groups.leave("g".into(), vec![leaving]).await.unwrap();
    broker.log.hold();
    let deletion = groups.delete("g".into());
    tokio::pin!(deletion);
    assert!(poll!(&mut deletion).is_pending());
    let refused = groups.join(join("b")).await.unwrap_err();
    assert_eq!(
        refused.error,
        Error::CoordinatorNotAvailable,
        "while it is dying"
    );
    broker.log.release();
    assert_eq!(deletion.await, Ok(()));
    assert_eq!(groups.describe("g".into()).await, Ok(None));
    assert_eq!(
        broker.successor().await.groups.list().await.unwrap().groups,
        []
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_in_good_order_answers_the_writes_in_flight() {
    let log = Arc::new(FakeLog::new());
    let service = Service::new(
        Config::default(),
        Arc::clone(&log) as _,
        PausedClock::shared(),
        Metrics::new(Vec::new()),
    );
    let groups = service.handle();
    groups.load(groups.partition_for("g").unwrap(), 1);
    while groups.list().await.unwrap().loading {
        tokio::task::yield_now().await;
    }
    log.hold();
    let commit = groups.commit(commit_of(outside(""), "t", 1));
    tokio::pin!(commit);
    assert!(poll!(&mut commit).is_pending());
    let shutdown = Shutdown::new();
    let run = service.run(shutdown.clone());
    tokio::pin!(run);
    shutdown.request();
    assert!(poll!(&mut run).is_pending());
    assert_eq!(groups.list().await, Err(Error::CoordinatorNotAvailable));
    tokio::task::yield_now().await;
    log.release();
    run.await;
    assert_eq!(commit.await.unwrap(), [(tp("t", 0), Ok(()))]);
}

#[tokio::test(start_paused = true)]
async fn the_service_expires_offsets_by_itself() {
    let broker_log = Arc::new(FakeLog::new());
    let clock = PausedClock::shared();
    let service = Service::new(
        Config::default(),
        Arc::clone(&broker_log) as _,
        clock.clone(),
        Metrics::new(Vec::new()),
    );
    let groups = service.handle();
    let shutdown = Shutdown::new();
    let running = common::task::spawn("groups", service.run(shutdown.clone()));
    groups.load(groups.partition_for("g").unwrap(), 1);
    while groups.list().await.unwrap().loading {
        tokio::task::yield_now().await;
    }
    let outcomes = groups.commit(commit_of(outside(""), "t", 1)).await.unwrap();
    assert_eq!(outcomes[0].1, Ok(()));
    tokio::time::sleep(RETENTION + Duration::from_millis(600_001)).await;
    assert_eq!(groups.describe("g".into()).await, Ok(None));
    shutdown.request();
    running.await.unwrap();
}

/// What was committed behind a damaged batch was forgotten with it.
#[tokio::test(start_paused = true)]
async fn damage_in_the_log_costs_only_what_it_hides() {
    let broker = Broker::start().await;
    let partition = broker.groups.partition_for("g").unwrap();
    let commit = async |topic, offset| {
        let done = broker.groups.commit(commit_of(outside(""), topic, offset));
        assert_eq!(done.await.unwrap()[0].1, Ok(()));
    };
    commit("before", 1).await;
    commit("hidden", 2).await;
    broker.log.damage_last(partition);
    commit("behind", 3).await;
    commit("hidden-again", 4).await;
    broker.log.damage_last(partition);
    let next = broker.successor().await;
    let request = FetchRequest {
        group_id: "g".to_owned(),
        ..FetchRequest::default()
    };
    let fetched = next.groups.fetch(request).await.unwrap();
    let found = fetched.into_iter();
    let found: Vec<_> = found.map(|(at, _)| at.topic.as_str().to_owned()).collect();
    assert_eq!(found, ["before", "behind"]);
}
