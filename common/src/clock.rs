//! Time as a value: deadlines by the monotonic clock, timestamps by the wall clock.
//!
//! **Invariant:** nothing else in the workspace asks the operating system for
//! the time, so a test or a simulation can own it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;
    /// Milliseconds since the Unix epoch; may jump.
    fn wall_ms(&self) -> i64;
}

/// The handle that components receive.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn system() -> SharedClock {
    Arc::new(SystemClock {
        origin: Instant::now(),
    })
}

struct SystemClock {
    origin: Instant,
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    monotonic_ns: AtomicU64,
    wall_ms: AtomicI64,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl ManualClock {
    /// Starts at zero monotonic time and an arbitrary fixed date.
    #[must_use]
    pub fn new() -> Self {
        Self {
            monotonic_ns: AtomicU64::new(0),
            wall_ms: AtomicI64::new(1_700_000_000_000),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.monotonic_ns.fetch_add(ns, Ordering::SeqCst);
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Makes the wall clock jump; the monotonic clock stays.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.load(Ordering::SeqCst))
    }

    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}
