//! When sessions expire.
//!
//! Deadlines live in buckets of one tick. Touching a session only stores the
//! time in it; when its bucket is due, a session that was touched meanwhile moves
//! on to a later bucket. So a request costs one store, and a tick looks only at
//! sessions that may be due.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// One live session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: i64,
    timeout_ms: AtomicI32,
    touched_ms: AtomicU64,
    closing: AtomicBool,
    /// How often the server has stopped listening to it for the time being.
    holds: AtomicUsize,
}

/// While it exists the server does not listen to the session, which therefore
/// cannot be silent.
#[derive(Debug)]
pub(crate) struct Hold<'a>(&'a Session);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Session {
    fn new(id: i64, timeout_ms: i32, now: Duration) -> Self {
        Self {
            id,
            timeout_ms: AtomicI32::new(timeout_ms),
            touched_ms: AtomicU64::new(millis(now)),
            closing: AtomicBool::new(false),
            holds: AtomicUsize::new(0),
        }
    }

    /// A session that is only being asked for; nobody watches over it.
    pub(crate) fn requested(id: i64, timeout_ms: i32) -> Arc<Self> {
        Arc::new(Self::new(id, timeout_ms, Duration::ZERO))
    }

    pub(crate) fn timeout_ms(&self) -> i32 {
        self.timeout_ms.load(Ordering::Relaxed)
    }

    /// When its timeout has passed, by the monotonic clock, unless it is touched again.
    pub(crate) fn deadline_ms(&self) -> u64 {
        let timeout = u64::try_from(self.timeout_ms()).unwrap_or(0);
        self.touched_ms.load(Ordering::Relaxed) + timeout
    }

    /// The client is alive at `now`.
    pub(crate) fn touch(&self, now: Duration) {
        self.touched_ms.fetch_max(millis(now), Ordering::Relaxed);
    }

    /// Its requests are not read until the guard is dropped; whoever drops it must
    /// touch the session before.
    pub(crate) fn hold(&self) -> Hold<'_> {
        self.holds.fetch_add(1, Ordering::AcqRel);
        Hold(self)
    }

    /// Its closing is under way: nothing more is accepted from it.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    pub(crate) fn set_closing(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug, Default)]
struct Buckets {
    sessions: HashMap<i64, Arc<Session>>,
    /// Number of the tick at whose end they are looked at, to the sessions.
    due: BTreeMap<u64, HashSet<i64>>,
}

/// All live sessions and their deadlines.
#[derive(Debug)]
pub(crate) struct Tracker {
    tick_ms: u64,
    buckets: Mutex<Buckets>,
}

impl Tracker {
    pub(crate) fn new(tick: Duration) -> Self {
        Self {
            tick_ms: millis(tick).max(1),
            buckets: Mutex::default(),
        }
    }

    /// Starts to watch over a session; it has its full timeout from `now`.
    pub(crate) fn track(&self, id: i64, timeout_ms: i32, now: Duration) -> Arc<Session> {
        let session = Arc::new(Session::new(id, timeout_ms, now));
        let mut buckets = self.buckets.lock();
        let bucket = self.bucket(&session);
        buckets.sessions.insert(id, Arc::clone(&session));
        buckets.due.entry(bucket).or_default().insert(id);
        session
    }

    pub(crate) fn get(&self, id: i64) -> Option<Arc<Session>> {
        self.buckets.lock().sessions.get(&id).map(Arc::clone)
    }

    /// A client came back to its session, perhaps with another timeout.
    pub(crate) fn reattach(&self, session: &Session, timeout_ms: i32, now: Duration) {
        session.timeout_ms.store(timeout_ms, Ordering::Relaxed);
        session.touch(now);
        let mut buckets = self.buckets.lock();
        // A shorter timeout than before would be noticed too late in the old bucket.
        let bucket = self.bucket(session);
        buckets.due.entry(bucket).or_default().insert(session.id);
    }

    pub(crate) fn remove(&self, id: i64) {
        self.buckets.lock().sessions.remove(&id);
    }

    pub(crate) fn len(&self) -> usize {
        self.buckets.lock().sessions.len()
    }

    /// This process did not run for a while before `now`: no client's fault. Every
    /// deadline from before moves by as much.
    pub(crate) fn stalled(&self, by: Duration, now: Duration) {
        let (by, now) = (millis(by), millis(now));
        for session in self.buckets.lock().sessions.values() {
            let touched = session.touched_ms.load(Ordering::Relaxed);
            let moved = (touched + by).min(now);
            session.touched_ms.fetch_max(moved, Ordering::Relaxed);
        }
    }

    /// The sessions whose timeout has passed at `now`. Each is named once, unless
    /// it is touched after that and not removed.
    pub(crate) fn expired(&self, now: Duration) -> Vec<Arc<Session>> {
        let mut buckets = self.buckets.lock();
        let due_before = millis(now) / self.tick_ms;
        let later = buckets.due.split_off(&(due_before + 1));
        let due = std::mem::replace(&mut buckets.due, later);
        // A session may stand in several buckets after its timeout changed.
        let due: HashSet<i64> = due.into_values().flatten().collect();
        let mut expired = Vec::new();
        for id in due {
            let Some(session) = buckets.sessions.get(&id).map(Arc::clone) else {
                continue;
            };
            if session.holds.load(Ordering::Acquire) > 0 {
                session.touch(now);
            }
            let bucket = self.bucket(&session);
            if bucket > due_before {
                buckets.due.entry(bucket).or_default().insert(id);
            } else if !session.is_closing() {
                expired.push(session);
            }
        }
        expired
    }

