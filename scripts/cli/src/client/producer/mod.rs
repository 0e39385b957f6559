//! Sends records to one topic: partitions, batches, acknowledgements, retries.
//!
//! Flow: `send` puts a record into the open batch of its partition → a full
//! batch, or one that lingered long enough, goes to the partition's leader →
//! what failed for good is returned with its error.
//!
//! **Invariant:** the batches of a partition are sent one after the other in
//! the order of their records; with idempotence a batch that is repeated keeps
//! its sequence numbers.

mod batch;
mod partitioner;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use broker::record::RecordHeader;
use bytes::Bytes;
use futures::future::join_all;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId};

pub(crate) use settings::ProducerSettings;

use super::metadata::{AutoCreate, Topics, wire_name};
use super::{Client, Error, Lane, code_name};
use batch::{Batch, Identity};
use partitioner::Partitioner;
use settings::Acks;

/// Stands for the offset of a record that nobody told.
const NO_OFFSET: i64 = -1;

/// A record to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewRecord {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<RecordHeader>,
    /// Milliseconds since 1970; the time of sending if absent.
    pub(crate) timestamp_ms: Option<i64>,
}

/// A record that was not stored, and why.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) class: String,
    pub(crate) reason: String,
}

/// A record that was stored: when it was given and acknowledged, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sent_ms: i64,
    pub(crate) stored_ms: i64,
    pub(crate) partition: i32,
    /// -1 when nobody told (acks 0, or a repeated batch).
    pub(crate) offset: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
}

/// A producer for one topic.
pub(crate) struct Producer {
    client: Client,
    settings: ProducerSettings,
    topic: String,
    partitioner: Partitioner,
    open: BTreeMap<i32, Batch>,
    identity: Option<Identity>,
    sequences: HashMap<i32, i32>,
    metadata_at: Option<Duration>,
    /// Kept only when somebody watches.
    stored: Option<Vec<Stored>>,
}

