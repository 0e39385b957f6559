//! A log that cannot be written, or not yet.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_written_refuses_with_what_clients_retry_on() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    for (failure, expected) in [
        (
            state_log::Error::NotEnoughReplicas,
            Error::CoordinatorNotAvailable,
        ),
        (state_log::Error::Timeout, Error::CoordinatorNotAvailable),
        (state_log::Error::NotLeader, Error::NotCoordinator),
        (state_log::Error::TooLarge, Error::Broken),
    ] {
        broker.log.fail_with(Some(failure));
        assert_eq!(broker.end(producer, End::Commit).await, Err(expected));
        assert_eq!(broker.add(producer, &[1]).await, Err(expected));
        assert_eq!(broker.describe().await.state, State::Ongoing);
    }
    broker.log.fail_with(None);
    broker.end(producer, End::Commit).await.unwrap();
    broker.reaches(State::CompleteCommit).await;
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_cannot_be_written_holds_all_the_same() {
    let broker = Broker::start().await;
    let first = broker.open().await;
    broker
        .log
        .fail_with(Some(state_log::Error::NotEnoughReplicas));
    for _ in 0..2 {
        assert_eq!(broker.init(None).await, Err(Error::CoordinatorNotAvailable));
    }
    broker.log.fail_with(None);
    assert_eq!(
        broker.end(first, End::Commit).await,
        Err(Error::ProducerFenced)
    );
    assert_eq!(broker.init(None).await, Err(Error::ConcurrentTransactions));
    broker.reaches(State::CompleteAbort).await;
    assert_eq!(broker.init(None).await.unwrap().epoch, first.epoch + 2);
}

#[tokio::test(start_paused = true)]
async fn that_a_transaction_is_complete_is_written_when_it_can_be() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.channel.is_open.send_replace(false);
    broker.end(producer, End::Commit).await.unwrap();
    broker.channel.sent(1).await;
    broker
        .log
        .fail_with(Some(state_log::Error::NotEnoughReplicas));
    broker.channel.is_open.send_replace(true);
    while !broker.describe().await.partitions.is_empty() {
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(broker.describe().await.state, State::PrepareCommit);
    broker.log.fail_with(None);
    broker.reaches(State::CompleteCommit).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_committed_yet_is_not_answered_and_lets_nobody_by() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.log.hold();
    let mut ending = Box::pin(broker.end(producer, End::Commit));
    assert!(futures::poll!(&mut ending).is_pending());
    assert_eq!(
        broker.end(producer, End::Commit).await,
        Err(Error::ConcurrentTransactions)
    );
    assert_eq!(
        broker.add(producer, &[1]).await,
        Err(Error::ConcurrentTransactions)
    );
    assert_eq!(broker.describe().await.state, State::Ongoing);
    broker.log.release();
    assert_eq!(ending.await, Ok(()));
    broker.reaches(State::CompleteCommit).await;
}
