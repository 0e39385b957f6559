//! Shards come and go with the leadership of their partition.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_lead_sends_clients_away() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    let partition = broker.transactions.partition_for(ID).unwrap();
    broker.transactions.unload(partition, None);
    assert_eq!(broker.init(None).await, Err(Error::NotCoordinator));
    assert_eq!(broker.add(producer, &[1]).await, Err(Error::NotCoordinator));
    broker.log.allow_reads(false);
    broker.transactions.load(partition, 2);
    assert_eq!(
        broker.add(producer, &[1]).await,
        Err(Error::CoordinatorLoadInProgress)
    );
    assert_eq!(
        broker.transactions.list().await,
        Err(Error::CoordinatorLoadInProgress)
    );
    broker.log.allow_reads(true);
    broker.loaded().await;
    broker.add(producer, &[1]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_newer_epoch_of_a_led_partition_is_the_coordinators_from_then_on() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.load(7);
    broker.hears_of_itself(7);
    broker.loaded().await;
    broker.load(3);
    broker.end(producer, End::Commit).await.unwrap();
    let (_, marker) = broker.channel.sent(1).await.remove(0);
    assert_eq!(marker.coordinator_epoch, 7);
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_what_is_being_written() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.log.hold();
    let mut ending = Box::pin(broker.end(producer, End::Commit));
    assert!(futures::poll!(&mut ending).is_pending());
    tokio::task::yield_now().await;
    let mut stopping = Box::pin(broker.transactions.0.shards.stop());
    assert!(futures::poll!(&mut stopping).is_pending());
    broker.log.release();
    assert_eq!(ending.await, Ok(()));
    stopping.await;
    assert_eq!(
        broker.transactions.list().await,
        Err(Error::CoordinatorNotAvailable)
    );
}
