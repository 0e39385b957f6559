//! Whole scenarios over a log in memory, in paused time.

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::*;
use crate::model::{BrokerId, LEADER_DURING_DELETE, TRANSACTION_STATE_TOPIC, TopicName};
use crate::protocol::interbroker::{
    ControlHeader, LiveBroker, PartitionState, UpdateMetadataRequest,
};
use crate::state_log;
use crate::state_log::fake::{FakeLog, PausedClock};
use crate::txn::{ChannelError, Marker, MarkerOutcome, MarkerResult, Producer, State};

const ID: &str = "orders";
const LEADER: BrokerId = 1;
const NO_LEADER: BrokerId = -1;
const TIMEOUT_MS: i32 = 60_000;

/// Takes the markers of all brokers.
struct FakeChannel {
    written: watch::Sender<Vec<(BrokerId, Marker)>>,
    /// What the next markers come to; all others are written.
    outcomes: Mutex<Vec<Option<MarkerOutcome>>>,
    is_open: watch::Sender<bool>,
}

impl FakeChannel {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            written: watch::Sender::default(),
            outcomes: Mutex::default(),
            is_open: watch::Sender::new(true),
        })
    }

    /// The next markers end so, `None` as no answer.
    fn next(&self, outcomes: impl IntoIterator<Item = Option<MarkerOutcome>>) {
        self.outcomes.lock().extend(outcomes);
    }

    /// The markers sent so far, once there are `count`.
    async fn sent(&self, count: usize) -> Vec<(BrokerId, Marker)> {
        let mut written = self.written.subscribe();
        let sent = written.wait_for(|sent| sent.len() >= count).await.unwrap();
        sent.clone()
    }
}

impl MarkerChannel for FakeChannel {
    fn write(
        &self,
        to: BrokerId,
        markers: Vec<Marker>,
    ) -> BoxFuture<'static, Result<Vec<MarkerResult>, ChannelError>> {
        let sent = markers.iter().cloned().map(|marker| (to, marker));
        self.written.send_modify(|written| written.extend(sent));
        let mut outcomes = self.outcomes.lock();
        let outcome = match outcomes.is_empty() {
            true => Some(MarkerOutcome::Written),
            false => outcomes.remove(0),
        };
        let result = |marker: Marker| -> MarkerResult {
            let outcome = outcome.unwrap_or(MarkerOutcome::Written);
            let partitions = marker.partitions.into_iter();
            partitions.map(|partition| (partition, outcome)).collect()
        };
        let answer = match outcome {
            Some(_) => Ok(markers.into_iter().map(result).collect()),
            None => Err(ChannelError("the connection broke".to_owned())),
        };
        let mut is_open = self.is_open.subscribe();
        async move {
            is_open.wait_for(|is_open| *is_open).await.unwrap();
            answer
        }
        .boxed()
    }
}

/// One broker with transactions over a log that may outlive it.
struct Broker {
    log: Arc<FakeLog>,
    clock: SharedClock,
    cluster: Arc<Cluster>,
    channel: Arc<FakeChannel>,
    transactions: Handle,
}

impl Broker {
    async fn start() -> Self {
        let cluster = Arc::new(Cluster::default());
        let broker = Self::start_with(Arc::new(FakeLog::new()), PausedClock::shared(), cluster, 1);
        let broker = broker.await;
        broker.hears_of_itself(1);
        broker.leads(0, LEADER);
        broker.leads(1, LEADER);
        broker
    }

    async fn start_with(
        log: Arc<FakeLog>,
        clock: SharedClock,
        cluster: Arc<Cluster>,
        epoch: LeaderEpoch,
    ) -> Self {
        let channel = FakeChannel::new();
        let service = Service::new(
            Config::default(),
            Arc::clone(&log) as _,
            Arc::clone(&cluster),
            Arc::clone(&channel) as _,
            Arc::clone(&clock),
        );
        let broker = Self {
            log,
            clock,
            cluster,
            channel,
            transactions: service.handle(),
        };
        broker.load(epoch);
        broker.loaded().await;
        broker
    }

