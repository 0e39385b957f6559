//! Fetch: file ranges up to the high watermark, for followers up to the end of
//! the log, or a wait for more.
//!
//! Flow: `handle` resolves the topics and asks `session` what is to be read ->
//! `Fetch::read` -> a wait while there is too little -> `session` leaves out
//! what the reader knows -> `convert` for readers of older message formats.

mod convert;
pub(crate) mod nearest;
mod reader;
mod session;
mod waiting;
mod wanted;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_response::{EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint};
use kafka_protocol::protocol::StrBytes;

use self::convert::Conversion;
use self::reader::Fetcher;
pub(crate) use self::session::Sessions;
use self::session::{Opened, OpenedAs, Question};
use self::wanted::Wanted;
pub(crate) use self::watch::watch_max;
use self::watch::{Watch, Watcher};
use super::context::RequestContext;
use super::error;
use super::moved::Leaders;
use super::partitions::Partitions;
use super::throttle::Throttle;
use super::wire::text;
use crate::log;
use crate::metrics::Traffic;
use crate::model::{BrokerId, TopicPartition};
use crate::protocol::fetch_response::{AbortedTransaction, Partition, Response, Topic};
use crate::record::Compression;
use crate::replica::{self, Isolation, ReadRequest, Reader};

/// Before, a reader does not know zstd (KIP-110).
const ZSTD_FROM: i16 = 10;
/// From here on, a reader is told where the leader is instead (KIP-951).
const LEADER_FROM: i16 = 16;
/// Up to here, a reader does not know `KAFKA_STORAGE_ERROR`.
const WITHOUT_STORAGE_ERROR: i16 = 5;

/// What fetches are served from.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) known: Partitions,
    /// `fetch.max.bytes`.
    pub(crate) bytes_max: usize,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) broker_id: BrokerId,
    /// Whether consumers are sent to a replica in their rack.
    pub(crate) rack_aware: bool,
}

/// What came of the ordered part.
pub(crate) enum Fetched {
    Now(Response),
    /// There is too little yet, or records are to be converted.
    Later(BoxFuture<'static, Response>),
}

/// Says whether a follower asks.
pub(crate) fn is_of_follower(version: i16, request: &FetchRequest) -> bool {
    Fetcher::of(version, request).is_follower()
}

/// Reads once; waits when the request allows it and there is too little.
pub(crate) fn handle(source: &Source, ctx: &RequestContext, request: FetchRequest) -> Fetched {
    let wait_max = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let mut fetch = match Fetch::open(source, ctx, request) {
        Ok(fetch) => fetch,
        Err(refusal) => return Fetched::Now(refused(refusal)),
    };
    if let Some(watch) = fetch.watch.take() {
        if fetch.bytes_min > 0 && !wait_max.is_zero() {
            return Fetched::Later(fetch.go_on_watching(watch, wait_max).boxed());
        }
        fetch.wanted = fetch.opened.wanted(&source.known.snapshot());
    }
    let pulse = source.known.replicas.pulse().count();
    let found = fetch.read();
    let is_enough = wait_max.is_zero() || fetch.is_enough(&found);
    match (is_enough, fetch.conversion) {
        (true, None) => Fetched::Now(fetch.answer(found)),
        (true, Some(conversion)) => Fetched::Later(conversion.run(fetch, found).boxed()),
        (false, _) => Fetched::Later(fetch.wait_and_answer(wait_max, found, pulse).boxed()),
    }
}

fn refused(error: ResponseError) -> Response {
    Response {
        error_code: error.code(),
        ..Response::default()
    }
}

/// One request with what it asks for.
struct Fetch {
    source: Source,
    version: i16,
    leaders: Leaders,
    opened: OpenedAs,
    fetcher: Fetcher,
    rack: StrBytes,
    isolation: Isolation,
    bytes_min: usize,
    bytes_max: usize,
    conversion: Option<Conversion>,
    wanted: Vec<Wanted>,
    watch: Option<Watch>,
    /// The account of a consumer that may have a quota.
    throttle: Option<Arc<Throttle>>,
}

impl Fetch {
    fn open(
        source: &Source,
        ctx: &RequestContext,
        request: FetchRequest,
    ) -> Result<Self, ResponseError> {
        let version = ctx.api_version;
        let size = |size: i32| usize::try_from(size).unwrap_or(0);
        let fetcher = Fetcher::of(version, &request);
        let throttle = ctx.throttle.clone().filter(|throttle| {
            if fetcher.is_follower() {
                throttle.exempt();
            }
            !fetcher.is_follower()
        });
        let quota = throttle.as_ref().and_then(|t| t.fetch_bytes_max());
        let bytes_max = size(request.max_bytes).min(source.bytes_max);
        let bytes_max = bytes_max.min(quota.unwrap_or(usize::MAX));
        let bytes_min = size(request.min_bytes).min(bytes_max);
        let isolation = fetcher.isolation(request.isolation_level);
        let rack = request.rack_id.clone();
        let snapshot = source.known.snapshot();
        let question = Question {
            session_id: request.session_id,
            epoch: request.session_epoch,
            names_by_id: wanted::names_by_id(version),
            wanted: wanted::flatten(version, &snapshot, request.topics),
            forgotten: wanted::forgotten(version, request.forgotten_topics_data),
            watcher: Watcher { fetcher, isolation },
        };
        let Opened {
            wanted,
            opened,
            watch,
        } = source.sessions.open(question, &snapshot)?;
        Ok(Self {
            source: source.clone(),
            version,
            leaders: Leaders::new(&source.known, &ctx.listener),
            opened,
            fetcher,
            rack,
            isolation,
            bytes_min,
            bytes_max,
            conversion: Conversion::of(version),
            wanted,
            watch,
            throttle,
        })
    }

