//! Fetch: file ranges up to the high watermark, for followers up to the end of
//! the log, or a wait for more.

use std::time::Duration;

use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::EpochEndOffset;

use super::context::RequestContext;
use super::error;
use super::partitions::Partitions;
use crate::cluster::Snapshot;
use crate::model::{BrokerEpoch, BrokerId, TopicId, TopicName, TopicPartition};
use crate::protocol::fetch_response::{Partition, Response, Topic};
use crate::replica::{Isolation, ReadRequest, Reader, Registration, Waiter};

/// From here on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;
/// From here on, consumers name their rack.
const RACK_FROM: i16 = 11;
/// From here on, a follower tells its broker's epoch.
const REPLICA_STATE_FROM: i16 = 15;
/// The epoch of a fetch that opens a session with its full list (KIP-227).
const FULL_SESSION_EPOCH: i32 = 0;

/// What came of the ordered part.
pub(crate) enum Fetched {
    Now(Response),
    /// There is too little yet.
    Later(BoxFuture<'static, Response>),
}

/// Reads once; waits when the request allows it and there is too little.
pub(crate) fn handle(
    known: &Partitions,
    fetch_bytes_max: usize,
    ctx: &RequestContext,
    request: FetchRequest,
) -> Fetched {
    if let Some(refusal) = refusal(&request) {
        return Fetched::Now(Response {
            error_code: refusal.code(),
            ..Response::default()
        });
    }
    let wait_max = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let fetch = Fetch::new(known.clone(), fetch_bytes_max, ctx, request);
    let first = fetch.read();
    if wait_max.is_zero() || fetch.is_enough(&first) {
        return Fetched::Now(first);
    }
    Fetched::Later(Box::pin(fetch.wait(wait_max)))
}

/// Requests that are not a full fetch.
fn refusal(request: &FetchRequest) -> Option<ResponseError> {
    // No sessions are opened, so none can be continued: session 0 tells the
    // client to send its full list each time. Epochs 0 and -1 are full lists.
    let continues_session = request.session_epoch > FULL_SESSION_EPOCH;
    continues_session.then_some(ResponseError::FetchSessionIdNotFound)
}

/// Who fetches. A consumer that may name its rack may read any replica
/// (KIP-392).
#[derive(Debug, Clone, Copy)]
enum Who {
    Consumer(Reader),
    Follower { id: BrokerId, epoch: BrokerEpoch },
}

impl Who {
    fn of(version: i16, request: &FetchRequest) -> Self {
        let (id, epoch) = match version {
            ..REPLICA_STATE_FROM => (request.replica_id.0, -1),
            _ => {
                let state = &request.replica_state;
                (state.replica_id.0, state.replica_epoch)
            }
        };
        match (id, version) {
            (0.., _) => Self::Follower { id, epoch },
            (_, RACK_FROM..) => Self::Consumer(Reader::ClientOfAnyReplica),
            _ => Self::Consumer(Reader::Client),
        }
    }

    fn reader(self, wanted: &FetchPartition) -> Reader {
        match self {
            Self::Consumer(reader) => reader,
            Self::Follower { id, epoch } => Reader::Follower {
                id,
                broker_epoch: epoch,
                log_start: wanted.log_start_offset,
            },
        }
    }
}

struct Fetch {
    known: Partitions,
    who: Who,
    isolation: Isolation,
    bytes_min: usize,
    bytes_max: usize,
    topics: Vec<WantedTopic>,
}

struct WantedTopic {
    name: Option<TopicName>,
    id: TopicId,
    /// Why the topic cannot be read at all.
    refusal: Option<ResponseError>,
    partitions: Vec<FetchPartition>,
}

impl Fetch {
    fn new(
        known: Partitions,
        fetch_bytes_max: usize,
        ctx: &RequestContext,
        request: FetchRequest,
    ) -> Self {
        let who = Who::of(ctx.api_version, &request);
        let snapshot = known.snapshot();
        let size = |size: i32| usize::try_from(size).unwrap_or(0);
        let bytes_max = size(request.max_bytes).min(fetch_bytes_max);
        let topics = request.topics.into_iter().map(|topic| {
            let (name, refusal) = match ctx.api_version {
                TOPIC_IDS_FROM.. => by_id(&snapshot, topic.topic_id),
                _ => by_name(&topic.topic),
            };
            WantedTopic {
                name,
                id: topic.topic_id,
                refusal,
                partitions: topic.partitions,
            }
        });
        let isolation = match who {
            Who::Consumer(_) => Isolation::of_consumer(request.isolation_level),
            Who::Follower { .. } => Isolation::LogEnd,
        };
        Self {
            known,
            who,
            isolation,
            // More than fits is not waited for.
            bytes_min: size(request.min_bytes).min(bytes_max),
            bytes_max,
            topics: topics.collect(),
        }
    }

