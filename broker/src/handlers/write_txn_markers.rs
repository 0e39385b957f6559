//! WriteTxnMarkers: a transaction coordinator ends transactions in the
//! partitions that this broker leads (KIP-98), or an operator ends one that
//! nobody else will (KIP-664).
//!
//! **Invariant:** markers are appended before the next request of the
//! connection; the answer waits until the in-sync replicas have them.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use indexmap::IndexMap;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{
    ProducerId, TopicName as WireTopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::error;
use super::partitions::Partitions;
use crate::model::{TopicName, TopicPartition};
use crate::replica::{AppendError, Pending, TxnMarker};

/// What the markers of one producer came to. A partition that several markers
/// name is answered once, for the last of them.
type Outcomes = IndexMap<(WireTopicName, i32), i16>;

/// One marker in one partition.
struct Written {
    producer_id: i64,
    topic: WireTopicName,
    index: i32,
    result: Result<Option<Pending>, AppendError>,
}

/// Writes the markers; those that the in-sync replicas do not have within
/// `timeout` are answered as timed out.
pub(crate) fn handle(
    known: &Partitions,
    timeout: Duration,
    request: WriteTxnMarkersRequest,
) -> BoxFuture<'static, WriteTxnMarkersResponse> {
    let mut written = Vec::new();
    for marker in &request.markers {
        write(known, marker, &mut written);
    }
    Box::pin(async move {
        let committed = join_all(written.into_iter().map(|marker| marker.committed(timeout)));
        let mut producers: IndexMap<i64, Outcomes> = IndexMap::new();
        for (producer_id, partition, code) in committed.await {
            let outcomes = producers.entry(producer_id).or_default();
            outcomes.insert(partition, code);
        }
        let markers = producers.into_iter().map(|(producer_id, outcomes)| {
            WritableTxnMarkerResult::default()
                .with_producer_id(ProducerId(producer_id))
                .with_topics(topics(outcomes))
        });
        WriteTxnMarkersResponse::default().with_markers(markers.collect())
    })
}

/// Appends one marker to all its partitions.
fn write(known: &Partitions, asked: &WritableTxnMarker, written: &mut Vec<Written>) {
    let marker = TxnMarker {
        producer_id: asked.producer_id.0,
        producer_epoch: asked.producer_epoch,
        coordinator_epoch: asked.coordinator_epoch,
        commit: asked.transaction_result,
    };
    for topic in &asked.topics {
        for index in &topic.partition_indexes {
            written.push(Written {
                producer_id: marker.producer_id,
                topic: topic.name.clone(),
                index: *index,
                result: append(known, &topic.name, *index, &marker),
            });
        }
    }
}

/// What is not here at all is unknown: the coordinator asks for the leader
/// again in either case.
fn append(
    known: &Partitions,
    topic: &str,
    index: i32,
    marker: &TxnMarker,
) -> Result<Option<Pending>, AppendError> {
    let name = TopicName::new(topic).map_err(|_| AppendError::UnknownPartition)?;
    let leader = known.replicas.leader(&TopicPartition::new(name, index))?;
    let (_, pending) = leader.append_marker(marker)?;
    Ok(pending)
}

impl Written {
    /// The producer, the partition and its code, once that is known.
    async fn committed(self, timeout: Duration) -> (i64, (WireTopicName, i32), i16) {
        let result = match self.result {
            Ok(Some(pending)) => pending.committed(timeout).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let code = result.err().map_or(0, |error| error::append(&error).code());
        (self.producer_id, (self.topic, self.index), code)
    }
}

fn topics(outcomes: Outcomes) -> Vec<WritableTxnMarkerTopicResult> {
    let mut topics: IndexMap<_, Vec<WritableTxnMarkerPartitionResult>> = IndexMap::new();
    for ((topic, index), code) in outcomes {
        let result = WritableTxnMarkerPartitionResult::default()
            .with_partition_index(index)
            .with_error_code(code);
        topics.entry(topic).or_default().push(result);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        WritableTxnMarkerTopicResult::default()
            .with_name(name)
            .with_partitions(partitions)
    });
    topics.collect()
}
