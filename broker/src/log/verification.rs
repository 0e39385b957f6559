//! What keeps a batch out of the log of which the transaction coordinator knows
//! nothing: no marker would ever end it (KIP-890).
//!
//! Flow: `begin_verification` gives a guard -> the caller asks the coordinator
//! whether the partition is in the transaction -> the batch comes with the
//! guard. Whatever is appended for the producer meanwhile, most of all a
//! marker, takes the guard away, so that an answer which is too late counts
//! for nothing.
//!
//! **Invariant:** a producer has a guard only while it has no open transaction.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Log;
use super::append::AppendError;
use crate::record::Header;

/// One verification under way; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationGuard(u64);

/// What a transactional batch brings with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Whoever appends knows better, or the operator wants none.
    NotRequired,
    /// The coordinator confirmed what the guard was given for; `None` where the
    /// transaction was open in the log already.
    Required(Option<VerificationGuard>),
}

/// A verification of one producer.
#[derive(Debug, Clone, Copy)]
struct Pending {
    guard: VerificationGuard,
    began_ms: i64,
    epoch: i16,
    /// The smallest that asked: a larger one must not come into the log before
    /// it, or the producer would go round in circles.
    sequence_min: i32,
}

/// The verifications that are under way, by producer id.
#[derive(Debug, Default)]
pub(super) struct Verifications(HashMap<i64, Pending>);

impl Verifications {
    fn begin(&mut self, id: i64, epoch: i16, sequence: i32, now_ms: i64) -> VerificationGuard {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let pending = self.0.entry(id).or_insert_with(|| Pending {
            guard: VerificationGuard(NEXT.fetch_add(1, Ordering::Relaxed)),
            began_ms: now_ms,
            epoch,
            sequence_min: sequence,
        });
        if epoch > pending.epoch {
            pending.epoch = epoch;
            pending.sequence_min = sequence;
        } else if epoch == pending.epoch {
            pending.sequence_min = pending.sequence_min.min(sequence);
        }
        pending.guard
    }

    /// The verification is over, whatever came of it.
    pub(super) fn end(&mut self, id: i64) {
        self.0.remove(&id);
    }

    /// Forgets those that began `expiration_ms` ago.
    pub(super) fn remove_expired(&mut self, now_ms: i64, expiration_ms: i64) {
        self.0
            .retain(|_, pending| now_ms.saturating_sub(pending.began_ms) < expiration_ms);
    }

    /// Refuses a batch that begins a transaction without having been verified.
    pub(super) fn check(&self, batch: &Header, has: Verification) -> Result<(), AppendError> {
        let producer_id = batch.producer_id;
        let Verification::Required(guard) = has else {
            return Ok(());
        };
        let pending = self.0.get(&producer_id).map(|pending| pending.guard);
        match pending.is_some() && pending == guard {
            true => Ok(()),
            false => Err(AppendError::NotVerified { producer_id }),
        }
    }

    /// Refuses a sequence that overtook a smaller one.
    pub(super) fn check_sequence(&self, batch: &Header) -> Result<(), AppendError> {
        match self.0.get(&batch.producer_id) {
            Some(pending) if batch.base_sequence > pending.sequence_min => {
                Err(AppendError::OutOfOrderSequence {
                    producer_id: batch.producer_id,
                    sequence: batch.base_sequence,
                    last_sequence: pending.sequence_min,
                })
            }
            _ => Ok(()),
        }
    }
}

impl Log {
    /// A guard for the first batch of the producer's transaction in this
    /// partition; `None` while its transaction is open.
    pub fn begin_verification(
        &mut self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        now_ms: i64,
    ) -> Option<VerificationGuard> {
        if self.producers.has_open_transaction(producer_id) {
            return None;
        }
        let verifications = &mut self.verifications;
        Some(verifications.begin(producer_id, epoch, sequence, now_ms))
    }

    /// Checks that a client's or a coordinator's batch may begin or go on with
    /// its transaction.
    pub(super) fn check_verification(
        &self,
        batch: &Header,
        has: Verification,
    ) -> Result<(), AppendError> {
        let begins = batch.has_producer_id()
            && batch.is_transactional()
            && !batch.is_control()
            && !self.producers.has_open_transaction(batch.producer_id);
        match begins {
            true => self.verifications.check(batch, has),
            false => Ok(()),
        }
    }
}