    /// Reads every partition while there is room; the first records are whole
    /// even when they are larger than the room, so that a reader gets on.
    fn read(&self) -> Response {
        let mut room = Room {
            left: self.bytes_max,
            is_empty: true,
        };
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            Topic {
                name: topic.name.clone(),
                id: topic.id,
                partitions: partitions
                    .map(|wanted| self.partition(topic, wanted, &mut room))
                    .collect(),
            }
        });
        Response {
            topics: topics.collect(),
            ..Response::default()
        }
    }

    fn partition(
        &self,
        topic: &WantedTopic,
        wanted: &FetchPartition,
        room: &mut Room,
    ) -> Partition {
        let index = wanted.partition;
        let name = match (topic.refusal, &topic.name) {
            (None, Some(name)) => name.clone(),
            (refusal, _) => {
                let error = refusal.unwrap_or(ResponseError::UnknownTopicOrPartition);
                return Partition::error(index, error.code());
            }
        };
        let request = ReadRequest {
            reader: self.who.reader(wanted),
            offset: wanted.fetch_offset,
            bytes_max: usize::try_from(wanted.partition_max_bytes)
                .unwrap_or(0)
                .min(room.left),
            whole_batch: room.is_empty,
            isolation: self.isolation,
            current_epoch: Some(wanted.current_leader_epoch).filter(|epoch| *epoch >= 0),
            last_epoch: Some(wanted.last_fetched_epoch).filter(|epoch| *epoch >= 0),
        };
        let read = self
            .known
            .replica(&TopicPartition::new(name, index))
            .and_then(|partition| partition.read(&request));
        let result = match read {
            Ok(result) => result,
            Err(failed) => return Partition::error(index, error::replica(&failed).code()),
        };
        let partition = Partition {
            high_watermark: result.high_watermark,
            last_stable_offset: result.last_stable_offset,
            log_start_offset: result.log_start_offset,
            diverging_epoch: result.diverging.map(|(epoch, end)| {
                EpochEndOffset::default()
                    .with_epoch(epoch)
                    .with_end_offset(end)
            }),
            records: result.records,
            ..Partition::error(index, 0)
        };
        room.take(partition.records_length());
        partition
    }

    /// Enough is: the bytes asked for, something wrong, or nothing to wait for.
    fn is_enough(&self, response: &Response) -> bool {
        let mut partitions = response
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .peekable();
        if partitions.peek().is_none() {
            return true;
        }
        let mut bytes = 0;
        for partition in partitions {
            if partition.error_code != 0 || partition.diverging_epoch.is_some() {
                return true;
            }
            bytes += partition.records_length();
        }
        bytes >= self.bytes_min
    }

    async fn wait(self, wait_max: Duration) -> Response {
        let waiter = Waiter::default();
        let _registrations = self.register(&waiter);
        let enough = async {
            loop {
                let response = self.read();
                if self.is_enough(&response) {
                    return response;
                }
                waiter.progress().await;
            }
        };
        match tokio::time::timeout(wait_max, enough).await {
            Ok(response) => response,
            Err(_) => self.read(),
        }
    }

    fn register(&self, waiter: &Waiter) -> Vec<Registration> {
        let mut registrations = Vec::new();
        for topic in &self.topics {
            let Some(name) = &topic.name else { continue };
            for wanted in &topic.partitions {
                let id = TopicPartition::new(name.clone(), wanted.partition);
                if let Ok(partition) = self.known.replica(&id) {
                    registrations.push(partition.register(waiter));
                }
            }
        }
        registrations
    }
}

/// What is left of the bytes that one response may have.
struct Room {
    left: usize,
    is_empty: bool,
}

impl Room {
    fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.is_empty &= bytes == 0;
    }
}

type Named = (Option<TopicName>, Option<ResponseError>);

fn by_id(snapshot: &Snapshot, id: TopicId) -> Named {
    match snapshot.topic_name(id) {
        Some(name) => (Some(name.clone()), None),
        None => (None, Some(ResponseError::UnknownTopicId)),
    }
}

fn by_name(name: &str) -> Named {
    match TopicName::new(name) {
        Ok(name) => (Some(name), None),
        // The name goes back as it came only where it is legal; an illegal
        // one names no topic of ours.
        Err(_) => (None, Some(ResponseError::UnknownTopicOrPartition)),
    }
}
