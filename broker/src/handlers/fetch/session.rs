//! Fetch sessions (KIP-227): a reader names its partitions once, then only
//! what changes; an answer leaves out what the reader knows already.
//!
//! State: `Sessions` owns all of them, at most so many at a time; each has a
//! lock of its own, taken inside the cache's and never the other way round.
//!
//! **Invariant:** a session's epoch grows with each request, so a request that
//! comes twice or too late is refused instead of answered wrongly.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;

use super::wanted::{Key, Wanted};
use super::watch::{Watch, Watcher};
use crate::cluster::Snapshot;
use crate::protocol::fetch_response::Partition;

/// The session of those who have none.
const NO_SESSION: i32 = 0;
/// Opens a session with its full list.
const INITIAL_EPOCH: i32 = 0;
/// A full list without a session, and the end of the one that is named.
const FINAL_EPOCH: i32 = -1;
/// A session may be evicted for another after this time, as in Kafka.
const EVICTABLE_AFTER_MS: i64 = 120_000;
/// The high watermark of a partition about which nothing was told.
const UNTOLD: i64 = -1;

/// What a request says of sessions.
pub(super) struct Question {
    pub(super) session_id: i32,
    pub(super) epoch: i32,
    pub(super) names_by_id: bool,
    pub(super) wanted: Vec<Wanted>,
    pub(super) forgotten: Vec<Key>,
    pub(super) watcher: Watcher,
}

/// What is to be read, and how the answer will be given.
pub(super) struct Opened {
    /// Empty where there is a watch.
    pub(super) wanted: Vec<Wanted>,
    pub(super) opened: OpenedAs,
    /// Nothing happened since the last answer.
    pub(super) watch: Option<Watch>,
}

/// How a request's answer relates to sessions.
pub(super) enum OpenedAs {
    Sessionless,
    /// A session begins with the answer.
    Full {
        names_by_id: bool,
    },
    /// The session goes on; its epoch is now the one after the request's.
    Incremental {
        session: Arc<Session>,
        epoch: i32,
    },
}

/// An answer with what is left of its partitions.
pub(super) struct Answered<'a> {
    pub(super) error_code: i16,
    pub(super) session_id: i32,
    pub(super) results: Vec<(&'a Wanted, Partition)>,
}

/// All sessions of this broker.
pub(crate) struct Sessions {
    /// `max.incremental.fetch.session.cache.slots`.
    slots: usize,
    /// How long a quiet session may do without being read for.
    watch_max: Duration,
    clock: SharedClock,
    cache: Mutex<HashMap<i32, Arc<Session>>>,
}

/// One session.
pub(super) struct Session {
    id: i32,
    created_ms: i64,
    names_by_id: bool,
    state: Mutex<State>,
}

struct State {
    epoch: i32,
    last_used_ms: i64,
    cached: HashMap<Key, Cached>,
    /// Whoever got records goes to the end, so that each gets its turn.
    order: BTreeMap<u64, Key>,
    next_turn: u64,
    watch: Option<Watch>,
}

struct Cached {
    turn: u64,
    wanted: Wanted,
    told_high_watermark: i64,
    told_log_start: i64,
}

impl OpenedAs {
    /// All partitions of the session, as they are to be read.
    pub(super) fn wanted(&self, snapshot: &Snapshot) -> Vec<Wanted> {
        match self {
            Self::Incremental { session, .. } => session.state.lock().in_turn(snapshot),
            Self::Sessionless | Self::Full { .. } => Vec::new(),
        }
    }

    /// Keeps what the session's next request may go on with, unless that has
    /// come already.
    pub(super) fn keep(&self, watch: Watch) {
        if let Self::Incremental { session, epoch } = self {
            let mut state = session.state.lock();
            if state.epoch == *epoch {
                state.watch = Some(watch);
            }
        }
    }

    /// The session that goes on, or none.
    pub(super) fn session_id(&self) -> i32 {
        match self {
            Self::Incremental { session, .. } => session.id,
            Self::Sessionless | Self::Full { .. } => NO_SESSION,
        }
    }
}

impl Sessions {
    pub(crate) fn new(slots: usize, watch_max: Duration, clock: SharedClock) -> Self {
        Self {
            slots,
            watch_max,
            clock,
            cache: Mutex::default(),
        }
    }

