//! What administrators ask about transactions and their producers (KIP-664).

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::list_transactions_response::TransactionState as Listing;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    DescribeProducersRequest, DescribeTransactionsRequest, FindCoordinatorRequest,
    ListTransactionsRequest, ProducerId, TransactionalId, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::consumer::TopicPartition;
use super::metadata::{AutoCreate, Topics, wire_name};
use super::{Client, Error, Lane};

/// The key type of transactional ids.
const TRANSACTION: i8 = 1;

/// A transaction of one partition that is to be aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abort {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) coordinator_epoch: i32,
}

impl Client {
    /// The transactional ids of every broker, by its id. A duration below 0 chooses
    /// all; no producer ids mean all, too.
    pub(crate) async fn list_transactions(
        &self,
        longer_than_ms: i64,
        producer_ids: &[i64],
    ) -> Result<BTreeMap<i32, Vec<Listing>>, Error> {
        self.retrying("listTransactions", async || {
            self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
            let mut listed = BTreeMap::new();
            for broker in self.brokers() {
                let ids: Vec<_> = producer_ids.iter().copied().map(ProducerId).collect();
                let request = |version| {
                    let request =
                        ListTransactionsRequest::default().with_producer_id_filters(ids.clone());
                    match version {
                        0 => request,
                        _ => request.with_duration_filter(longer_than_ms),
                    }
                };
                let answer = self.call(&broker.endpoint, Lane::Control, request).await?;
                Error::check(answer.error_code, None)?;
                listed.insert(broker.id, answer.transaction_states);
            }
            Ok(listed)
        })
        .await
    }

    /// A transactional id, and the broker that coordinates it.
    pub(crate) async fn describe_transaction(
        &self,
        id: &str,
    ) -> Result<(i32, TransactionState), Error> {
        let id = StrBytes::from_string(id.to_owned());
        self.retrying("describeTransactions", async || {
            let coordinator = self.transaction_coordinator(&id).await?;
            let endpoint = self.broker(coordinator)?;
            let ids = vec![TransactionalId(id.clone())];
            let request = |_| DescribeTransactionsRequest::default().with_transactional_ids(ids);
            let answer = self.call(&endpoint, Lane::Control, request).await?;
            let state = answer.transaction_states.into_iter().next();
            let missing = || Error::Malformed(endpoint.clone(), "no answer for the id".to_owned());
            let state = state.ok_or_else(missing)?;
            Error::check(state.error_code, None)?;
            Ok((coordinator, state))
        })
        .await
    }

    async fn transaction_coordinator(&self, id: &StrBytes) -> Result<i32, Error> {
        self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
        let broker = self.any_broker()?;
        let request = |version| {
            let request = FindCoordinatorRequest::default().with_key_type(TRANSACTION);
            match version >= 4 {
                true => request.with_coordinator_keys(vec![id.clone()]),
                false => request.with_key(id.clone()),
            }
        };
        let answer = self.call(&broker, Lane::Control, request).await?;
        let (code, node) = match answer.coordinators.first() {
            Some(found) => (found.error_code, found.node_id.0),
            None => (answer.error_code, answer.node_id.0),
        };
        Error::check(code, None)?;
        Ok(node)
    }

    /// The producers of a partition as `broker` knows them, or its leader.
    pub(crate) async fn describe_producers(
        &self,
        (topic, partition): &TopicPartition,
        broker: Option<i32>,
    ) -> Result<Vec<ProducerState>, Error> {
        self.retrying("describeProducers", async || {
            let endpoint = match broker {
                Some(broker) => {
                    self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
                    self.broker(broker)?
                }
                None => self.leader_of(topic, *partition).await?,
            };
            let topics = TopicRequest::default()
                .with_name(wire_name(topic))
                .with_partition_indexes(vec![*partition]);
            let request = |_| DescribeProducersRequest::default().with_topics(vec![topics]);
            let answer = self.call(&endpoint, Lane::Control, request).await?;
            let found = answer.topics.into_iter().flat_map(|topic| topic.partitions);
            let missing = || Error::Malformed(endpoint.clone(), "no answer".to_owned());
            let found = found.into_iter().next().ok_or_else(missing)?;
            Error::check(found.error_code, found.error_message.as_deref())?;
            Ok(found.active_producers)
        })
        .await
    }

    async fn leader_of(&self, topic: &str, partition: i32) -> Result<super::Endpoint, Error> {
        let names = [topic.to_owned()];
        let answer = self
            .refresh(Topics::Named(&names), AutoCreate::Never)
            .await?;
        for topic in &answer.topics {
            Error::check(topic.error_code, None)?;
        }
        self.broker(self.leader(topic, partition).unwrap_or(-1))
    }

    /// Ends a transaction in one partition; its coordinator is not asked.
    pub(crate) async fn abort_transaction(
        &self,
        (topic, partition): &TopicPartition,
        abort: Abort,
    ) -> Result<(), Error> {
        self.retrying("abortTransaction", async || {
            let endpoint = self.leader_of(topic, *partition).await?;
            let topics = WritableTxnMarkerTopic::default()
                .with_name(wire_name(topic))
                .with_partition_indexes(vec![*partition]);
            let marker = WritableTxnMarker::default()
                .with_producer_id(ProducerId(abort.producer_id))
                .with_producer_epoch(abort.producer_epoch)
                .with_coordinator_epoch(abort.coordinator_epoch)
                .with_transaction_result(false)
                .with_topics(vec![topics]);
            let request = |_| WriteTxnMarkersRequest::default().with_markers(vec![marker]);
            let answer = self.call(&endpoint, Lane::Control, request).await?;
            let topics = answer.markers.into_iter().flat_map(|marker| marker.topics);
            for partition in topics.flat_map(|topic| topic.partitions) {
                Error::check(partition.error_code, None)?;
            }
            Ok(())
        })
        .await
    }
}
