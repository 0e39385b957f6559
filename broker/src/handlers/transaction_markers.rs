//! The way of transaction markers to the leaders of their partitions: to other
//! brokers over a connection of its own, to this one by the handler itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{ProducerId, WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use parking_lot::Mutex;

use super::partitions::Partitions;
use super::wire::topic_name;
use super::write_txn_markers::{self, Markers};
use crate::cluster::Cluster;
use crate::group;
use crate::model::{BrokerId, TopicName, TopicPartition};
use crate::peer::{Address, Link};
use crate::replica::Manager;
use crate::txn::{ChannelError, End, Marker, MarkerChannel, MarkerOutcome, MarkerResult};

/// How markers leave this broker.
#[derive(Debug, Clone)]
pub struct MarkerConfig {
    pub own_id: BrokerId,
    /// The listener of other brokers that is connected to.
    pub listener: String,
    /// `request.timeout.ms`: for connecting, sending and the answer.
    pub timeout: Duration,
    /// The version that every broker of the cluster speaks.
    pub version: i16,
}

/// Carries markers to brokers.
pub struct MarkersByWire {
    config: MarkerConfig,
    /// Those of this broker itself.
    own: Markers,
    /// One connection for each broker; whoever sends holds its lock.
    links: Mutex<HashMap<BrokerId, Arc<tokio::sync::Mutex<Link>>>>,
}

impl MarkersByWire {
    #[must_use]
    pub fn new(
        config: MarkerConfig,
        cluster: Arc<Cluster>,
        replicas: Arc<Manager>,
        groups: group::Handle,
    ) -> Self {
        let own = Markers {
            known: Partitions { replicas, cluster },
            groups,
            timeout: config.timeout,
        };
        Self {
            config,
            own,
            links: Mutex::default(),
        }
    }

    fn link(&self, to: BrokerId) -> Arc<tokio::sync::Mutex<Link>> {
        let mut links = self.links.lock();
        let link = links.entry(to).or_insert_with(|| {
            let client_id = self.config.own_id.to_string();
            Arc::new(tokio::sync::Mutex::new(Link::new(
                to,
                client_id,
                self.config.timeout,
            )))
        });
        Arc::clone(link)
    }

    fn address(&self, to: BrokerId) -> Result<Address, ChannelError> {
        let snapshot = self.own.known.snapshot();
        let endpoint = snapshot.endpoint(to, &self.config.listener);
        let endpoint = endpoint.ok_or_else(|| {
            let listener = &self.config.listener;
            ChannelError(format!("broker {to} has no listener {listener}"))
        })?;
        Ok(Address {
            host: endpoint.host.clone(),
            port: endpoint.port,
        })
    }
}

impl MarkerChannel for MarkersByWire {
    fn write(
        &self,
        to: BrokerId,
        markers: Vec<Marker>,
    ) -> BoxFuture<'static, Result<Vec<MarkerResult>, ChannelError>> {
        let request = request(&markers);
        if to == self.config.own_id {
            let answer = write_txn_markers::handle(&self.own, request);
            return answer
                .map(move |answer| Ok(results(&markers, &answer)))
                .boxed();
        }
        let address = match self.address(to) {
            Ok(address) => address,
            Err(error) => return std::future::ready(Err(error)).boxed(),
        };
        let (link, version) = (self.link(to), self.config.version);
        async move {
            let mut link = link.lock().await;
            let answer = link
                .ask_write_txn_markers(&address, version, &request)
                .await;
            let answer = answer.map_err(|error| ChannelError(error.to_string()))?;
            Ok(results(&markers, &answer))
        }
        .boxed()
    }
}

fn request(markers: &[Marker]) -> WriteTxnMarkersRequest {
    let markers = markers.iter().map(|marker| {
        let mut topics: Vec<(&TopicName, Vec<i32>)> = Vec::new();
        for TopicPartition { topic, partition } in &marker.partitions {
            match topics.iter_mut().find(|(name, _)| *name == topic) {
                Some((_, indexes)) => indexes.push(*partition),
                None => topics.push((topic, vec![*partition])),
            }
        }
        let topics = topics.into_iter().map(|(name, indexes)| {
            WritableTxnMarkerTopic::default()
                .with_name(topic_name(name))
                .with_partition_indexes(indexes)
        });
        WritableTxnMarker::default()
            .with_producer_id(ProducerId(marker.producer.id))
            .with_producer_epoch(marker.producer.epoch)
            .with_transaction_result(marker.end == End::Commit)
            .with_coordinator_epoch(marker.coordinator_epoch)
            .with_topics(topics.collect())
    });
    WriteTxnMarkersRequest::default().with_markers(markers.collect())
}