    /// The next broker over the same log, as after a failover.
    async fn successor(&self, epoch: LeaderEpoch) -> Self {
        let (log, clock) = (Arc::clone(&self.log), Arc::clone(&self.clock));
        self.hears_of_itself(epoch);
        Self::start_with(log, clock, Arc::clone(&self.cluster), epoch).await
    }

    fn load(&self, epoch: LeaderEpoch) {
        for partition in 0..4 {
            self.transactions.load(partition, epoch);
        }
    }

    async fn loaded(&self) {
        while self.transactions.list().await == Err(Error::CoordinatorLoadInProgress) {
            tokio::task::yield_now().await;
        }
    }

    /// `leader` leads a partition of the topic from now on.
    fn leads(&self, index: i32, leader: BrokerId) {
        self.apply(vec![led(partition(index), leader, 0)]);
    }

    /// This broker's own leadership is in the cluster's metadata.
    fn hears_of_itself(&self, epoch: LeaderEpoch) {
        let topic = TopicName::new(TRANSACTION_STATE_TOPIC).unwrap();
        let states = (0..4).map(|index| {
            let id = TopicPartition::new(topic.clone(), index);
            led(id, LEADER, epoch)
        });
        self.apply(states.collect());
    }

    fn apply(&self, partitions: Vec<PartitionState>) {
        let live = |id| LiveBroker {
            id,
            epoch: 1,
            endpoints: Vec::new(),
            rack: None,
        };
        self.cluster.apply(&UpdateMetadataRequest {
            header: ControlHeader {
                controller_id: LEADER,
                controller_epoch: 1,
                broker_epoch: 1,
            },
            partitions,
            offline_replicas: Vec::new(),
            topic_ids: Vec::new(),
            live_brokers: vec![live(LEADER), live(2)],
        });
    }

    async fn init(&self, expected: Option<Producer>) -> Result<Producer, Error> {
        let request = InitRequest {
            transactional_id: ID.to_owned(),
            timeout_ms: TIMEOUT_MS,
            expected,
        };
        let asked = self.transactions.init(request.clone(), None).await?;
        match asked {
            Initialized::Owner(producer) => Ok(producer),
            Initialized::NeedsProducerId => {
                let asked = self.transactions.init(request, Some(4_000)).await?;
                let Initialized::Owner(producer) = asked else {
                    panic!("a producer id was given");
                };
                Ok(producer)
            }
        }
    }

    async fn add(&self, producer: Producer, indexes: &[i32]) -> Result<(), Error> {
        let partitions = indexes.iter().copied().map(partition).collect();
        self.transactions.add(reference(producer), partitions).await
    }

    async fn end(&self, producer: Producer, end: End) -> Result<(), Error> {
        self.transactions.end(reference(producer), end).await
    }

    async fn describe(&self) -> Description {
        self.transactions.describe(ID.to_owned()).await.unwrap()
    }

    /// Waits for the state; time passes meanwhile.
    async fn reaches(&self, state: State) {
        while self.describe().await.state != state {
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }

    /// A transaction that is open with partition 0.
    async fn open(&self) -> Producer {
        let producer = self.init(None).await.unwrap();
        self.add(producer, &[0]).await.unwrap();
        producer
    }
}

fn led(topic_partition: TopicPartition, leader: BrokerId, leader_epoch: i32) -> PartitionState {
    PartitionState {
        topic_partition,
        controller_epoch: 1,
        leader,
        leader_epoch,
        isr: vec![LEADER],
        partition_epoch: 0,
        replicas: vec![LEADER],
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
        is_new: false,
        leader_recovery_state: 0,
    }
}

fn reference(producer: Producer) -> TransactionRef {
    TransactionRef {
        transactional_id: ID.to_owned(),
        producer,
    }
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), index)
}

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
    let next = broker.successor(2).await;
    assert_eq!(next.transactions.list().await, Ok(Vec::new()));
    let described = next.transactions.describe(ID.to_owned()).await;
    assert_eq!(described, Err(Error::TransactionalIdNotFound));
}

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