impl Producer {
    pub(crate) fn new(client: Client, settings: ProducerSettings, topic: &str) -> Self {
        let seed = client.wall_ms().unsigned_abs() ^ u64::from(std::process::id()) << 32;
        Self {
            partitioner: Partitioner::new(settings.batch_size, seed),
            client,
            settings,
            topic: topic.to_owned(),
            open: BTreeMap::new(),
            identity: None,
            sequences: HashMap::new(),
            metadata_at: None,
            stored: None,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Keeps from now on what was stored, for `stored`.
    pub(crate) fn watch(&mut self) {
        self.stored = Some(Vec::new());
    }

    /// What was stored since the last call.
    pub(crate) fn stored(&mut self) -> Vec<Stored> {
        self.stored.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// When the oldest open batch has lingered long enough.
    pub(crate) fn flush_in(&self) -> Option<Duration> {
        let oldest = self.open.values().map(|batch| batch.opened_at).min()?;
        Some((oldest + self.settings.linger).saturating_sub(self.client.now()))
    }

    /// Takes a record, and sends its partition's batch when that is full.
    pub(crate) async fn send(&mut self, record: NewRecord) -> Vec<Failed> {
        let size = batch::size_of_record(&record);
        let limit = self.settings.request_size_max;
        if size > limit {
            return vec![failed(&record, &Error::TooLarge { size, limit })];
        }
        let count = match self.partition_count().await {
            Ok(count) => count,
            Err(error) => return vec![failed(&record, &error)],
        };
        let partition = self.partitioner.choose(record.key.as_ref(), size, count);
        let is_full = |batch: &Batch| batch.size + size > self.settings.batch_size;
        let lost = match self.open.get(&partition).is_some_and(is_full) {
            true => self.flush_partition(partition).await,
            false => Vec::new(),
        };
        let now = self.client.now();
        let wall_ms = self.client.wall_ms();
        self.open
            .entry(partition)
            .or_insert_with(|| Batch::new(partition, now))
            .push(record, size, wall_ms);
        lost
    }

    /// Sends everything that is open.
    pub(crate) async fn flush(&mut self) -> Vec<Failed> {
        let batches = std::mem::take(&mut self.open);
        self.deliver(batches.into_values().collect()).await
    }

    async fn flush_partition(&mut self, partition: i32) -> Vec<Failed> {
        match self.open.remove(&partition) {
            Some(batch) => self.deliver(vec![batch]).await,
            None => Vec::new(),
        }
    }

    /// How many partitions the topic has; a missing topic may be created by asking.
    async fn partition_count(&mut self) -> Result<i32, Error> {
        let now = self.client.now();
        let is_fresh = self
            .metadata_at
            .is_some_and(|at| now < at + self.client.config().metadata_max_age);
        if is_fresh && let Some(count) = self.client.partition_count(&self.topic) {
            return Ok(count);
        }
        let deadline = now + self.settings.max_block;
        let mut correlation = 0;
        loop {
            correlation += 1;
            let names = std::slice::from_ref(&self.topic);
            let answer = self
                .client
                .refresh(Topics::Named(names), AutoCreate::Allow)
                .await;
            let code = match &answer {
                Ok(answer) => answer.topics.first().map_or(0, |topic| topic.error_code),
                Err(_) => 0,
            };
            if code != 0 {
                self.client.warn(format_args!(
                    "The metadata response from the cluster reported a recoverable issue with correlation id {correlation} : {{{}={}}}",
                    self.topic,
                    code_name(code)
                ));
            }
            match ResponseError::try_from_code(code) {
                Some(ResponseError::InvalidTopicException) => {
                    return Err(Error::InvalidTopic(self.topic.clone()));
                }
                Some(error) if !error.is_retriable() => Error::check(code, None)?,
                _ => {}
            }
            if let (Ok(_), Some(count)) = (answer, self.client.partition_count(&self.topic)) {
                self.metadata_at = Some(self.client.now());
                return Ok(count);
            }
            if self.client.now() >= deadline {
                let waited_ms = self.settings.max_block.as_millis();
                let topic = self.topic.clone();
                return Err(Error::NoTopic { topic, waited_ms });
            }
            tokio::time::sleep(self.client.config().retry_backoff).await;
        }
    }

    /// Sends batches, repeating those that may succeed later.
    async fn deliver(&mut self, batches: Vec<Batch>) -> Vec<Failed> {
        let mut lost = Vec::new();
        if let Err(error) = self.identify().await {
            return batches
                .iter()
                .flat_map(|batch| batch.failed(&error))
                .collect();
        }
        let mut waiting = Vec::with_capacity(batches.len());
        for mut batch in batches {
            match self.seal(&mut batch) {
                Ok(()) => waiting.push(batch),
                Err(error) => lost.extend(batch.failed(&error)),
            }
        }
        let mut attempt = 0;
        while !waiting.is_empty() {
            let results = self.send_once(&waiting).await;
            let mut again = Vec::new();
            for (batch, result) in waiting.into_iter().zip(results) {
                match result {
                    Ok(offset) => self.note(&batch, offset),
                    Err(error) if error.is(ResponseError::DuplicateSequenceNumber) => {
                        self.note(&batch, NO_OFFSET);
                    }
                    Err(error) if error.is_retriable() && attempt < self.settings.retries => {
                        match self.has_expired(&batch) {
                            Some(expired) => lost.extend(self.give_up(&batch, &expired)),
                            None => again.push(batch),
                        }
                    }
                    Err(error) => lost.extend(self.give_up(&batch, &error)),
                }
            }
            waiting = again;
            attempt += 1;
            if !waiting.is_empty() {
                tokio::time::sleep(self.client.config().retry_backoff).await;
                let names = std::slice::from_ref(&self.topic);
                // When nobody answers, the next attempt fails and is repeated too.
                let _ = self
                    .client
                    .refresh(Topics::Named(names), AutoCreate::Allow)
                    .await;
            }
        }
        lost
    }

    fn note(&mut self, batch: &Batch, base_offset: i64) {
        let stored_ms = self.client.wall_ms();
        if let Some(stored) = &mut self.stored {
            stored.extend(batch.stored(base_offset, stored_ms));
        }
    }

    fn has_expired(&self, batch: &Batch) -> Option<Error> {
        let waited = self.client.now().saturating_sub(batch.opened_at);
        (waited >= self.settings.delivery_timeout).then(|| Error::Expired {
            count: batch.count(),
            topic: self.topic.clone(),
            partition: batch.partition,
            waited_ms: waited.as_millis(),
        })
    }

    /// A lost batch leaves a gap in the sequence: the next ones need a new identity.
    fn give_up(&mut self, batch: &Batch, error: &Error) -> Vec<Failed> {
        self.identity = None;
        self.sequences.clear();
        batch.failed(error)
    }

    /// Takes the next sequence numbers of the partition; none when it fails.
    fn seal(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let next = self.sequences.entry(batch.partition).or_insert(0);
        batch.seal(self.settings.compression, self.identity, *next)?;
        let count = i32::try_from(batch.count()).unwrap_or(i32::MAX);
        // Sequence numbers start again at 0 after the largest.
        *next = next.checked_add(count).unwrap_or_else(|| {
            count
                .wrapping_sub(i32::MAX.wrapping_sub(*next))
                .wrapping_sub(1)
        });
        Ok(())
    }

    /// Gets a producer id when the broker gives them and none is held.
    async fn identify(&mut self) -> Result<(), Error> {
        if !self.settings.is_idempotent || self.identity.is_some() {
            return Ok(());
        }
        let asked = self
            .client
            .retrying("initProducerId", async || {
                let broker = self.client.any_broker()?;
                let answer = self
                    .client
                    .call(&broker, Lane::Control, |_| {
                        InitProducerIdRequest::default()
                            .with_transactional_id(None)
                            .with_transaction_timeout_ms(i32::MAX)
                            .with_producer_id(ProducerId(-1))
                            .with_producer_epoch(-1)
                    })
                    .await?;
                Error::check(answer.error_code, None)?;
                Ok(answer)
            })
            .await;
        match asked {
            Ok(answer) => {
                self.identity = Some(Identity {
                    id: answer.producer_id.0,
                    epoch: answer.producer_epoch,
                });
            }
            Err(Error::Unsupported(_)) => self.settings.is_idempotent = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// One request to each leader; the results, the offset of the batch's first
    /// record, are in the order of the batches.
    async fn send_once(&self, batches: &[Batch]) -> Vec<Result<i64, Error>> {
        let mut results: Vec<Result<i64, Error>> = Vec::new();
        let mut of_leader: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
        for (index, batch) in batches.iter().enumerate() {
            match self.client.leader(&self.topic, batch.partition) {
                Some(leader) => {
                    of_leader.entry(leader).or_default().push(index);
                    results.push(Ok(NO_OFFSET));
                }
                None => results.push(refused(ResponseError::LeaderNotAvailable)),
            }
        }
        let requests = of_leader.iter().map(|(leader, indexes)| async move {
            let chosen: Vec<&Batch> = indexes.iter().map(|index| &batches[*index]).collect();
            self.produce(*leader, &chosen).await
        });
        for (indexes, answers) in of_leader.values().zip(join_all(requests).await) {
            for (index, answer) in indexes.iter().zip(answers) {
                results[*index] = answer;
            }
        }
        results
    }

    async fn produce(&self, leader: i32, batches: &[&Batch]) -> Vec<Result<i64, Error>> {
        let answer = self.produce_request(leader, batches).await;
        match answer {
            Ok(answers) => batches
                .iter()
                .map(|batch| match answers.get(&batch.partition) {
                    Some(answer) => Error::check(answer.code, answer.message.as_deref())
                        .map(|()| answer.base_offset),
                    None => refused(ResponseError::UnknownServerError),
                })
                .collect(),
            Err(error) => {
                let rest = batches.len().saturating_sub(1);
                let mut results = vec![Err(error)];
                results.extend((0..rest).map(|_| refused(ResponseError::NetworkException)));
                results
            }
        }
    }

    async fn produce_request(
        &self,
        leader: i32,
        batches: &[&Batch],
    ) -> Result<HashMap<i32, Answer>, Error> {
        let endpoint = self.client.broker(leader)?;
        let timeout = self.client.config().request_timeout.as_millis();
        let build = |_| {
            let partitions = batches
                .iter()
                .map(|batch| {
                    PartitionProduceData::default()
                        .with_index(batch.partition)
                        .with_records(Some(batch.bytes()))
                })
                .collect();
            let topic = TopicProduceData::default()
                .with_name(wire_name(&self.topic))
                .with_partition_data(partitions);
            ProduceRequest::default()
                .with_acks(self.settings.acks.wire())
                .with_timeout_ms(i32::try_from(timeout).unwrap_or(i32::MAX))
                .with_topic_data(vec![topic])
        };
        if self.settings.acks == Acks::None {
            self.client.send_only(&endpoint, Lane::Data, build).await?;
            return Ok(batches
                .iter()
                .map(|batch| (batch.partition, Answer::default()))
                .collect());
        }
        let answer = self.client.call(&endpoint, Lane::Data, build).await?;
        Ok(answer
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses)
            .map(|partition| {
                let answer = Answer {
                    code: partition.error_code,
                    message: partition.error_message.as_ref().map(ToString::to_string),
                    base_offset: partition.base_offset,
                };
                (partition.index, answer)
            })
            .collect())
    }
}

/// What a leader says of one batch.
#[derive(Debug)]
struct Answer {
    code: i16,
    message: Option<String>,
    base_offset: i64,
}

impl Default for Answer {
    /// For a leader that was not asked to answer.
    fn default() -> Self {
        Self {
            code: 0,
            message: None,
            base_offset: NO_OFFSET,
        }
    }
}

fn refused(code: ResponseError) -> Result<i64, Error> {
    Error::check(code.code(), None).map(|()| NO_OFFSET)
}

fn failed(record: &NewRecord, error: &Error) -> Failed {
    Failed {
        key: record.key.clone(),
        value: record.value.clone(),
        class: error.class(),
        reason: error.to_string(),
    }
}
