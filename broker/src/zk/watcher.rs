//! Where watch events wait for the one who asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::zk::EventType;
use indexmap::IndexSet;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::watches::WatcherId;

/// A watch fired.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WatchEvent {
    pub kind: EventType,
    pub path: String,
    /// The session in which it fired, see [`super::State`].
    pub generation: u64,
}

/// Receives the events of the watches that were set through it.
///
/// Events wait in order; an event that already waits is not queued twice, so
/// the queue never holds more than there are watches. Dropping the watcher
/// drops its watches on this side.
#[derive(Debug)]
pub struct Watcher {
    pub(super) mailbox: Arc<Mailbox>,
}

#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) id: WatcherId,
    events: Mutex<IndexSet<WatchEvent>>,
    arrived: Notify,
}

impl Watcher {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            mailbox: Arc::new(Mailbox {
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                events: Mutex::default(),
                arrived: Notify::new(),
            }),
        }
    }

    /// Waits for the next event; cancel safe.
    pub async fn next(&self) -> WatchEvent {
        loop {
            let arrived = self.mailbox.arrived.notified();
            if let Some(event) = self.try_next() {
                return event;
            }
            arrived.await;
        }
    }

    /// The next event if one waits.
    #[must_use]
    pub fn try_next(&self) -> Option<WatchEvent> {
        self.mailbox.events.lock().shift_remove_index(0)
    }
}

impl Mailbox {
    pub(super) fn put(&self, event: WatchEvent) {
        self.events.lock().insert(event);
        self.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str) -> WatchEvent {
        WatchEvent { kind: EventType::NodeCreated, path: path.into(), generation: 1 }
    }

    #[tokio::test]
    async fn events_come_in_order_and_once() {
        let watcher = Watcher::new();
        assert_eq!(watcher.try_next(), None);
        for path in ["/a", "/b", "/a", "/c"] {
            watcher.mailbox.put(event(path));
        }
        for path in ["/a", "/b", "/c"] {
            assert_eq!(watcher.next().await, event(path));
        }
        assert_eq!(watcher.try_next(), None);
    }

    #[tokio::test]
    async fn a_waiting_watcher_is_woken() {
        let watcher = Watcher::new();
        let mailbox = watcher.mailbox.clone();
        let (event_seen, ()) = tokio::join!(watcher.next(), async { mailbox.put(event("/a")) });
        assert_eq!(event_seen, event("/a"));
    }
}