    pub(super) fn watch_max(&self) -> Duration {
        self.watch_max
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// What the request wants by itself or together with its session.
    pub(super) fn open(
        &self,
        question: Question,
        snapshot: &Snapshot,
    ) -> Result<Opened, ResponseError> {
        let names_by_id = question.names_by_id;
        if let INITIAL_EPOCH | FINAL_EPOCH = question.epoch {
            self.cache.lock().remove(&question.session_id);
            return Ok(Opened {
                wanted: question.wanted,
                opened: match question.epoch {
                    FINAL_EPOCH => OpenedAs::Sessionless,
                    _ => OpenedAs::Full { names_by_id },
                },
                watch: None,
            });
        }
        let mut cache = self.cache.lock();
        let session = cache.get(&question.session_id).cloned();
        let session = session.ok_or(ResponseError::FetchSessionIdNotFound)?;
        let mut state = session.state.lock();
        if state.epoch != question.epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.names_by_id != names_by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        let last = state.update(&question);
        if last == Contents::Nothing {
            cache.remove(&session.id);
            return Ok(Opened {
                wanted: question.wanted,
                opened: OpenedAs::Sessionless,
                watch: None,
            });
        }
        state.last_used_ms = self.clock.wall_ms();
        state.epoch = next_epoch(state.epoch);
        let epoch = state.epoch;
        let watch = state.watch.take().filter(|watch| {
            let is_same = question.wanted.is_empty() && question.forgotten.is_empty();
            is_same && watch.holds(question.watcher, self.clock.monotonic())
        });
        let wanted = match watch {
            Some(_) => Vec::new(),
            None => state.in_turn(snapshot),
        };
        drop(state);
        Ok(Opened {
            wanted,
            opened: OpenedAs::Incremental { session, epoch },
            watch,
        })
    }

    /// The session to answer in, and the results that must be told.
    /// `results` belong to `wanted`, one for one.
    pub(super) fn answer<'a>(
        &self,
        opened: &OpenedAs,
        wanted: &'a [Wanted],
        results: Vec<Partition>,
    ) -> Answered<'a> {
        debug_assert_eq!(wanted.len(), results.len(), "each partition has its result");
        let mut answered = Answered {
            error_code: 0,
            session_id: NO_SESSION,
            results: wanted.iter().zip(results).collect(),
        };
        match opened {
            OpenedAs::Sessionless => {}
            OpenedAs::Full { names_by_id } => {
                answered.session_id = self.create(*names_by_id, &answered.results);
            }
            OpenedAs::Incremental { session, epoch } => {
                answered.session_id = session.id;
                let mut state = session.state.lock();
                if state.epoch == *epoch {
                    let results = &mut answered.results;
                    results.retain(|(wanted, result)| state.must_tell(wanted, result));
                } else {
                    answered.error_code = ResponseError::InvalidFetchSessionEpoch.code();
                    answered.results.clear();
                }
            }
        }
        answered
    }

    /// Begins a session if there is room; its id, or none.
    fn create(&self, names_by_id: bool, results: &[(&Wanted, Partition)]) -> i32 {
        let now_ms = self.clock.wall_ms();
        let mut cache = self.cache.lock();
        if cache.len() >= self.slots {
            match evictable(&cache, results.len(), now_ms) {
                Some(id) => cache.remove(&id),
                None => return NO_SESSION,
            };
        }
        let Some(id) = unused_id(&cache) else {
            return NO_SESSION;
        };
        let mut state = State {
            epoch: next_epoch(INITIAL_EPOCH),
            last_used_ms: now_ms,
            cached: HashMap::with_capacity(results.len()),
            order: BTreeMap::new(),
            next_turn: 0,
            watch: None,
        };
        for (wanted, result) in results {
            state.put(wanted, result.high_watermark, result.log_start_offset);
        }
        let session = Session {
            id,
            created_ms: now_ms,
            names_by_id,
            state: Mutex::new(state),
        };
        cache.insert(id, Arc::new(session));
        id
    }
}

/// Whether a session still has partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contents {
    Something,
    Nothing,
}

