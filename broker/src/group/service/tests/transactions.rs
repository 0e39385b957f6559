use super::*;
use crate::state_log::{self, Verification};

const PRODUCER: i64 = 7;

fn inside(member: MemberRef, topic: &str, offset: i64) -> CommitRequest {
    CommitRequest {
        transaction: Some(Transaction {
            producer_id: PRODUCER,
            producer_epoch: 1,
            verification: Verification::NotRequired,
        }),
        ..commit_of(member, topic, offset)
    }
}

async fn commit(broker: &Broker, request: CommitRequest) -> Result<(), Error> {
    broker.groups.commit(request).await.unwrap()[0].1
}

/// `Err` while a commit is not decided.
async fn stable(broker: &Broker, topic: &str) -> Result<Option<i64>, Error> {
    let request = FetchRequest {
        group_id: "g".into(),
        partitions: Some(vec![tp(topic, 0)]),
        require_stable: true,
    };
    let found = broker.groups.fetch(request).await.unwrap().remove(0).1;
    found.map(|committed| committed.map(|committed| committed.offset))
}

async fn end(broker: &Broker, commit: bool) -> Result<(), state_log::Error> {
    let end = TransactionEnd {
        producer_id: PRODUCER,
        producer_epoch: 1,
        coordinator_epoch: 3,
        commit,
    };
    let partition = broker.groups.partition_for("g").unwrap();
    broker.groups.end_transaction(partition, end).await
}

const UNSTABLE: Result<Option<i64>, Error> = Err(Error::UnstableOffsetCommit);

#[tokio::test(start_paused = true)]
async fn offsets_count_when_their_transaction_is_committed() {
    let broker = Broker::start().await;
    assert_eq!(commit(&broker, inside(outside(""), "t", 5)).await, Ok(()));
    assert_eq!(stable(&broker, "t").await, UNSTABLE);
    end(&broker, true).await.unwrap();
    assert_eq!(stable(&broker, "t").await, Ok(Some(5)));
    assert_eq!(commit(&broker, inside(outside(""), "t", 9)).await, Ok(()));
    end(&broker, false).await.unwrap();
    assert_eq!(stable(&broker, "t").await, Ok(Some(5)));
}

#[tokio::test(start_paused = true)]
async fn open_transactions_survive_a_reload_and_end_after_it() {
    for (committed, expected) in [(true, Some(5)), (false, None)] {
        let broker = Broker::start().await;
        commit(&broker, inside(outside(""), "t", 5)).await.unwrap();
        let successor = broker.successor().await;
        assert_eq!(stable(&successor, "t").await, UNSTABLE);
        end(&successor, committed).await.unwrap();
        assert_eq!(stable(&successor, "t").await, Ok(expected));
        let next = successor.successor().await;
        assert_eq!(stable(&next, "t").await, Ok(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_commit_inside_a_transaction() {
    let broker = Broker::start().await;
    let a = stable_member(&broker, join("a")).await;
    // Producers of before KIP-447 bring neither member nor generation.
    assert_eq!(commit(&broker, inside(outside(""), "t", 1)).await, Ok(()));
    assert_eq!(commit(&broker, inside(who(&a), "t", 1)).await, Ok(()));
    let stale = MemberRef {
        generation: 0,
        ..who(&a)
    };
    let illegal = commit(&broker, inside(stale, "t", 1)).await;
    assert_eq!(illegal, Err(Error::IllegalGeneration));
    let unknown = commit(&broker, inside(outside("x"), "t", 1)).await;
    assert_eq!(unknown, Err(Error::UnknownMemberId));
    let static_member = MemberRef {
        instance_id: Some("i".into()),
        ..outside("")
    };
    let unknown = commit(&broker, inside(static_member, "t", 1)).await;
    assert_eq!(unknown, Err(Error::UnknownMemberId));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_offset_does_not_come_back_with_its_transaction() {
    let broker = Broker::start().await;
    commit(&broker, inside(outside(""), "t", 5)).await.unwrap();
    broker.groups.forget_partitions(vec![tp("t", 0)]).await;
    end(&broker, true).await.unwrap();
    assert_eq!(stable(&broker, "t").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_refused_marker_ends_nothing() {
    let broker = Broker::start().await;
    commit(&broker, inside(outside(""), "t", 5)).await.unwrap();
    for failure in [
        state_log::Error::ProducerFenced,
        state_log::Error::CoordinatorFenced,
        state_log::Error::NotEnoughReplicas,
    ] {
        broker.log.fail_with(Some(failure));
        assert_eq!(end(&broker, true).await, Err(failure));
    }
    broker
        .log
        .fail_with(Some(state_log::Error::NotInTransaction));
    let refused = commit(&broker, inside(outside(""), "u", 5)).await;
    assert_eq!(refused, Err(Error::InvalidTxnState));
    broker.log.fail_with(None);
    assert_eq!(stable(&broker, "t").await, UNSTABLE);
    end(&broker, true).await.unwrap();
    assert_eq!(stable(&broker, "t").await, Ok(Some(5)));
    let elsewhere = TransactionEnd {
        producer_id: PRODUCER,
        producer_epoch: 1,
        coordinator_epoch: 3,
        commit: true,
    };
    let unknown = broker.groups.end_transaction(1_000, elsewhere).await;
    assert_eq!(unknown, Err(state_log::Error::NotLeader));
}
