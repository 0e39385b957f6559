//! Whole scenarios over a log in memory, in paused time.

mod ids;
mod leadership;
mod log;
mod markers;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::*;
use crate::metrics::Transactions;
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
    metrics: Arc<Metrics>,
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
        let metrics = Metrics::new(Vec::new());
        let service = Service::new(
            Config::default(),
            Arc::clone(&log) as _,
            Arc::clone(&cluster),
            Arc::clone(&channel) as _,
            Arc::clone(&clock),
            Arc::clone(&metrics),
        );
        let broker = Self {
            log,
            clock,
            cluster,
            channel,
            metrics,
            transactions: service.handle(),
        };
        broker.load(epoch);
        broker.loaded().await;
        broker
    }

    fn counted(&self, what: Transactions) -> u64 {
        self.metrics.transactions.get(what)
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
