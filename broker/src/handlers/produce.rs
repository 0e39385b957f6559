//! Produce: appended in order before the next request, answered when committed.

use std::time::Duration;

use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::context::RequestContext;
use super::error;
use super::partitions::Partitions;
use super::wire::text;
use crate::model::{TopicName, TopicPartition, is_internal_topic};
use crate::replica::{self, Acks, AppendError, Appended, Pending, Waiter};

/// From here on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;
/// From here on, errors carry texts.
const MESSAGES_FROM: i16 = 8;

/// What came of the ordered part.
pub(crate) enum Produced {
    /// Everything is decided.
    Now(ProduceResponse),
    /// Some partitions wait for their in-sync replicas.
    Later(BoxFuture<'static, ProduceResponse>),
    /// The client wants no answer.
    Nothing,
    /// The client wants no answer, but something failed: closing the
    /// connection is the only way to say so.
    Close,
}

/// Appends the records of every partition.
pub(crate) fn handle(
    known: &Partitions,
    ctx: &RequestContext,
    request: ProduceRequest,
) -> Produced {
    let version = ctx.api_version;
    let acks = Acks::from_code(request.acks);
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        topics.push(topic_outcome(known, version, acks, topic));
    }
    let outcomes = || {
        topics
            .iter()
            .flat_map(|topic: &TopicOutcome| &topic.partitions)
    };
    if acks == Some(Acks::None) {
        return match outcomes().any(|partition| partition.result.is_err()) {
            true => Produced::Close,
            false => Produced::Nothing,
        };
    }
    if acks != Some(Acks::All) || outcomes().all(PartitionOutcome::is_decided) {
        return Produced::Now(response(version, topics));
    }
    Produced::Later(Box::pin(async move {
        wait(&mut topics, timeout).await;
        response(version, topics)
    }))
}

struct TopicOutcome {
    wire: TopicProduceResponse,
    partitions: Vec<PartitionOutcome>,
}

struct PartitionOutcome {
    index: i32,
    result: Result<Appended, AppendError>,
    /// Set while the in-sync replicas do not have it all.
    pending: Option<Pending>,
}

impl PartitionOutcome {
    fn is_decided(&self) -> bool {
        self.pending.is_none()
    }
}

fn topic_outcome(
    known: &Partitions,
    version: i16,
    acks: Option<Acks>,
    topic: TopicProduceData,
) -> TopicOutcome {
    let mut wire = TopicProduceResponse::default();
    let name = if version >= TOPIC_IDS_FROM {
        wire.topic_id = topic.topic_id;
        let found = known.snapshot().topic_name(topic.topic_id).cloned();
        found.ok_or(AppendError::UnknownTopicId)
    } else {
        let name = TopicName::new(&topic.name).map_err(|_| AppendError::UnknownPartition);
        wire.name = topic.name;
        name
    };
    let partitions = topic.partition_data.into_iter().map(|data| {
        let index = data.index;
        let appended = name
            .clone()
            .and_then(|name| append(known, acks, name, data));
        let (result, pending) = match appended {
            Ok((appended, pending)) => (Ok(appended), pending),
            Err(error) => (Err(error), None),
        };
        PartitionOutcome {
            index,
            result,
            pending,
        }
    });
    TopicOutcome {
        partitions: partitions.collect(),
        wire,
    }
}

fn append(
    known: &Partitions,
    acks: Option<Acks>,
    topic: TopicName,
    data: PartitionProduceData,
) -> Result<(Appended, Option<Pending>), AppendError> {
    let acks = acks.ok_or(AppendError::InvalidAcks)?;
    let is_internal = is_internal_topic(topic.as_str());
    let partition = known.leader(&TopicPartition::new(topic, data.index));
    if is_internal && !matches!(partition, Err(replica::Error::UnknownPartition)) {
        return Err(AppendError::InternalTopic);
    }
    let partition = partition?;
    partition.append(data.records.unwrap_or_default(), acks)
}

/// Waits until every partition is committed or cannot be, or for `timeout`.
async fn wait(topics: &mut [TopicOutcome], timeout: Duration) {
    let waiter = Waiter::default();
    let mut waiting: Vec<_> = topics
        .iter_mut()
        .flat_map(|topic| &mut topic.partitions)
        .filter(|partition| partition.pending.is_some())
        .collect();
    let registrations: Vec<_> = waiting
        .iter()
        .filter_map(|partition| Some(partition.pending.as_ref()?.register(&waiter)))
        .collect();
    let all_decided = async {
        loop {
            waiting.retain_mut(|partition| !settle(partition));
            if waiting.is_empty() {
                return;
            }
            waiter.progress().await;
        }
    };
    let in_time = tokio::time::timeout(timeout, all_decided).await.is_ok();
    drop(registrations);
    if !in_time {
        for partition in waiting {
            partition.result = Err(AppendError::TimedOut);
        }
    }
}

/// Looks whether `partition` is decided now.
fn settle(partition: &mut PartitionOutcome) -> bool {
    let Some(pending) = &partition.pending else {
        return true;
    };
    match pending.outcome() {
        None => false,
        Some(outcome) => {
            if let Err(error) = outcome {
                partition.result = Err(error);
            }
            partition.pending = None;
            true
        }
    }
}

fn response(version: i16, topics: Vec<TopicOutcome>) -> ProduceResponse {
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter();
        let partitions = partitions.map(|partition| partition_response(version, partition));
        topic.wire.with_partition_responses(partitions.collect())
    });
    ProduceResponse::default().with_responses(topics.collect())
}

fn partition_response(version: i16, outcome: &PartitionOutcome) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(outcome.index);
    match &outcome.result {
        Ok(appended) => response
            .with_base_offset(appended.first_offset)
            .with_log_append_time_ms(appended.log_append_time_ms)
            .with_log_start_offset(appended.log_start_offset),
        Err(failed) => refused(version, response, failed),
    }
}

fn refused(
    version: i16,
    response: PartitionProduceResponse,
    failed: &AppendError,
) -> PartitionProduceResponse {
    let code = match error::append(failed) {
        // Older clients do not know these two.
        ResponseError::InvalidRecord if version < MESSAGES_FROM => ResponseError::CorruptMessage,
        ResponseError::KafkaStorageError if version < 4 => ResponseError::NotLeaderOrFollower,
        code => code,
    };
    let mut response = response
        .with_error_code(code.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1);
    if version >= MESSAGES_FROM {
        response.error_message = Some(text(failed.to_string()));
        if let Some((index, message)) = failed.record_error() {
            response.record_errors = vec![
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(index)
                    .with_batch_index_error_message(Some(text(message))),
            ];
        }
    }
    response
}
