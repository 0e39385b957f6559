//! WriteTxnMarkers: a transaction coordinator ends transactions in the
//! partitions that this broker leads (KIP-98), or an operator ends one that
//! nobody else will (KIP-664).
//!
//! **Invariant:** markers are appended before the next request of the
//! connection; the answer waits until the in-sync replicas have them.

use std::future::ready;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{
    ProducerId, TopicName as WireTopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::error;
use super::partitions::Partitions;
use crate::group::{self, TransactionEnd};
use crate::model::{GROUP_METADATA_TOPIC, TopicName, TopicPartition};
use crate::record::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use crate::replica::{AppendError, TxnMarker};
use crate::state_log;

/// What the markers of one producer came to. A partition that several markers
/// name is answered once, for the last of them.
type Outcomes = IndexMap<(WireTopicName, i32), i16>;

/// One marker in one partition.
struct Written {
    producer_id: i64,
    topic: WireTopicName,
    index: i32,
    code: BoxFuture<'static, i16>,
}

/// Where markers go.
#[derive(Clone)]
pub(crate) struct Markers {
    pub(crate) known: Partitions,
    /// They write those of their own partitions, behind the offsets.
    pub(crate) groups: group::Handle,
    /// How long the in-sync replicas may take: what they do not have by then is
    /// answered as timed out.
    pub(crate) timeout: Duration,
}

/// Writes the markers.
pub(crate) fn handle(
    markers: &Markers,
    request: WriteTxnMarkersRequest,
) -> BoxFuture<'static, WriteTxnMarkersResponse> {
    let mut written = Vec::new();
    // As in Kafka, one that names no producer spoils the whole request.
    let is_nobodys = |marker: &WritableTxnMarker| {
        marker.producer_id.0 == NO_PRODUCER_ID || marker.producer_epoch == NO_PRODUCER_EPOCH
    };
    let is_spoilt = request.markers.iter().any(is_nobodys);
    for marker in &request.markers {
        match is_spoilt {
            true => refuse(marker, &mut written),
            false => markers.write(marker, &mut written),
        }
    }
    Box::pin(async move {
        let committed = join_all(written.into_iter().map(Written::committed));
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

impl Markers {
    /// Appends one marker to all its partitions.
    fn write(&self, asked: &WritableTxnMarker, written: &mut Vec<Written>) {
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
                    code: self.append(&topic.name, *index, &marker),
                });
            }
        }
    }

    /// The code, once it is known. What is not here at all is unknown: the
    /// coordinator asks for the leader again in either case.
    fn append(&self, topic: &str, index: i32, marker: &TxnMarker) -> BoxFuture<'static, i16> {
        let appended = TopicName::new(topic)
            .map_err(|_| AppendError::UnknownPartition)
            .and_then(|name| {
                let id = TopicPartition::new(name, index);
                Ok(self.known.replicas.leader(&id)?)
            });
        let leader = match appended {
            Ok(leader) => leader,
            Err(error) => return ready(error::append(&error).code()).boxed(),
        };
        if topic == GROUP_METADATA_TOPIC {
            return self.end_in_groups(index, marker);
        }
        match leader.append_marker(marker) {
            Ok((_, None)) => ready(0).boxed(),
            Ok((_, Some(pending))) => {
                let code = |outcome: Result<(), AppendError>| {
                    outcome
                        .err()
                        .map_or(0, |error| error::append(&error).code())
                };
                pending.committed(self.timeout).map(code).boxed()
            }
            Err(error) => ready(error::append(&error).code()).boxed(),
        }
    }

    fn end_in_groups(&self, partition: i32, marker: &TxnMarker) -> BoxFuture<'static, i16> {
        let end = TransactionEnd {
            producer_id: marker.producer_id,
            producer_epoch: marker.producer_epoch,
            coordinator_epoch: marker.coordinator_epoch,
            commit: marker.commit,
        };
        let (groups, timeout) = (self.groups.clone(), self.timeout);
        let ended = async move {
            let ended = groups.end_transaction(partition, end);
            let ended = tokio::time::timeout(timeout, ended).await;
            let failed = ended.unwrap_or(Err(state_log::Error::Timeout)).err();
            failed.map_or(0, |error| error::end_transaction(error).code())
        };
        ended.boxed()
    }
}

fn refuse(marker: &WritableTxnMarker, written: &mut Vec<Written>) {
    for topic in &marker.topics {
        for index in &topic.partition_indexes {
            written.push(Written {
                producer_id: marker.producer_id.0,
                topic: topic.name.clone(),
                index: *index,
                code: ready(ResponseError::UnknownServerError.code()).boxed(),
            });
        }
    }
}

impl Written {
    /// The producer, the partition and its code, once that is known.
    async fn committed(self) -> (i64, (WireTopicName, i32), i16) {
        let code = self.code.await;
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
