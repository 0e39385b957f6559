//! What a session watches from one request to the next while nothing happens.
//!
//! A reader that got nothing and asks for the same again need not be read for:
//! its partitions still know the waiter of its last request, and have not woken
//! it. So an idle follower costs its leader little, however many partitions it
//! follows.
//!
//! **Invariant:** a watch is kept only where the last read of every partition
//! is what the reader was told, and was made after the waiter registered.

use std::time::Duration;

use common::config::Values;
use futures::FutureExt;

use super::reader::Fetcher;
use crate::config::millis;
use crate::replica::{Isolation, Registration, Waiter};

/// The longest that a quiet session does without being read for.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// How long a quiet session may do without being read for: a small part of the
/// time after which its follower would be said to lag.
pub(crate) fn watch_max(values: &Values) -> Duration {
    (millis(values, "replica.lag.time.max.ms") / 8).min(LOOK_AGAIN)
}

/// Who watches, and how far it may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watcher {
    pub(super) fetcher: Fetcher,
    pub(super) isolation: Isolation,
}

/// Partitions that were quiet when they were last read.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) watcher: Watcher,
    pub(super) waiter: Waiter,
    /// They last as long as the watch.
    pub(super) _registrations: Vec<Registration>,
    /// From then on, they are to be read again: time alone may have moved the
    /// start of a log, and a leader must hear of its followers.
    pub(super) until: Duration,
}

impl Watch {
    /// Says whether the reader would find what it found last time.
    pub(super) fn holds(&self, watcher: Watcher, now: Duration) -> bool {
        let is_woken = self.waiter.progress().now_or_never().is_some();
        !is_woken && self.watcher == watcher && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::Reader;

    #[tokio::test]
    async fn a_watch_ends_with_progress_time_or_another_reader() {
        let watcher = Watcher {
            fetcher: Fetcher::Consumer(Reader::Client),
            isolation: Isolation::ReadUncommitted,
        };
        let watch = Watch {
            watcher,
            waiter: Waiter::default(),
            _registrations: Vec::new(),
            until: Duration::from_secs(3),
        };
        assert!(watch.holds(watcher, Duration::from_secs(2)));
        assert!(!watch.holds(watcher, Duration::from_secs(3)));
        let committed = Watcher {
            isolation: Isolation::ReadCommitted,
            ..watcher
        };
        assert!(!watch.holds(committed, Duration::from_secs(2)));
        watch.waiter.wake();
        assert!(!watch.holds(watcher, Duration::from_secs(2)));
    }
}
