//! What time does: transactions that are open for too long are aborted, ids that
//! nobody uses are removed.

use std::time::Duration;

use super::writes::{Then, Write};
use super::{Record, Shard};
use crate::metrics::Transactions;
use crate::state_log;
use crate::txn::state::Failed;

/// Tombstones in one batch; a key has at most 32 KiB and most are short, so that
/// a batch stays below what a topic accepts.
const TOMBSTONES_MAX: usize = 100;
/// The bytes of keys in one batch, for the same reason.
const TOMBSTONE_BYTES_MAX: usize = 256 * 1024;
/// How long tombstones may wait for replicas (Kafka's `request.timeout.ms`).
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

impl Shard {
    pub(super) fn abort_late(&mut self) {
        let now_ms = self.now_ms();
        let late: Vec<_> = self
            .transactions
            .iter_mut()
            .filter_map(|(id, known)| Some((id.clone(), known.time_out(now_ms)?)))
            .collect();
        for (id, next) in late {
            self.append(id, next, Then::Fenced(None));
        }
    }

    pub(super) fn expire(&mut self) {
        let expiration = self.parts.config.id_expiration.as_millis();
        let expiration = i64::try_from(expiration).unwrap_or(i64::MAX);
        let oldest_ms = self.now_ms().saturating_sub(expiration);
        let expired = self.transactions.iter_mut();
        let expired: Vec<String> = expired
            .filter_map(|(id, known)| known.expire(oldest_ms).then(|| id.clone()))
            .collect();
        let mut ids = Vec::new();
        let mut size = 0;
        for id in expired {
            if ids.len() == TOMBSTONES_MAX || size + id.len() > TOMBSTONE_BYTES_MAX {
                self.append_tombstones(std::mem::take(&mut ids));
                size = 0;
            }
            size += id.len();
            ids.push(id);
        }
        if !ids.is_empty() {
            self.append_tombstones(ids);
        }
    }

    fn append_tombstones(&mut self, ids: Vec<String>) {
        let tombstone = |id: &String| Record {
            transactional_id: id.clone(),
            metadata: None,
        };
        let records: Vec<_> = ids.iter().map(tombstone).collect();
        self.append_records(&records, Write::Tombstones(ids), COMMIT_TIMEOUT);
    }

    pub(super) fn on_expired(&mut self, ids: &[String], result: Result<(), state_log::Error>) {
        match result {
            Ok(()) => {
                let expired = Transactions::ExpiredIds;
                self.parts
                    .metrics
                    .transactions
                    .add(expired, ids.len() as u64);
                for id in ids {
                    self.transactions.remove(id);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "idle transactional ids could not be removed");
                for id in ids {
                    if let Some(known) = self.transactions.get_mut(id) {
                        known.fail(Failed::Other);
                    }
                }
            }
        }
    }
}