    /// Reads every partition while there is room; the first records are whole
    /// even when they are larger than the room, so that a reader gets on.
    fn read(&self) -> Found {
        let mut room = Room {
            left: self.bytes_max,
            is_empty: true,
            available: 0,
            is_behind: false,
            given: Vec::new(),
        };
        let wanted = self.wanted.iter();
        let results = wanted
            .enumerate()
            .map(|(at, wanted)| self.partition(at, wanted, &mut room))
            .collect();
        Found {
            results,
            given: room.given,
            available: room.available,
            is_behind: room.is_behind,
        }
    }

    fn partition(&self, at: usize, wanted: &Wanted, room: &mut Room) -> Partition {
        let index = wanted.index;
        let failed = |error: ResponseError| Partition::error(index, error.code());
        let Some(name) = &wanted.name else {
            return failed(wanted.unknown());
        };
        let is_cut = self.conversion.is_some_and(Conversion::may_cut);
        let bytes_max = usize::try_from(wanted.bytes_max).unwrap_or(0);
        let request = ReadRequest {
            reader: self.fetcher.reader(wanted),
            offset: wanted.offset,
            bytes_max: bytes_max.min(room.left),
            // What is cut afterwards must be whole before.
            whole_batch: room.is_empty || is_cut,
            isolation: self.isolation,
            current_epoch: Some(wanted.current_epoch).filter(|epoch| *epoch >= 0),
            last_epoch: Some(wanted.last_epoch).filter(|epoch| *epoch >= 0),
        };
        let replica = self
            .source
            .known
            .replica(&TopicPartition::new(name.clone(), index));
        if let Ok(partition) = &replica
            && let Some(refusal) = self.format_refusal(partition)
        {
            return failed(refusal);
        }
        if let Ok(partition) = &replica
            && let Some(nearer) = self.nearer(partition, wanted)
        {
            let extent = partition.extent();
            return Partition {
                high_watermark: partition.high_watermark(),
                last_stable_offset: partition.high_watermark(),
                log_start_offset: extent.0,
                preferred_read_replica: nearer,
                ..Partition::error(index, 0)
            };
        }
        let read = replica.and_then(|partition| Ok((partition.read(&request)?, partition)));
        let (result, replica) = match read {
            Ok(read) => read,
            Err(error) => return failed(self.code(&error)),
        };
        if result.records.is_some() {
            room.given.push((at, replica));
        }
        room.available += result.available.min(bytes_max);
        room.is_behind |= result.is_behind;
        let partition = Partition {
            high_watermark: result.high_watermark,
            last_stable_offset: result.last_stable_offset,
            log_start_offset: result.log_start_offset,
            diverging_epoch: result.diverging.map(|(epoch, end)| {
                EpochEndOffset::default()
                    .with_epoch(epoch)
                    .with_end_offset(end)
            }),
            aborted: result.aborted.map(|aborted| {
                let wire = |transaction: log::AbortedTransaction| AbortedTransaction {
                    producer_id: transaction.producer_id,
                    first_offset: transaction.first_offset,
                };
                aborted.into_iter().map(wire).collect()
            }),
            records: result.records,
            ..Partition::error(index, 0)
        };
        room.take(partition.records_length());
        partition
    }

    /// The follower that the consumer should read, if there is a nearer one.
    fn nearer(&self, partition: &replica::Partition, wanted: &Wanted) -> Option<BrokerId> {
        let is_consumer = self.fetcher == Fetcher::Consumer(Reader::ClientOfAnyReplica);
        if !self.source.rack_aware || !is_consumer || self.rack.is_empty() {
            return None;
        }
        let leads = partition.leads_in()?;
        // Whoever means another epoch is told so first.
        if wanted.current_epoch >= 0 && wanted.current_epoch != leads {
            return None;
        }
        let snapshot = self.source.known.snapshot();
        let rack_of = |id| snapshot.brokers.get(&id)?.rack.as_deref();
        let followers = partition.followers_with(wanted.offset);
        nearest::nearest(&self.rack, self.source.broker_id, &followers, rack_of)
    }