impl State {
    fn update(&mut self, question: &Question) -> Contents {
        for wanted in &question.wanted {
            let known = wanted.key().and_then(|key| self.cached.get_mut(&key));
            match known {
                Some(known) => known.wanted.clone_from(wanted),
                None => self.put(wanted, UNTOLD, UNTOLD),
            }
        }
        for key in &question.forgotten {
            if let Some(known) = self.cached.remove(key) {
                self.order.remove(&known.turn);
            }
        }
        match self.cached.is_empty() {
            true => Contents::Nothing,
            false => Contents::Something,
        }
    }

    /// Adds a partition at the end.
    fn put(&mut self, wanted: &Wanted, high_watermark: i64, log_start: i64) {
        let Some(key) = wanted.key() else { return };
        let turn = self.next_turn;
        self.next_turn += 1;
        self.order.insert(turn, key.clone());
        let cached = Cached {
            turn,
            wanted: wanted.clone(),
            told_high_watermark: high_watermark,
            told_log_start: log_start,
        };
        if let Some(before) = self.cached.insert(key, cached) {
            self.order.remove(&before.turn);
        }
    }

    /// All partitions; a topic that was unknown may be known by now.
    fn in_turn(&mut self, snapshot: &Snapshot) -> Vec<Wanted> {
        let mut all = Vec::with_capacity(self.order.len());
        for key in self.order.values() {
            let Some(cached) = self.cached.get_mut(key) else {
                continue;
            };
            if let Key::Id(id, _) = key
                && cached.wanted.name.is_none()
            {
                cached.wanted.name = snapshot.topic_name(*id).cloned();
            }
            all.push(cached.wanted.clone());
        }
        all
    }

    /// Notes what is told of a partition; false when there is nothing to tell.
    fn must_tell(&mut self, wanted: &Wanted, result: &Partition) -> bool {
        let Some(key) = wanted.key() else {
            return true;
        };
        // Whoever was forgotten meanwhile is told once more.
        let Some(cached) = self.cached.get_mut(&key) else {
            return true;
        };
        let has_records = result.records_length() > 0;
        let has_moved = (cached.told_high_watermark, cached.told_log_start)
            != (result.high_watermark, result.log_start_offset);
        cached.told_high_watermark = result.high_watermark;
        cached.told_log_start = result.log_start_offset;
        if result.error_code != 0 {
            // So that the partition is told again when the error is over.
            cached.told_high_watermark = UNTOLD;
        }
        if has_records {
            let turn = self.next_turn;
            self.next_turn += 1;
            self.order.remove(&cached.turn);
            cached.turn = turn;
            self.order.insert(turn, key);
        }
        has_records
            || has_moved
            || result.error_code != 0
            || result.preferred_read_replica >= 0
            || result.diverging_epoch.is_some()
    }
}

/// The session that gives way to a new one of `size` partitions: one that was
/// idle for long, or a smaller one that has had its time.
fn evictable(cache: &HashMap<i32, Arc<Session>>, size: usize, now_ms: i64) -> Option<i32> {
    let used = |session: &Session| session.state.lock().last_used_ms;
    let oldest = cache
        .values()
        .min_by_key(|session| (used(session), session.id))?;
    if now_ms - used(oldest) > EVICTABLE_AFTER_MS {
        return Some(oldest.id);
    }
    let has_had_its_time =
        |session: &&Arc<Session>| now_ms - session.created_ms > EVICTABLE_AFTER_MS;
    let sizes = cache.values().filter(has_had_its_time).map(|session| {
        let partitions = session.state.lock().cached.len();
        (partitions, session.id)
    });
    let smallest = sizes.min()?;
    // A new session counts as one with the id 0.
    ((size, NO_SESSION) >= smallest).then_some(smallest.1)
}

fn unused_id(cache: &HashMap<i32, Arc<Session>>) -> Option<i32> {
    loop {
        let random = getrandom::u32().ok()?;
        let id = i32::try_from(random >> 1).ok()?;
        if id != NO_SESSION && !cache.contains_key(&id) {
            return Some(id);
        }
    }
}

fn next_epoch(epoch: i32) -> i32 {
    // 0 and -1 have meanings of their own.
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
