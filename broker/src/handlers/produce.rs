//! Produce: appended in order before the next request, answered when committed.

use std::time::Duration;

use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    TopicProduceResponse,
};
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use super::context::RequestContext;
use super::error;
use super::moved::{Leader, Leaders};
use super::partitions::Partitions;
use super::transactional::{Refusal, Verified};
use super::wire::text;
use crate::log::{self, Verification};
use crate::metrics::Traffic;
use crate::model::{TopicName, TopicPartition, is_internal_topic};
use crate::record::{self, Compression, Header};
use crate::replica::{self, Acks, AppendError, Appended, Pending, Waiter};

/// From here on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;
/// From here on, records come as one batch; before, as message sets.
const BATCHES_FROM: i16 = 3;
/// From here on, batches may be compressed with zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
/// From here on, errors carry texts.
const MESSAGES_FROM: i16 = 8;

/// From here on, a client is told where the leader is instead (KIP-951).
const LEADER_FROM: i16 = 10;

/// No offset at all.
const NOTHING: Appended = Appended {
    first_offset: -1,
    last_offset: -1,
    log_append_time_ms: -1,
    log_start_offset: -1,
};

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

/// Appends the records of every partition, after the `checked` transaction.
pub(crate) fn handle(
    known: &Partitions,
    ctx: &RequestContext,
    request: ProduceRequest,
    checked: Result<Verified, Refusal>,
) -> Produced {
    let version = ctx.api_version;
    let acks = Acks::from_code(request.acks);
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let verified = match checked {
        Ok(verified) => verified,
        Err(refusal) => return refused_whole(acks, &request, &refusal),
    };
    let appender = Appender {
        known,
        version,
        acks,
        verified,
    };
    for topic in request.topic_data {
        topics.push(appender.topic(topic));
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
    let leaders = Leaders::new(known, &ctx.listener);
    if acks != Some(Acks::All) || outcomes().all(PartitionOutcome::is_decided) {
        return Produced::Now(response(version, topics, &leaders));
    }
    Produced::Later(Box::pin(async move {
        wait(&mut topics, timeout).await;
        response(version, topics, &leaders)
    }))
}

struct TopicOutcome {
    wire: TopicProduceResponse,
    partitions: Vec<PartitionOutcome>,
}

struct PartitionOutcome {
    index: i32,
    /// Unless the topic is unknown.
    partition: Option<TopicPartition>,
    result: Result<Appended, Failure>,
    /// The offsets that a failure is answered with.
    seen: Appended,
    /// Set while the in-sync replicas do not have it all.
    pending: Option<Pending>,
}

/// Why records were not taken.
#[derive(Debug, Clone)]
enum Failure {
    Append(AppendError),
    /// By the coordinator of their transaction, or because it could not be asked.
    Unverified(Refusal),
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl From<replica::Error> for Failure {
    fn from(error: replica::Error) -> Self {
        Self::Append(error.into())
    }
}

impl PartitionOutcome {
    fn is_decided(&self) -> bool {
        self.pending.is_none()
    }
}

/// What the partitions of one request are appended with.
struct Appender<'a> {
    known: &'a Partitions,
    version: i16,
    acks: Option<Acks>,
    verified: Verified,
}

impl Appender<'_> {
    fn topic(&self, topic: TopicProduceData) -> TopicOutcome {
        let mut wire = TopicProduceResponse::default();
        let name = if self.version >= TOPIC_IDS_FROM {
            wire.topic_id = topic.topic_id;
            let found = self.known.snapshot().topic_name(topic.topic_id).cloned();
            found.ok_or(AppendError::UnknownTopicId)
        } else {
            // No topic has a name that none may have.
            let name = TopicName::new(&topic.name).map_err(|_| AppendError::UnknownPartition);
            wire.name = topic.name;
            name
        };
        let partitions = topic.partition_data.into_iter().map(|data| {
            let index = data.index;
            let partition = name.clone().map(|name| TopicPartition::new(name, index));
            let appended = match &partition {
                Ok(partition) => self.append(partition, data),
                Err(error) => Err(error.clone().into()),
            };
            let (result, pending) = match appended {
                Ok((appended, pending)) => (Ok(appended), pending),
                Err(error) => (Err(error), None),
            };
            PartitionOutcome {
                index,
                seen: match &result {
                    Ok(appended) => *appended,
                    Err(failure) => self.seen(partition.as_ref().ok(), failure),
                },
                partition: partition.ok(),
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
        &self,
        partition: &TopicPartition,
        data: PartitionProduceData,
    ) -> Result<(Appended, Option<Pending>), Failure> {
        let verification = match self.verified.get(partition) {
            Some(Ok(verification)) => *verification,
            Some(Err(refusal)) => return Err(Failure::Unverified(refusal.clone())),
            None => Verification::NotRequired,
        };
        let acks = self.acks.ok_or(AppendError::InvalidAcks)?;
        let is_internal = is_internal_topic(partition.topic.as_str());
        let leader = self.known.leader(partition);
        if is_internal && !matches!(leader, Err(replica::Error::UnknownPartition)) {
            self.known.replicas.count(Traffic::ProduceRequests, 1);
            return Err(AppendError::InternalTopic.into());
        }
        let leader = leader.inspect_err(|_| self.known.replicas.count(Traffic::ProduceRequests, 1));
        let records = data.records.unwrap_or_default();
        if self.version < BATCHES_FROM && !is_batch(&records) {
            return Ok(leader?.append_message_set(records, acks)?);
        }
        let header = Header::decode(&records).ok();
        let header = header.filter(|header| header.magic == record::MAGIC);
        self.check_compression(header.as_ref())?;
        Ok(leader?.append_verified(records, acks, verification)?)
    }

    /// Where a log begins is told with what was wrong with the records or with
    /// the in-sync replicas, as in Kafka.
    fn seen(&self, partition: Option<&TopicPartition>, failure: &Failure) -> Appended {
        let is_told = match failure {
            Failure::Append(AppendError::NotEnoughReplicas) => true,
            Failure::Append(AppendError::Log(error)) => !matches!(
                **error,
                log::AppendError::TooLarge { .. }
                    | log::AppendError::LargerThanSegment { .. }
                    | log::AppendError::Corrupt(_)
                    | log::AppendError::Storage(_)
            ),
            Failure::Append(_) | Failure::Unverified(_) => false,
        };
        let leader = partition.filter(|_| is_told);
        let leader = leader.and_then(|id| self.known.leader(id).ok());
        let log_start_offset = leader.map_or(-1, |leader| leader.extent().0);
        Appended {
            log_start_offset,
            ..NOTHING
        }
    }

    fn check_compression(&self, header: Option<&Header>) -> Result<(), AppendError> {
        let is_too_new = (BATCHES_FROM..ZSTD_FROM).contains(&self.version)
            && header.is_some_and(|header| header.compression() == Compression::Zstd);
        match is_too_new {
            true => {
                let refusal = log::AppendError::UnsupportedCompression(Compression::Zstd.id());
                Err(refusal.into())
            }
            false => Ok(()),
        }
    }
}

/// Old producers may send batches too; their format says so.
fn is_batch(records: &[u8]) -> bool {
    const MAGIC_AT: usize = 16;
    records.get(MAGIC_AT).copied() == Some(record::MAGIC.cast_unsigned())
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
            partition.result = Err(AppendError::TimedOut.into());
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
                partition.result = Err(error.into());
            }
            partition.pending = None;
            true
        }
    }
}

