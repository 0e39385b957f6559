//! Waiting for progress of several partitions at once.
//!
//! A request registers one `Waiter` with every partition that it reads or
//! wrote; each of them wakes it when its offsets or its role change.
//!
//! **Invariant:** a waiter that registered looks again before it sleeps, unless
//! the `Pulse` is still where it was before the first look; so progress in
//! between is not missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What one request sleeps on.
#[derive(Debug, Clone, Default)]
pub struct Waiter {
    notify: Arc<Notify>,
}

impl Waiter {
    /// Resolves when a partition made progress since the last call; cancel safe.
    pub async fn progress(&self) {
        self.notify.notified().await;
    }

    /// As if a partition made progress.
    #[cfg(test)]
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }
}

/// Counts the progress of all partitions of a broker: where it stands still,
/// nothing changed that a waiter waits for.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Those who wait for one partition.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    pulse: Pulse,
    next_id: AtomicU64,
    waiting: Arc<Mutex<HashMap<u64, Arc<Notify>>>>,
}

/// A waiter's place at a partition; dropping it ends the registration.
#[derive(Debug)]
pub struct Registration {
    id: u64,
    waiting: Arc<Mutex<HashMap<u64, Arc<Notify>>>>,
}

impl Waiters {
    pub(super) fn new(pulse: &Pulse) -> Self {
        Self {
            pulse: pulse.clone(),
            ..Self::default()
        }
    }

    pub(super) fn register(&self, waiter: &Waiter) -> Registration {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(id, waiter.notify.clone());
        Registration {
            id,
            waiting: self.waiting.clone(),
        }
    }

    pub(super) fn wake(&self) {
        // Before the lock: whoever registers too late for it sees the count.
        self.pulse.0.fetch_add(1, Ordering::SeqCst);
        for notify in self.waiting.lock().values() {
            notify.notify_one();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn progress_before_the_sleep_is_not_missed() {
        let waiters = Waiters::default();
        let waiter = Waiter::default();
        let registration = waiters.register(&waiter);
        waiters.wake();
        waiter.progress().await;
        drop(registration);
        assert!(waiters.waiting.lock().is_empty());
    }

    #[test]
    fn progress_of_any_partition_moves_the_pulse() {
        let pulse = Pulse::default();
        let (one, other) = (Waiters::new(&pulse), Waiters::new(&pulse));
        one.wake();
        other.wake();
        assert_eq!(pulse.count(), 2);
    }
}
