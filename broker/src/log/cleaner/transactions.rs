//! Which transactions a cleaning pass is in the middle of, so that it drops
//! the records of aborted ones and keeps every marker that is still needed.
//!
//! Flow: the pass feeds every batch of the log in order, once for the map and
//! once for the copy, each time with a `CleanedTransactions` of its own.
//!
//! **Invariant:** pure: no file, no clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::super::index::AbortedTransaction;
use crate::record::{Batch, EndTxnMarker, Error, Header};

/// Bound on a control batch's records when they are decoded.
const CONTROL_SIZE_MAX: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct CleanedTransactions {
    /// Producers with records of a committed transaction since their last marker.
    committed: HashSet<i64>,
    aborted: HashMap<i64, Ongoing>,
    /// Transactions not reached yet, by first offset.
    ahead: BinaryHeap<Reverse<ByStart>>,
}

#[derive(Debug)]
struct Ongoing {
    transaction: AbortedTransaction,
    /// A batch of it is still in the log.
    has_batches: bool,
}

/// Whether a control batch is still needed, and what its transaction's entry
/// in the new segment's index is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ControlVerdict {
    pub(super) can_go: bool,
    pub(super) aborted: Option<AbortedTransaction>,
}

impl CleanedTransactions {
    /// Adds what the log's index knows of the part that is read next.
    pub(super) fn add_aborted(&mut self, transactions: impl Iterator<Item = AbortedTransaction>) {
        self.ahead
            .extend(transactions.map(|transaction| Reverse(ByStart(transaction))));
    }

    /// Says whether the data batch belongs to an aborted transaction.
    pub(super) fn is_aborted(&mut self, header: &Header) -> bool {
        self.reach(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some(ongoing) => {
                ongoing.has_batches = true;
                true
            }
            None => {
                self.committed.insert(header.producer_id);
                false
            }
        }
    }

    /// A marker can go once its transaction has no batch left before it.
    pub(super) fn on_control_batch(&mut self, batch: &Batch) -> Result<ControlVerdict, Error> {
        let header = batch.header();
        self.reach(header.last_offset());
        let verdict = |can_go| ControlVerdict {
            can_go,
            aborted: None,
        };
        let Some(record) = batch.records(CONTROL_SIZE_MAX)?.next() else {
            // An earlier pass took its records.
            return Ok(verdict(true));
        };
        let Some(marker) = EndTxnMarker::from_record(&record?)? else {
            return Ok(verdict(false));
        };
        if marker.commit {
            return Ok(verdict(!self.committed.remove(&header.producer_id)));
        }
        Ok(match self.aborted.remove(&header.producer_id) {
            Some(ongoing) if ongoing.has_batches => ControlVerdict {
                can_go: false,
                aborted: Some(ongoing.transaction),
            },
            _ => verdict(true),
        })
    }

    /// Takes up the aborted transactions that begin at or before `offset`.
    fn reach(&mut self, offset: i64) {
        while let Some(Reverse(ByStart(next))) = self.ahead.peek()
            && next.first_offset <= offset
        {
            let ongoing = Ongoing {
                transaction: *next,
                has_batches: false,
            };
            self.aborted.entry(next.producer_id).or_insert(ongoing);
            self.ahead.pop();
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct ByStart(AbortedTransaction);

impl Ord for ByStart {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |this: &Self| (this.0.first_offset, this.0.last_offset);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for ByStart {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