fn response(version: i16, topics: Vec<TopicOutcome>, leaders: &Leaders) -> ProduceResponse {
    let mut endpoints = Vec::new();
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|outcome| {
            let mut response = partition_response(version, outcome);
            if version >= LEADER_FROM
                && let Some(id) = &outcome.partition
                && let Some(leader) = leaders.instead(response.error_code, id)
            {
                response.current_leader = LeaderIdAndEpoch::default()
                    .with_leader_id(leader.id.into())
                    .with_leader_epoch(leader.epoch);
                endpoints.extend(endpoint(&leader));
            }
            response
        });
        topic.wire.with_partition_responses(partitions.collect())
    });
    let response = ProduceResponse::default().with_responses(topics.collect());
    endpoints.sort_by_key(|endpoint: &NodeEndpoint| endpoint.node_id.0);
    endpoints.dedup_by_key(|endpoint| endpoint.node_id.0);
    response.with_node_endpoints(endpoints)
}

fn endpoint(leader: &Leader) -> Option<NodeEndpoint> {
    let address = leader.address.as_ref()?;
    Some(
        NodeEndpoint::default()
            .with_node_id(leader.id.into())
            .with_host(text(address.host.as_str()))
            .with_port(address.port)
            .with_rack(address.rack.as_deref().map(text)),
    )
}