    /// Why the topic's records cannot be given to a reader of this version.
    fn format_refusal(&self, partition: &replica::Partition) -> Option<ResponseError> {
        if self.version >= ZSTD_FROM {
            return None;
        }
        let config = partition.config();
        if config.compression_type == Some(Compression::Zstd) {
            return Some(ResponseError::UnsupportedCompressionType);
        }
        let is_refused = self.conversion.is_some() && !config.message_downconversion_enable;
        is_refused.then_some(ResponseError::UnsupportedVersion)
    }

    fn code(&self, failed: &replica::Error) -> ResponseError {
        match error::replica(failed) {
            ResponseError::KafkaStorageError if self.version <= WITHOUT_STORAGE_ERROR => {
                ResponseError::NotLeaderOrFollower
            }
            code => code,
        }
    }

    /// What a follower gets of throttled replicas counts, in sync or not.
    fn note_throttled(&self, found: &Found) {
        if !self.fetcher.is_follower() {
            return;
        }
        let given = found.given();
        let throttled = given.filter(|(replica, _)| replica.is_throttled_as_leader());
        let bytes: usize = throttled.map(|(_, bytes)| bytes).sum();
        if bytes > 0 {
            let replicas = &self.source.known.replicas;
            replicas.quotas().leader.record(bytes);
        }
    }

    fn count_given(&self, found: &Found) {
        let what = match self.fetcher.is_follower() {
            true => Traffic::ReplicationBytesOut,
            false => Traffic::BytesOut,
        };
        for (replica, bytes) in found.given() {
            replica.count(what, bytes as u64);
        }
    }

    /// The response: what the session does not leave out, by topic.
    fn answer(self, found: Found) -> Response {
        self.note_throttled(&found);
        let sessions = &self.source.sessions;
        if let Some(throttle) = &self.throttle
            && throttle.fetched(response_bytes(&found.results)).is_some()
        {
            // The records come when they may; the session has not seen them.
            return Response {
                session_id: self.opened.session_id(),
                ..Response::default()
            };
        }
        self.count_given(&found);
        let answered = sessions.answer(&self.opened, &self.wanted, found.results);
        let mut response = Response {
            error_code: answered.error_code,
            session_id: answered.session_id,
            ..Response::default()
        };
        for (wanted, mut result) in answered.results {
            if self.version >= LEADER_FROM {
                self.tell_leader(wanted, &mut result, &mut response.node_endpoints);
            }
            match response.topics.last_mut() {
                Some(topic) if (&topic.name, topic.id) == (&wanted.name, wanted.id) => {
                    topic.partitions.push(result);
                }
                _ => response.topics.push(Topic {
                    name: wanted.name.clone(),
                    id: wanted.id,
                    partitions: vec![result],
                }),
            }
        }
        response
    }

    /// Who leads instead of this broker, and where that is.
    fn tell_leader(
        &self,
        wanted: &Wanted,
        result: &mut Partition,
        endpoints: &mut Vec<NodeEndpoint>,
    ) {
        let Some(name) = &wanted.name else { return };
        let id = TopicPartition::new(name.clone(), wanted.index);
        let Some(leader) = self.leaders.instead(result.error_code, &id) else {
            return;
        };
        result.current_leader = Some(
            LeaderIdAndEpoch::default()
                .with_leader_id(leader.id.into())
                .with_leader_epoch(leader.epoch),
        );
        let is_told = endpoints.iter().any(|told| told.node_id.0 == leader.id);
        if !is_told && let Some(address) = leader.address {
            endpoints.push(
                NodeEndpoint::default()
                    .with_node_id(leader.id.into())
                    .with_host(text(address.host))
                    .with_port(address.port)
                    .with_rack(address.rack.map(text)),
            );
        }
    }
}

/// What a response costs, nearly: the records, and what is around them.
fn response_bytes(results: &[Partition]) -> usize {
    const HEADER: usize = 20;
    const PARTITION: usize = 48;
    let with_records = results.iter().map(Partition::records_length);
    let of_partitions = with_records.filter(|length| *length > 0);
    HEADER
        + of_partitions
            .map(|length| length + PARTITION)
            .sum::<usize>()
}

/// What was read of all partitions.
#[derive(Default)]
struct Found {
    results: Vec<Partition>,
    /// The replicas that gave records, by their places in the results.
    given: Vec<(usize, Arc<replica::Partition>)>,
    /// Bytes that were there, also beyond the room of the answer.
    available: usize,
    /// Some partition goes on in a newer segment.
    is_behind: bool,
}

impl Found {
    /// Replicas with the bytes of records that they gave.
    fn given(&self) -> impl Iterator<Item = (&replica::Partition, usize)> {
        self.given.iter().filter_map(|(at, replica)| {
            let bytes = self.results.get(*at)?.records_length();
            Some((&**replica, bytes))
        })
    }
}

/// What is left of the bytes that one response may have, and what was found.
struct Room {
    left: usize,
    is_empty: bool,
    available: usize,
    is_behind: bool,
    given: Vec<(usize, Arc<replica::Partition>)>,
}

impl Room {
    fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.is_empty &= bytes == 0;
    }
}
