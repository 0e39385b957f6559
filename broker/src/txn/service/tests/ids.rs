//! Who owns an id, and for how long.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_second_producer_waits_for_the_abort_and_fences_the_first() {
    let broker = Broker::start().await;
    let first = broker.open().await;
    assert_eq!(broker.init(None).await, Err(Error::ConcurrentTransactions));
    broker.reaches(State::CompleteAbort).await;
    let second = broker.init(None).await.unwrap();
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 2));
    assert_eq!(broker.add(first, &[0]).await, Err(Error::ProducerFenced));
    assert_eq!(
        broker.end(first, End::Commit).await,
        Err(Error::ProducerFenced)
    );
    broker.add(second, &[1]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_open_for_too_long_is_aborted() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.transactions.abort_late().await;
    assert_eq!(broker.describe().await.state, State::Ongoing);
    tokio::time::advance(Duration::from_millis(60_001)).await;
    broker.transactions.abort_late().await;
    broker.reaches(State::CompleteAbort).await;
    assert_eq!(broker.counted(Transactions::TimedOut), 1);
    assert_eq!(broker.counted(Transactions::Aborted), 1);
    let (_, marker) = broker.channel.sent(1).await.remove(0);
    assert_eq!(marker.producer.epoch, producer.epoch + 1);
    assert_eq!(
        broker.end(producer, End::Commit).await,
        Err(Error::ProducerFenced)
    );
}

#[tokio::test(start_paused = true)]
async fn idle_ids_are_removed_from_the_log_too() {
    let broker = Broker::start().await;
    broker.init(None).await.unwrap();
    broker.transactions.expire().await;
    assert_eq!(broker.transactions.list().await.unwrap().len(), 1);
    tokio::time::advance(Config::default().id_expiration).await;
    broker
        .log
        .fail_with(Some(state_log::Error::NotEnoughReplicas));
    broker.transactions.expire().await;
    assert_eq!(broker.transactions.list().await.unwrap().len(), 1);
    broker.log.fail_with(None);
    broker.transactions.expire().await;
    while !broker.transactions.list().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(broker.counted(Transactions::ExpiredIds), 1);
    let next = broker.successor(2).await;
    assert_eq!(next.transactions.list().await, Ok(Vec::new()));
    let described = next.transactions.describe(ID.to_owned()).await;
    assert_eq!(described, Err(Error::TransactionalIdNotFound));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_valid_is_refused_before_anything_else() {
    let broker = Broker::start().await;
    let init = |transactional_id: &str, timeout_ms| {
        let request = InitRequest {
            transactional_id: transactional_id.to_owned(),
            timeout_ms,
            expected: None,
        };
        broker.transactions.init(request, None)
    };
    assert_eq!(init("", 1).await, Err(Error::InvalidRequest));
    let timeout = Err(Error::InvalidTransactionTimeout);
    assert_eq!(init(ID, 0).await, timeout);
    assert_eq!(init(ID, -1).await, timeout);
    assert_eq!(init(ID, 900_001).await, timeout);
    assert_eq!(init(ID, 900_000).await, Ok(Initialized::NeedsProducerId));
    let unknown = Producer { id: 1, epoch: 0 };
    let refused = Err(Error::InvalidProducerIdMapping);
    assert_eq!(broker.add(unknown, &[0]).await, refused);
    assert_eq!(broker.end(unknown, End::Abort).await, refused);
    let described = broker.transactions.describe(String::new()).await;
    assert_eq!(described, Err(Error::InvalidRequest));
}
