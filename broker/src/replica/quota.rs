//! How fast replication may be: bytes per second of all that is held back
//! together (KIP-73, KIP-113).
//!
//! **Invariant:** a quota is measured, not reserved: what goes beyond it is made
//! up for by waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::Mutex;

/// No limit.
const UNLIMITED: u64 = u64::MAX;

/// How a rate is measured: `replication.quota.window.num` windows of
/// `replication.quota.window.size.seconds` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub count: usize,
    pub size: Duration,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            count: 11,
            size: Duration::from_secs(1),
        }
    }
}

/// The bytes of the last windows.
#[derive(Debug)]
struct Rate {
    windows: Windows,
    /// When each began, and what it has.
    samples: VecDeque<(Duration, u64)>,
}

impl Rate {
    fn forget_old(&mut self, now: Duration) {
        let count = u32::try_from(self.windows.count).unwrap_or(u32::MAX);
        let age_max = self.windows.size.saturating_mul(count);
        while let Some((began, _)) = self.samples.front()
            && now.saturating_sub(*began) >= age_max
        {
            self.samples.pop_front();
        }
    }

    fn record(&mut self, bytes: u64, now: Duration) {
        self.forget_old(now);
        match self.samples.back_mut() {
            Some((began, sum)) if now.saturating_sub(*began) < self.windows.size => *sum += bytes,
            _ => self.samples.push_back((now, bytes)),
        }
    }

    /// Over the time since the oldest window began, and one window at least.
    fn per_second(&mut self, now: Duration) -> f64 {
        self.forget_old(now);
        let Some((oldest, _)) = self.samples.front() else {
            return 0.0;
        };
        let time = now.saturating_sub(*oldest).max(self.windows.size);
        let bytes: u64 = self.samples.iter().map(|(_, bytes)| bytes).sum();
        bytes as f64 / time.as_secs_f64()
    }
}

/// One limit and how much of it is used.
pub struct Quota {
    limit: AtomicU64,
    rate: Mutex<Rate>,
    clock: SharedClock,
}

impl Quota {
    #[must_use]
    pub fn new(windows: Windows, clock: SharedClock) -> Self {
        Self {
            limit: AtomicU64::new(UNLIMITED),
            rate: Mutex::new(Rate {
                windows,
                samples: VecDeque::new(),
            }),
            clock,
        }
    }

    /// Bytes per second from now on; `None` for as many as there are.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        let limit = bytes_per_second.unwrap_or(UNLIMITED);
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether more went than may.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        limit != UNLIMITED && self.rate.lock().per_second(self.clock.monotonic()) > limit as f64
    }

    /// Notes that these bytes went. They count also while there is no limit, so
    /// that one that comes finds the rate as it is.
    pub fn record(&self, bytes: usize) {
        let now = self.clock.monotonic();
        self.rate.lock().record(bytes as u64, now);
    }
}

/// The limits of one broker.
pub struct Quotas {
    /// `leader.replication.throttled.rate`: of what followers get here.
    pub leader: Quota,
    /// `follower.replication.throttled.rate`: of what is got from leaders.
    pub follower: Quota,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`: of what moves between
    /// directories.
    pub log_dirs: Quota,
}

impl Quotas {
    #[must_use]
    pub fn new(replication: Windows, log_dirs: Windows, clock: &SharedClock) -> Self {
        Self {
            leader: Quota::new(replication, clock.clone()),
            follower: Quota::new(replication, clock.clone()),
            log_dirs: Quota::new(log_dirs, clock.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rate(count: usize) -> Rate {
        let windows = Windows {
            count,
            size: SECOND,
        };
        Rate {
            windows,
            samples: VecDeque::new(),
        }
    }

    #[test]
    fn a_burst_is_spread_over_one_window_at_least() {
        let mut rate = rate(3);
        rate.record(100, SECOND * 10);
        assert_eq!(rate.per_second(SECOND * 10), 100.0);
        assert_eq!(rate.per_second(SECOND * 10 + SECOND / 2), 100.0);
        assert_eq!(rate.per_second(SECOND * 12), 50.0);
    }

    #[test]
    fn what_lies_before_the_windows_is_forgotten() {
        let mut rate = rate(3);
        rate.record(300, SECOND * 10);
        rate.record(60, SECOND * 12);
        assert_eq!(rate.per_second(SECOND * 12), 180.0);
        assert_eq!(rate.per_second(SECOND * 13), 60.0);
        assert_eq!(rate.per_second(SECOND * 15), 0.0);
    }

    #[test]
    fn without_a_limit_nothing_is_exceeded() {
        let quota = Quota::new(Windows::default(), common::clock::system());
        quota.record(1 << 40);
        assert!(!quota.is_exceeded());
        quota.limit(Some(1000));
        assert!(quota.is_exceeded());
        quota.limit(Some(1 << 50));
        assert!(!quota.is_exceeded());
        quota.limit(None);
        assert!(!quota.is_exceeded());
    }
}