    /// All live sessions, by their ids.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let buckets = self.buckets.lock();
        let mut all: Vec<_> = buckets.sessions.values().map(Arc::clone).collect();
        all.sort_by_key(|session| session.id);
        all
    }

    /// The sessions by the tick at which they are due, for the operator.
    pub(crate) fn buckets(&self) -> BTreeMap<u64, Vec<i64>> {
        let buckets = self.buckets.lock();
        let mut sets: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for session in buckets.sessions.values() {
            let bucket = self.bucket(session);
            sets.entry(bucket * self.tick_ms)
                .or_default()
                .push(session.id);
        }
        sets
    }

    /// The first tick that ends after the deadline.
    fn bucket(&self, session: &Session) -> u64 {
        let timeout = u64::try_from(session.timeout_ms()).unwrap_or(0);
        let touched = session.touched_ms.load(Ordering::Relaxed);
        (touched + timeout) / self.tick_ms + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::clock::{Clock, ManualClock};

    const TICK: Duration = Duration::from_millis(1000);

    fn advance(clock: &ManualClock, ms: u64) -> Duration {
        clock.advance(Duration::from_millis(ms));
        clock.monotonic()
    }

    fn ids(sessions: Vec<Arc<Session>>) -> Vec<i64> {
        sessions.iter().map(|session| session.id).collect()
    }

    #[test]
    fn a_silent_session_expires_within_a_tick_after_its_timeout() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        tracker.track(1, 6000, advance(&clock, 300));
        assert!(tracker.expired(advance(&clock, 6000)).is_empty());
        assert!(tracker.expired(advance(&clock, 600)).is_empty());
        assert_eq!(ids(tracker.expired(advance(&clock, 100))), [1]);
        assert!(tracker.expired(advance(&clock, 9000)).is_empty());
    }

    #[test]
    fn a_touched_session_lives_on() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        let session = tracker.track(1, 4000, clock.monotonic());
        for _ in 0..20 {
            let now = advance(&clock, 3000);
            assert!(tracker.expired(now).is_empty());
            session.touch(now);
        }
        assert_eq!(ids(tracker.expired(advance(&clock, 5000))), [1]);
    }

    #[test]
    fn a_stall_of_the_process_is_not_held_against_the_clients() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        tracker.track(1, 4000, clock.monotonic());
        let now = advance(&clock, 60_000);
        tracker.stalled(Duration::from_secs(60), now);
        assert!(tracker.expired(now).is_empty());
        assert!(tracker.expired(advance(&clock, 4000)).is_empty());
        assert_eq!(ids(tracker.expired(advance(&clock, 1000))), [1]);
    }

    /// The time of a stall once stayed in every deadline for ever.
    #[test]
    fn a_stall_does_not_prolong_what_comes_after_it() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        let session = tracker.track(1, 4000, clock.monotonic());
        let now = advance(&clock, 60_000);
        // It is heard of before the stall is noticed.
        session.touch(now);
        tracker.stalled(Duration::from_secs(60), now);
        tracker.track(2, 4000, now);
        assert!(tracker.expired(advance(&clock, 4000)).is_empty());
        let mut expired = ids(tracker.expired(advance(&clock, 1000)));
        expired.sort();
        assert_eq!(expired, [1, 2]);
    }

    #[test]
    fn a_session_that_is_not_listened_to_is_not_silent() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        let session = tracker.track(1, 4000, clock.monotonic());
        let hold = session.hold();
        for _ in 0..9 {
            assert!(tracker.expired(advance(&clock, 3000)).is_empty());
        }
        session.touch(clock.monotonic());
        drop(hold);
        assert!(tracker.expired(advance(&clock, 4000)).is_empty());
        assert_eq!(ids(tracker.expired(advance(&clock, 1000))), [1]);
    }

    #[test]
    fn a_closed_session_is_not_named() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        tracker.track(1, 4000, clock.monotonic()).set_closing();
        tracker.track(2, 4000, clock.monotonic());
        tracker.remove(2);
        assert!(tracker.expired(advance(&clock, 9000)).is_empty());
        assert_eq!(tracker.len(), 1);
    }

    #[test]
    fn a_client_that_comes_back_may_shorten_its_timeout() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        let session = tracker.track(1, 40_000, clock.monotonic());
        tracker.reattach(&session, 4000, advance(&clock, 1000));
        assert_eq!(ids(tracker.expired(advance(&clock, 5000))), [1]);
    }

    #[test]
    fn the_wall_clock_does_not_matter() {
        let (clock, tracker) = (ManualClock::new(), Tracker::new(TICK));
        tracker.track(1, 4000, clock.monotonic());
        clock.set_wall_ms(clock.wall_ms() + 86_400_000);
        assert!(tracker.expired(clock.monotonic()).is_empty());
    }
}
