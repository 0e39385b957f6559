use super::*;

/// Kafka's tutorial: two consumers, one partition, so that one is idle.
#[tokio::test(start_paused = true)]
async fn a_second_consumer_of_one_partition_is_idle() {
    let broker = Broker::start().await;
    let groups = &broker.groups;
    let a = stable_member(&broker, join("a")).await;
    assert_eq!((a.generation, &a.leader), (1, &a.member_id));
    assert_eq!(groups.heartbeat(who(&a)).await, Ok(()));

    let new = JoinRequest {
        member_id_required: true,
        ..join("b")
    };
    let refused = groups.join(new).await.unwrap_err();
    assert_eq!(refused.error, Error::MemberIdRequired);
    assert!(refused.member_id.starts_with("b-"));
    let b_joins = groups.join(rejoin("b", &refused.member_id));
    tokio::pin!(b_joins);
    assert!(poll!(&mut b_joins).is_pending());
    assert_eq!(
        groups.heartbeat(who(&a)).await,
        Err(Error::RebalanceInProgress)
    );

    let a = groups.join(rejoin("a", &a.member_id)).await.unwrap();
    let b = b_joins.await.unwrap();
    assert_eq!((a.generation, b.generation), (2, 2));
    assert_eq!((a.members.len(), b.members.len()), (2, 0));
    assert_eq!(b.leader, a.member_id);
    assert_eq!(broker.phase().await, Phase::CompletingRebalance);

    let b_syncs = groups.sync(sync(&b, &[]));
    tokio::pin!(b_syncs);
    assert!(poll!(&mut b_syncs).is_pending());
    let a_synced = groups
        .sync(sync(&a, &[(&a.member_id, "t-0")]))
        .await
        .unwrap();
    assert_eq!(a_synced.assignment, "t-0");
    assert_eq!(b_syncs.await.unwrap().assignment, "");
    let described = broker.describe().await;
    assert_eq!(
        (described.phase, described.protocol.as_str()),
        (Phase::Stable, "range")
    );
    assert_eq!(described.members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_initial_delay_gathers_members_into_one_generation() {
    let broker = Broker::start().await;
    let start = broker.clock.monotonic();
    let [a, b, c] = ["a", "b", "c"].map(|client| broker.groups.join(join(client)));
    let (a, b, c) = tokio::join!(a, b, c);
    let generations = [a, b, c].map(|joined| joined.unwrap().generation);
    assert_eq!(generations, [1, 1, 1]);
    // The first joined an empty group; the others made it wait once more.
    assert_eq!(
        broker.clock.monotonic() - start,
        Duration::from_millis(6_000)
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_makes_the_others_rebalance() {
    let broker = Broker::start().await;
    let groups = &broker.groups;
    let (a, b) = tokio::join!(groups.join(join("a")), groups.join(join("b")));
    let (a, b) = (a.unwrap(), b.unwrap());
    let (leader, follower) = if a.leader == a.member_id {
        (a, b)
    } else {
        (b, a)
    };
    let leader_syncs = groups.sync(sync(&leader, &[]));
    let (x, y) = tokio::join!(leader_syncs, groups.sync(sync(&follower, &[])));
    assert!(x.is_ok() && y.is_ok());

    let leaving = LeavingMember {
        member_id: leader.member_id.clone(),
        ..Default::default()
    };
    let stranger = LeavingMember {
        member_id: "x".into(),
        ..Default::default()
    };
    let outcomes = groups.leave("g".into(), vec![leaving, stranger]).await;
    assert_eq!(outcomes, Ok(vec![Ok(()), Err(Error::UnknownMemberId)]));
    assert_eq!(
        groups.heartbeat(who(&leader)).await,
        Err(Error::UnknownMemberId)
    );
    assert_eq!(
        groups.heartbeat(who(&follower)).await,
        Err(Error::RebalanceInProgress)
    );
    let next = groups.join(rejoin("b", &follower.member_id)).await.unwrap();
    assert_eq!((next.generation, &next.leader), (2, &follower.member_id));

    let leaving = LeavingMember {
        member_id: next.member_id,
        ..Default::default()
    };
    assert_eq!(
        groups.leave("g".into(), vec![leaving]).await,
        Ok(vec![Ok(())])
    );
    assert_eq!(broker.phase().await, Phase::Empty);
    assert_eq!(broker.successor().await.phase().await, Phase::Empty);
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_put_out_when_its_session_ends() {
    let broker = Broker::start().await;
    let a = stable_member(&broker, join("a")).await;
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(broker.groups.heartbeat(who(&a)).await, Ok(()));
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(broker.phase().await, Phase::Stable);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(
        broker.groups.heartbeat(who(&a)).await,
        Err(Error::UnknownMemberId)
    );
    assert_eq!(broker.phase().await, Phase::Empty);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_rejoin_in_time_is_put_out() {
    let broker = Broker::start().await;
    let a = stable_member(&broker, join("a")).await;
    let start = broker.clock.monotonic();
    let b_joins = broker.groups.join(join("b"));
    let a_lives_on = async {
        // It heartbeats but never rejoins.
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(7_000)).await;
            let heard = broker.groups.heartbeat(who(&a)).await;
            assert_eq!(heard, Err(Error::RebalanceInProgress));
        }
    };
    let (b, ()) = tokio::join!(b_joins, a_lives_on);
    let b = b.unwrap();
    assert_eq!(
        broker.clock.monotonic() - start,
        Duration::from_millis(30_000)
    );
    assert_eq!(
        (b.generation, &b.leader, b.members.len()),
        (2, &b.member_id, 1)
    );
    assert_eq!(
        broker.groups.heartbeat(who(&a)).await,
        Err(Error::UnknownMemberId)
    );
}

#[tokio::test(start_paused = true)]
async fn a_static_member_comes_back_without_a_rebalance() {
    let broker = Broker::start().await;
    let groups = &broker.groups;
    let old = stable_member(&broker, fixed("a", "i")).await;
    let back = JoinRequest {
        skip_assignment_supported: true,
        ..fixed("a", "i")
    };
    let new = groups.join(back).await.unwrap();
    assert_eq!(new.generation, old.generation);
    assert_ne!(new.member_id, old.member_id);
    assert!(new.skip_assignment && new.leader == new.member_id);
    assert_eq!(broker.phase().await, Phase::Stable);
    let synced = groups.sync(sync(&new, &[])).await.unwrap();
    assert_eq!(synced.assignment, "t-0");

    let with_instance = |joined: &Joined| MemberRef {
        instance_id: Some("i".into()),
        ..who(joined)
    };
    assert_eq!(
        groups.heartbeat(with_instance(&old)).await,
        Err(Error::FencedInstanceId)
    );
    assert_eq!(groups.heartbeat(with_instance(&new)).await, Ok(()));
    let successor = broker.successor().await;
    assert_eq!(
        successor.groups.heartbeat(with_instance(&new)).await,
        Ok(())
    );
    let by_instance = LeavingMember {
        instance_id: Some("i".into()),
        ..Default::default()
    };
    let outcomes = successor.groups.leave("g".into(), vec![by_instance]).await;
    assert_eq!(outcomes, Ok(vec![Ok(())]));
    assert_eq!(successor.phase().await, Phase::Empty);
}

#[tokio::test(start_paused = true)]
async fn requests_that_do_not_fit_the_group_are_refused() {
    let broker = Broker::start().await;
    let groups = &broker.groups;
    let a = stable_member(&broker, join("a")).await;
    let wrong = MemberRef {
        generation: 9,
        ..who(&a)
    };
    assert_eq!(groups.heartbeat(wrong).await, Err(Error::IllegalGeneration));
    let stale = SyncRequest {
        generation: 0,
        ..sync(&a, &[])
    };
    assert_eq!(groups.sync(stale).await, Err(Error::IllegalGeneration));
    let other = SyncRequest {
        protocol_name: Some("x".into()),
        ..sync(&a, &[])
    };
    assert_eq!(
        groups.sync(other).await,
        Err(Error::InconsistentGroupProtocol)
    );
    for (request, error) in [
        (
            JoinRequest {
                session_timeout_ms: 5_999,
                ..join("b")
            },
            Error::InvalidSessionTimeout,
        ),
        (
            JoinRequest {
                group_id: String::new(),
                ..join("b")
            },
            Error::InvalidGroupId,
        ),
        (
            JoinRequest {
                protocol_type: "connect".into(),
                ..join("b")
            },
            Error::InconsistentGroupProtocol,
        ),
        (
            JoinRequest {
                member_id: "nobody".into(),
                ..join("b")
            },
            Error::UnknownMemberId,
        ),
        (
            JoinRequest {
                member_id: "x".into(),
                group_id: "h".into(),
                ..join("b")
            },
            Error::UnknownMemberId,
        ),
    ] {
        assert_eq!(groups.join(request).await.unwrap_err().error, error);
    }
    assert_eq!(broker.phase().await, Phase::Stable);
}

#[tokio::test(start_paused = true)]
async fn members_go_on_after_a_failover() {
    let broker = Broker::start().await;
    let a = stable_member(&broker, join("a")).await;
    let before = broker.describe().await;
    let successor = broker.successor().await;
    assert_eq!(successor.describe().await, before);
    assert_eq!(successor.groups.heartbeat(who(&a)).await, Ok(()));
    assert_eq!(
        successor
            .groups
            .sync(sync(&a, &[]))
            .await
            .unwrap()
            .assignment,
        "t-0"
    );
    // Sessions begin anew: who stays away is noticed.
    tokio::time::advance(Duration::from_millis(10_000)).await;
    assert_eq!(
        successor.groups.heartbeat(who(&a)).await,
        Err(Error::UnknownMemberId)
    );
}

#[tokio::test(start_paused = true)]
async fn while_loading_members_are_told_to_be_patient() {
    let broker = Broker::start().await;
    let a = stable_member(&broker, join("a")).await;
    let groups = &broker.groups;
    let partition = groups.partition_for("g").unwrap();
    broker.log.allow_reads(false);
    groups.unload(partition, Some(2));
    assert_eq!(groups.heartbeat(who(&a)).await, Err(Error::NotCoordinator));
    groups.load(partition, 1);
    assert_eq!(
        groups.heartbeat(who(&a)).await,
        Err(Error::NotCoordinator),
        "an old epoch"
    );
    groups.load(partition, 3);
    assert_eq!(groups.heartbeat(who(&a)).await, Ok(()));
    assert_eq!(
        groups.sync(sync(&a, &[])).await,
        Err(Error::RebalanceInProgress)
    );
    let refused = groups.join(join("b")).await.unwrap_err();
    assert_eq!(refused.error, Error::CoordinatorLoadInProgress);
    assert!(groups.list().await.unwrap().loading);
    broker.log.allow_reads(true);
    broker.loaded().await;
    groups.unload(partition, Some(2));
    assert_eq!(
        broker.phase().await,
        Phase::Stable,
        "an old epoch unloads nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_sent_away_when_the_partition_moves() {
    let broker = Broker::start().await;
    let partition = broker.groups.partition_for("g").unwrap();
    let joins = broker.groups.join(join("a"));
    tokio::pin!(joins);
    assert!(poll!(&mut joins).is_pending());
    broker.groups.unload(partition, None);
    assert_eq!(joins.await.unwrap_err().error, Error::NotCoordinator);
}

#[tokio::test(start_paused = true)]
async fn an_assignment_that_cannot_be_stored_starts_a_new_rebalance() {
    let broker = Broker::start().await;
    let joined = broker.groups.join(join("a")).await.unwrap();
    for (failure, heard) in [
        (state_log_error::NotLeader, Error::NotCoordinator),
        (
            state_log_error::NotEnoughReplicas,
            Error::CoordinatorNotAvailable,
        ),
    ] {
        broker.log.fail_with(Some(failure));
        let joined = match broker.groups.join(rejoin("a", &joined.member_id)).await {
            Ok(joined) => joined,
            Err(failure) => panic!("{failure:?}"),
        };
        assert_eq!(broker.groups.sync(sync(&joined, &[])).await, Err(heard));
        assert_eq!(broker.phase().await, Phase::PreparingRebalance);
    }
    broker.log.fail_with(None);
    let joined = broker
        .groups
        .join(rejoin("a", &joined.member_id))
        .await
        .unwrap();
    assert!(broker.groups.sync(sync(&joined, &[])).await.is_ok());
    assert_eq!(broker.phase().await, Phase::Stable);
}

use crate::state_log::Error as state_log_error;

#[tokio::test(start_paused = true)]
async fn a_group_that_is_full_takes_nobody() {
    let config = Config {
        size_max: 1,
        ..Config::default()
    };
    let log = Arc::new(FakeLog::new());
    let broker = Broker::start_with(log, PausedClock::shared(), config).await;
    let a = stable_member(&broker, join("a")).await;
    let refused = broker.groups.join(join("b")).await.unwrap_err();
    assert_eq!(refused.error, Error::GroupMaxSizeReached);
    assert_eq!(broker.groups.heartbeat(who(&a)).await, Ok(()));
}
