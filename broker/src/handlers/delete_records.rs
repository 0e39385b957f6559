//! DeleteRecords (KIP-107): the start of a log moves, and the answer waits for
//! the replicas to follow.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::error;
use super::partitions::Partitions;
use crate::model::{Offset, TopicName, TopicPartition, is_internal_topic};
use crate::replica::{Error, Partition, Waiter};

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: Offset = -1;
const NO_WATERMARK: Offset = -1;

/// Moves the start of each log at once; waits for the replicas up to the
/// request's timeout.
pub(crate) fn handle(
    known: &Partitions,
    request: DeleteRecordsRequest,
) -> BoxFuture<'static, DeleteRecordsResponse> {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let partitions = partitions.map(|asked| start(known, &topic.name, asked));
        let partitions: Vec<_> = partitions.collect();
        (topic.name, partitions)
    });
    let mut topics: Vec<_> = topics.collect();
    Box::pin(async move {
        let open = topics.iter_mut().flat_map(|(_, partitions)| partitions);
        wait(open.collect(), timeout).await;
        let topics = topics.into_iter().map(|(name, partitions)| {
            let partitions = partitions.iter().map(Deletion::response);
            DeleteRecordsTopicResult::default()
                .with_name(name)
                .with_partitions(partitions.collect())
        });
        DeleteRecordsResponse::default().with_topics(topics.collect())
    })
}

struct Deletion {
    index: i32,
    /// The low watermark when the start of the leader's log had moved: what an
    /// answer says that came too early.
    first_seen: Offset,
    /// The low watermark, once it is where it should be.
    result: Result<Offset, ResponseError>,
    /// Set while replicas have records that are to go.
    pending: Option<(Arc<Partition>, Offset)>,
}

impl Deletion {
    fn response(&self) -> DeleteRecordsPartitionResult {
        let response = DeleteRecordsPartitionResult::default().with_partition_index(self.index);
        match self.result {
            Ok(low_watermark) => response.with_low_watermark(low_watermark),
            Err(ResponseError::RequestTimedOut) => response
                .with_low_watermark(self.first_seen)
                .with_error_code(ResponseError::RequestTimedOut.code()),
            Err(error) => response
                .with_low_watermark(NO_WATERMARK)
                .with_error_code(error.code()),
        }
    }

    /// Looks whether the deletion is over.
    fn settle(&mut self) {
        let Some((partition, required)) = &self.pending else {
            return;
        };
        match partition.low_watermark() {
            Ok(reached) if reached < *required => {
                self.result = Err(ResponseError::RequestTimedOut);
            }
            reached => {
                self.result = reached.map_err(|failed| error::replica(&failed));
                self.pending = None;
            }
        }
    }
}

fn start(known: &Partitions, topic: &str, asked: &DeleteRecordsPartition) -> Deletion {
    let index = asked.partition_index;
    let begun = TopicName::new(topic)
        .map_err(|_| error::replica(&Error::UnknownPartition))
        .and_then(|name| begin(known, &TopicPartition::new(name, index), asked.offset));
    let mut deletion = match begun {
        Ok(pending) => Deletion {
            index,
            first_seen: pending.0.low_watermark().unwrap_or(NO_WATERMARK),
            result: Err(ResponseError::RequestTimedOut),
            pending: Some(pending),
        },
        Err(error) => Deletion {
            index,
            first_seen: NO_WATERMARK,
            result: Err(error),
            pending: None,
        },
    };
    deletion.settle();
    deletion
}

fn begin(
    known: &Partitions,
    id: &TopicPartition,
    offset: Offset,
) -> Result<(Arc<Partition>, Offset), ResponseError> {
    let leader = known.leader(id);
    if is_internal_topic(id.topic.as_str()) && !matches!(leader, Err(Error::UnknownPartition)) {
        return Err(ResponseError::InvalidTopicException);
    }
    let leader = leader.map_err(|failed| error::replica(&failed))?;
    let before = Some(offset).filter(|offset| *offset != HIGH_WATERMARK);
    let required = leader.delete_records(before);
    let required = required.map_err(|failed| error::delete_records(&failed))?;
    Ok((leader, required))
}

/// Waits until every replica has let go, or for `timeout`.
async fn wait(mut waiting: Vec<&mut Deletion>, timeout: Duration) {
    waiting.retain(|deletion| deletion.pending.is_some());
    if waiting.is_empty() {
        return;
    }
    let waiter = Waiter::default();
    let registrations: Vec<_> = waiting
        .iter()
        .filter_map(|deletion| Some(deletion.pending.as_ref()?.0.register(&waiter)))
        .collect();
    let all_done = async {
        loop {
            waiting.retain_mut(|deletion| {
                deletion.settle();
                deletion.pending.is_some()
            });
            if waiting.is_empty() {
                return;
            }
            waiter.progress().await;
        }
    };
    // What is still open says that it timed out.
    let _ = tokio::time::timeout(timeout, all_done).await;
    drop(registrations);
}
