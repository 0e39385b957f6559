//! Ends that are decided reach the partitions, whatever happens on the way.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_commit_reaches_every_partition_and_is_complete_then() {
    let broker = Broker::start().await;
    let producer = broker.init(None).await.unwrap();
    assert_eq!(
        producer,
        Producer {
            id: 4_000,
            epoch: 0
        }
    );
    broker.leads(1, 2);
    broker.add(producer, &[0]).await.unwrap();
    broker.add(producer, &[1]).await.unwrap();
    let verified = broker.transactions.verify(
        reference(producer),
        vec![partition(1), partition(2), partition(0)],
    );
    assert_eq!(verified.await, Ok(vec![true, false, true]));
    let open = broker.describe().await;
    assert_eq!(open.state, State::Ongoing);
    assert_eq!(open.partitions, [partition(0), partition(1)]);
    broker.end(producer, End::Commit).await.unwrap();
    let mut sent = broker.channel.sent(2).await;
    sent.sort_by_key(|(to, _)| *to);
    let marker = |index| Marker {
        producer,
        coordinator_epoch: 1,
        end: End::Commit,
        partitions: vec![partition(index)],
    };
    assert_eq!(sent, [(LEADER, marker(0)), (2, marker(1))]);
    broker.reaches(State::CompleteCommit).await;
    assert_eq!(broker.counted(Transactions::Committed), 1);
    assert_eq!(broker.counted(Transactions::Aborted), 0);
    assert_eq!(broker.end(producer, End::Commit).await, Ok(()), "again");
    assert_eq!(
        broker.end(producer, End::Abort).await,
        Err(Error::InvalidTxnState)
    );
    let after = broker.successor(2).await.describe().await;
    assert_eq!(after, broker.describe().await, "the log says the same");
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_goes_on_after_a_failover() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.channel.is_open.send_replace(false);
    broker.end(producer, End::Abort).await.unwrap();
    broker.channel.sent(1).await;
    assert_eq!(broker.describe().await.state, State::PrepareAbort);
    let census = broker.transactions.census().await;
    assert_eq!(census.ids, [(State::PrepareAbort, 1)].into());
    assert_eq!(census.markers_waiting, 1);
    let later = broker.successor(5).await;
    let (_, marker) = later.channel.sent(1).await.remove(0);
    assert_eq!((marker.coordinator_epoch, marker.end), (5, End::Abort));
    assert_eq!(marker.partitions, [partition(0)]);
    later.reaches(State::CompleteAbort).await;
    // What the former coordinator hears now changes nothing for it.
    broker.channel.next([Some(MarkerOutcome::Fenced(52))]);
}

#[tokio::test(start_paused = true)]
async fn markers_are_sent_until_they_are_written() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    let not_leader = MarkerOutcome::Retriable(6);
    broker.channel.next([Some(not_leader), None]);
    broker.end(producer, End::Commit).await.unwrap();
    broker.channel.sent(2).await;
    broker.leads(0, 2);
    broker.reaches(State::CompleteCommit).await;
    let sent = broker.channel.sent(3).await;
    let to: Vec<_> = sent.iter().map(|(to, _)| *to).collect();
    assert_eq!(to, [LEADER, LEADER, 2], "to the new leader in the end");
}

#[tokio::test(start_paused = true)]
async fn partitions_without_a_leader_are_waited_for_and_deleted_ones_are_not() {
    let broker = Broker::start().await;
    let producer = broker.init(None).await.unwrap();
    broker.add(producer, &[0, 1]).await.unwrap();
    broker.leads(0, NO_LEADER);
    broker.leads(1, LEADER_DURING_DELETE);
    tokio::time::advance(Duration::from_secs(10)).await;
    broker.end(producer, End::Commit).await.unwrap();
    while broker.describe().await.partitions != [partition(0)] {
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(broker.describe().await.state, State::PrepareCommit);
    broker.leads(0, LEADER);
    broker.reaches(State::CompleteCommit).await;
    assert_eq!(broker.channel.sent(1).await.len(), 1);
}

/// A broker that takes over hears that it leads before it hears where partitions
/// are; what it does not know then is not deleted.
#[tokio::test(start_paused = true)]
async fn nothing_is_dropped_before_the_cluster_is_known() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.channel.is_open.send_replace(false);
    broker.end(producer, End::Commit).await.unwrap();
    let (log, clock) = (Arc::clone(&broker.log), Arc::clone(&broker.clock));
    let next = Broker::start_with(log, clock, Arc::new(Cluster::default()), 2).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(next.describe().await.partitions, [partition(0)]);
    let (log, clock) = (Arc::clone(&broker.log), Arc::clone(&broker.clock));
    let young = Broker::start_with(log, clock, Arc::new(Cluster::default()), 3).await;
    young.hears_of_itself(3);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(young.describe().await.partitions, [partition(0)]);
    young.leads(0, LEADER);
    young.reaches(State::CompleteCommit).await;
    assert_eq!(young.channel.sent(1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn partitions_that_can_hold_no_marker_are_left_out() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.channel.next([Some(MarkerOutcome::Unsupported(43))]);
    broker.end(producer, End::Commit).await.unwrap();
    broker.reaches(State::CompleteCommit).await;
}

#[tokio::test(start_paused = true)]
async fn a_fenced_coordinator_leaves_the_transaction_to_the_next() {
    let broker = Broker::start().await;
    let producer = broker.open().await;
    broker.channel.next([Some(MarkerOutcome::Fenced(52))]);
    broker.end(producer, End::Commit).await.unwrap();
    broker.channel.sent(1).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(broker.describe().await.state, State::PrepareCommit);
    assert_eq!(broker.channel.sent(1).await.len(), 1, "not sent again");
    assert_eq!(broker.init(None).await, Err(Error::ConcurrentTransactions));
    let next = broker.successor(2).await;
    next.reaches(State::CompleteCommit).await;
}