fn partition_response(version: i16, outcome: &PartitionOutcome) -> PartitionProduceResponse {
    let response = PartitionProduceResponse::default().with_index(outcome.index);
    match &outcome.result {
        Ok(appended) => response
            .with_base_offset(appended.first_offset)
            .with_log_append_time_ms(appended.log_append_time_ms)
            .with_log_start_offset(appended.log_start_offset),
        Err(Failure::Append(failed)) => {
            let response = response
                .with_base_offset(outcome.seen.first_offset)
                .with_log_append_time_ms(outcome.seen.log_append_time_ms)
                .with_log_start_offset(outcome.seen.log_start_offset);
            refused(version, response, failed, outcome.partition.as_ref())
        }
        Err(Failure::Unverified(refusal)) => without_records(response, refusal, version),
    }
}

/// Every partition is answered alike: nothing was appended.
fn refused_whole(acks: Option<Acks>, request: &ProduceRequest, refusal: &Refusal) -> Produced {
    if acks == Some(Acks::None) {
        return Produced::Close;
    }
    let topics = request.topic_data.iter().map(|topic| {
        let partitions = topic.partition_data.iter().map(|data| {
            let response = PartitionProduceResponse::default().with_index(data.index);
            without_records(response, refusal, MESSAGES_FROM)
        });
        TopicProduceResponse::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partition_responses(partitions.collect())
    });
    let response = ProduceResponse::default().with_responses(topics.collect());
    Produced::Now(response)
}

fn without_records(
    response: PartitionProduceResponse,
    refusal: &Refusal,
    version: i16,
) -> PartitionProduceResponse {
    let message = refusal.message.clone().filter(|_| version >= MESSAGES_FROM);
    response
        .with_error_code(refusal.code.code())
        .with_error_message(message.map(text))
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
}

fn refused(
    version: i16,
    response: PartitionProduceResponse,
    failed: &AppendError,
    partition: Option<&TopicPartition>,
) -> PartitionProduceResponse {
    let code = match error::append(failed) {
        // Older clients do not know it.
        ResponseError::KafkaStorageError if version < 4 => ResponseError::NotLeaderOrFollower,
        code => code,
    };
    let response = response.with_error_code(code.code());
    let errors = partition.map(|partition| failed.record_errors(partition));
    let errors = errors.unwrap_or_default();
    if version < MESSAGES_FROM || errors.is_empty() {
        return response;
    }
    let message = match code {
        ResponseError::InvalidTimestamp => {
            "One or more records have been rejected due to invalid timestamp".to_owned()
        }
        _ => summary(&errors),
    };
    let errors = errors.into_iter().map(|(index, message)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(text(message)))
    });
    response
        .with_error_message(Some(text(message)))
        .with_record_errors(errors.collect())
}

/// The text that producers print: how many records were refused, and the first.
fn summary(errors: &[(i32, String)]) -> String {
    let shown = errors.iter().take(3);
    let shown: Vec<_> = shown
        .map(|(index, message)| format!("RecordError(batchIndex={index}, message='{message}')"))
        .collect();
    format!(
        "One or more records have been rejected due to {} record errors in total, and only \
         showing the first three errors at most: [{}]",
        errors.len(),
        shown.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: i16, failed: &AppendError) -> PartitionProduceResponse {
        let topic = TopicName::new("t").unwrap();
        let partition = TopicPartition::new(topic, 3);
        let response = PartitionProduceResponse::default();
        refused(version, response, failed, Some(&partition))
    }

    #[test]
    fn records_at_fault_are_named_in_kafkas_words() {
        let faults = [0, 2].map(|index| log::RecordFault::WithoutKey { index });
        let failed = AppendError::from(log::AppendError::InvalidRecords(faults.to_vec()));
        let answered = answer(9, &failed);
        assert_eq!(answered.error_code, ResponseError::InvalidRecord.code());
        let text = "Compacted topic cannot accept message without key in topic partition t-3";
        assert_eq!(
            answered.error_message.unwrap().as_str(),
            format!(
                "One or more records have been rejected due to 2 record errors in total, and only \
                 showing the first three errors at most: [RecordError(batchIndex=0, \
                 message='{text}'), RecordError(batchIndex=2, message='{text}')]"
            )
        );
        assert_eq!(answered.record_errors.len(), 2);
        // Version 7 has no place for texts, and the code is no other.
        let answered = answer(7, &failed);
        assert_eq!(answered.error_code, ResponseError::InvalidRecord.code());
        assert_eq!(answered.error_message, None);
    }

    #[test]
    fn other_errors_leave_the_text_to_the_client() {
        let failed = AppendError::from(log::AppendError::TooLarge {
            size: 2,
            size_max: 1,
        });
        let answered = answer(9, &failed);
        assert_eq!(answered.error_code, ResponseError::MessageTooLarge.code());
        assert_eq!(
            (answered.error_message, answered.record_errors),
            (None, Vec::new())
        );
    }
}
