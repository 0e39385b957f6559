//! How long idempotent producers are remembered.

use std::sync::atomic::Ordering;

use super::Manager;

impl Manager {
    /// Another `producer.id.expiration.ms`, for logs that are there and others.
    pub fn set_producer_expiration(&self, expiration_ms: i64) {
        let before = self
            .producer_expiration_ms
            .swap(expiration_ms, Ordering::Relaxed);
        if before == expiration_ms {
            return;
        }
        for log in self.handles() {
            log.write().set_producer_expiration(expiration_ms);
        }
    }

    /// Forgets idempotent producers that were silent for too long.
    pub fn remove_expired_producers(&self, now_ms: i64) {
        for log in self.handles() {
            if log.read().has_producers() {
                log.write().remove_expired_producers(now_ms);
            }
        }
    }
}