/// The outcome of each partition of each marker; an answer names them by producer
/// id and partition alone.
fn results(markers: &[Marker], answer: &WriteTxnMarkersResponse) -> Vec<MarkerResult> {
    let mut codes = HashMap::new();
    for marker in &answer.markers {
        for topic in &marker.topics {
            for partition in &topic.partitions {
                let id = (
                    marker.producer_id.0,
                    topic.name.as_str(),
                    partition.partition_index,
                );
                codes.insert(id, partition.error_code);
            }
        }
    }
    let result = |marker: &Marker| {
        let outcome = |id: &TopicPartition| {
            let asked = (marker.producer.id, id.topic.as_str(), id.partition);
            let unanswered = ResponseError::UnknownServerError.code();
            let code = codes.get(&asked).copied().unwrap_or(unanswered);
            (id.clone(), outcome(code))
        };
        marker.partitions.iter().map(outcome).collect()
    };
    markers.iter().map(result).collect()
}

fn outcome(code: i16) -> MarkerOutcome {
    use ResponseError as E;
    match code {
        0 => MarkerOutcome::Written,
        code if code == E::InvalidProducerEpoch.code()
            || code == E::TransactionCoordinatorFenced.code() =>
        {
            MarkerOutcome::Fenced(code)
        }
        code if code == E::UnsupportedForMessageFormat.code()
            || code == E::UnsupportedVersion.code() =>
        {
            MarkerOutcome::Unsupported(code)
        }
        code => MarkerOutcome::Retriable(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::Producer;
    use kafka_protocol::messages::write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    };

    fn partition(topic: &str, index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), index)
    }

    fn marker(producer_id: i64, partitions: Vec<TopicPartition>) -> Marker {
        Marker {
            producer: Producer {
                id: producer_id,
                epoch: 2,
            },
            coordinator_epoch: 7,
            end: End::Commit,
            partitions,
        }
    }

    #[test]
    fn partitions_are_grouped_by_topic() {
        let partitions = vec![partition("a", 1), partition("b", 0), partition("a", 0)];
        let request = request(&[marker(5, partitions)]);
        let [written] = &request.markers[..] else {
            panic!("{request:?}");
        };
        assert_eq!((written.producer_id.0, written.producer_epoch), (5, 2));
        assert!(written.transaction_result);
        assert_eq!(written.coordinator_epoch, 7);
        let topics = written.topics.iter();
        let topics: Vec<_> = topics
            .map(|topic| (topic.name.as_str(), topic.partition_indexes.clone()))
            .collect();
        assert_eq!(topics, [("a", vec![1, 0]), ("b", vec![0])]);
    }

    #[test]
    fn outcomes_are_found_by_producer_and_partition() {
        let answer = |producer_id, codes: &[(i32, i16)]| {
            let partitions = codes.iter().map(|&(index, code)| {
                WritableTxnMarkerPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(code)
            });
            let topic = WritableTxnMarkerTopicResult::default()
                .with_name(topic_name(&TopicName::new("a").unwrap()))
                .with_partitions(partitions.collect());
            WritableTxnMarkerResult::default()
                .with_producer_id(ProducerId(producer_id))
                .with_topics(vec![topic])
        };
        let answer = WriteTxnMarkersResponse::default()
            .with_markers(vec![answer(6, &[(0, 52)]), answer(5, &[(0, 0), (1, 6)])]);
        let asked = [
            marker(
                5,
                vec![partition("a", 1), partition("a", 0), partition("a", 2)],
            ),
            marker(6, vec![partition("a", 0)]),
        ];
        let found = results(&asked, &answer);
        let outcomes = |result: &MarkerResult| -> Vec<MarkerOutcome> {
            result.iter().map(|(_, outcome)| *outcome).collect()
        };
        let missing = MarkerOutcome::Retriable(-1);
        let expected = [MarkerOutcome::Retriable(6), MarkerOutcome::Written, missing];
        assert_eq!(outcomes(&found[0]), expected);
        assert_eq!(outcomes(&found[1]), [MarkerOutcome::Fenced(52)]);
        let unsupported = MarkerOutcome::Unsupported(43);
        assert_eq!(outcome(43), unsupported);
    }
}
