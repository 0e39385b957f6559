//! The way of decided ends to the leaders of their partitions.
//!
//! Flow: a shard hands in an [`Order`] -> the queue of the broker that leads the
//! partitions -> one request with all that waits there -> an [`Answer`] to the
//! shard for each order. A shard decides what is sent again, and where.
//! State: one task per broker owns its connection's turn, so that markers reach a
//! broker in the order in which they were handed in.
//!
//! A queue holds at most one order per transaction and partition, so what bounds
//! it is the number of transactions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::shutdown::Shutdown;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::Producer;
use super::state::End;
use crate::cluster::Cluster;
use crate::model::{BrokerId, TRANSACTION_STATE_TOPIC, TopicPartition};

/// The most orders that one request carries.
const ORDERS_MAX: usize = 1_000;

/// The end of one producer's transaction for some partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    pub producer: Producer,
    /// Of the coordinator that decided; leaders refuse those of older ones.
    pub coordinator_epoch: i32,
    pub end: End,
    pub partitions: Vec<TopicPartition>,
}

/// What a leader did with a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerOutcome {
    Written,
    /// Not now, or not there; with Kafka's code.
    Retriable(i16),
    /// A newer coordinator or producer has the word: nothing more is to be done.
    Fenced(i16),
    /// The partition can hold no marker, and so no record of the transaction.
    Unsupported(i16),
}

/// What came of one marker.
pub type MarkerResult = Vec<(TopicPartition, MarkerOutcome)>;

/// The broker did not answer; the markers may have been written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ChannelError(pub String);

/// Carries markers to a broker, which may be this one.
pub trait MarkerChannel: Send + Sync + 'static {
    /// One result for each marker, in their order.
    fn write(
        &self,
        to: BrokerId,
        markers: Vec<Marker>,
    ) -> BoxFuture<'static, Result<Vec<MarkerResult>, ChannelError>>;
}

/// A marker on its way, and whose it is.
pub(super) struct Order {
    pub(super) transactional_id: String,
    pub(super) marker: Marker,
    pub(super) answers: mpsc::UnboundedSender<Answer>,
}

/// What a shard hears of an order.
pub(super) struct Answer {
    pub(super) transactional_id: String,
    pub(super) marker: Marker,
    /// `None` when the broker did not answer.
    pub(super) result: Option<MarkerResult>,
}

/// Where the partitions of a marker are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Destinations {
    pub(super) by_leader: BTreeMap<BrokerId, Vec<TopicPartition>>,
    /// Without a leader that is alive.
    pub(super) leaderless: Vec<TopicPartition>,
    /// Not in the cluster any more.
    pub(super) deleted: Vec<TopicPartition>,
}

/// Sends markers; cheap to clone.
#[derive(Clone)]
pub(super) struct Sender(Arc<Shared>);

struct Shared {
    cluster: Arc<Cluster>,
    channel: Arc<dyn MarkerChannel>,
    queues: Mutex<HashMap<BrokerId, mpsc::UnboundedSender<Order>>>,
    stop: Shutdown,
}

impl Sender {
    pub(super) fn new(cluster: Arc<Cluster>, channel: Arc<dyn MarkerChannel>) -> Self {
        Self(Arc::new(Shared {
            cluster,
            channel,
            queues: Mutex::default(),
            stop: Shutdown::new(),
        }))
    }

    /// Nothing is sent any more.
    pub(super) fn stop(&self) {
        self.0.stop.request();
        self.0.queues.lock().clear();
    }

    /// Says whether this broker has heard of `partition` of the internal topic in
    /// the epoch in which it leads it. What it knows of others is of the same time
    /// then; before, a partition that it does not know need not be deleted.
    pub(super) fn knows(&self, partition: i32, leader_epoch: i32) -> bool {
        let snapshot = self.0.cluster.snapshot();
        let known = snapshot.partition(TRANSACTION_STATE_TOPIC, partition);
        known.is_some_and(|known| known.state.leader_epoch >= leader_epoch)
    }

    /// Looks up the leaders as this broker knows them now.
    pub(super) fn destinations(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Destinations {
        let snapshot = self.0.cluster.snapshot();
        let mut found = Destinations::default();
        for id in partitions {
            let Some(partition) = snapshot.partition(id.topic.as_str(), id.partition) else {
                found.deleted.push(id);
                continue;
            };
            let leader = partition.state.leader;
            match snapshot.brokers.contains_key(&leader) {
                true => found.by_leader.entry(leader).or_default().push(id),
                false => found.leaderless.push(id),
            }
        }
        found
    }

    /// Puts an order into the queue of `broker`. Must be called within a tokio
    /// runtime; returns at once.
    pub(super) fn send(&self, broker: BrokerId, order: Order) {
        if self.0.stop.is_requested() {
            return;
        }
        let mut queues = self.0.queues.lock();
        let queue = queues.entry(broker).or_insert_with(|| {
            let (sender, orders) = mpsc::unbounded_channel();
            let (channel, stop) = (self.0.channel.clone(), self.0.stop.clone());
            let run = async move {
                tokio::select! {
                    () = stop.requested() => {}
                    () = carry(broker, &*channel, orders) => {}
                }
            };
            common::task::spawn("transaction markers", run);
            sender
        });
        // The task takes orders until its queue is closed.
        let _ = queue.send(order);
    }
}

/// Sends what is in the queue, one request at a time.
async fn carry(
    broker: BrokerId,
    channel: &dyn MarkerChannel,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut batch = Vec::new();
    while orders.recv_many(&mut batch, ORDERS_MAX).await > 0 {
        let markers = batch.iter().map(|order: &Order| order.marker.clone());
        let mut results = match channel.write(broker, markers.collect()).await {
            Ok(results) => results.into_iter().map(Some).collect(),
            Err(error) => {
                tracing::info!(broker, %error, "transaction markers were not answered");
                Vec::new()
            }
        };
        results.resize(batch.len(), None);
        for (order, result) in batch.drain(..).zip(results) {
            // The shard may have ended meanwhile.
            let _ = order.answers.send(Answer {
                transactional_id: order.transactional_id,
                marker: order.marker,
                result,
            });
        }
    }
}
