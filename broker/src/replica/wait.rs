//! Waiting for progress of several partitions at once.
//!
//! A request registers one `Waiter` with every partition that it reads or
//! wrote; each of them wakes it when its offsets or its role change.
//!
//! **Invariant:** a waiter looks again after it registered and before it
//! sleeps, so progress in between is not missed.

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
}

/// Those who wait for one partition.
#[derive(Debug, Default)]
pub(super) struct Waiters {
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
    pub(super) fn register(&self, waiter: &Waiter) -> Registration {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.waiting.lock().insert(id, waiter.notify.clone());
        Registration {
            id,
            waiting: self.waiting.clone(),
        }
    }

    pub(super) fn wake(&self) {
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
}
