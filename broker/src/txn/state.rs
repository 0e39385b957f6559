//! One transactional id: what is decided on each request, without I/O.
//!
//! Flow: a request is decided (`init`, `add`, `end`, ...) into the metadata to
//! be written; `complete` takes it over once it is committed, `fail` gives it up.
//! Between the two the id is pending, and whoever comes meanwhile is told to
//! come again.
//!
//! **Invariant:** `metadata` is what the log holds, except that partitions leave
//! it as their markers are written, and that a fenced epoch is ahead of it.

mod metadata;

pub use metadata::State;
pub(super) use metadata::{Metadata, NO_EPOCH, NO_PRODUCER_ID, NO_TIME};

use std::collections::BTreeSet;

use super::{Error, Producer};
use crate::model::TopicPartition;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Commit,
    Abort,
}

impl End {
    fn preparing(self) -> State {
        match self {
            Self::Commit => State::PrepareCommit,
            Self::Abort => State::PrepareAbort,
        }
    }

    fn completed(self) -> State {
        match self {
            Self::Commit => State::CompleteCommit,
            Self::Abort => State::CompleteAbort,
        }
    }
}

/// What follows of a producer's wish to own the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Init {
    /// It does once this is committed.
    Write(Metadata),
    /// Its predecessor's transaction is aborted first; the producer comes again.
    Abort(Metadata),
    /// Nothing is decided: a new producer id is needed.
    NeedsProducerId,
}

/// A transactional id.
#[derive(Debug)]
pub(super) struct Transaction {
    metadata: Metadata,
    /// Where the write under way, or the markers under way, lead.
    pending: Option<State>,
    /// The epoch was raised to keep out a producer, but that could not be written:
    /// it is not raised again, for nobody was told of it.
    has_failed_fence: bool,
}

impl Transaction {
    /// An id that nobody has owned yet; the first owner's epoch will be 0.
    pub(super) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self::loaded(Metadata {
            producer_id,
            last_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_EPOCH,
            last_producer_epoch: NO_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started_ms: NO_TIME,
            updated_ms: now_ms,
        })
    }

    /// An id as the log holds it.
    pub(super) fn loaded(metadata: Metadata) -> Self {
        Self {
            metadata,
            pending: None,
            has_failed_fence: false,
        }
    }

    pub(super) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// A producer wants to own the id. `fresh` is a producer id that nobody has,
    /// taken when this one's epochs are used up.
    pub(super) fn init(
        &mut self,
        timeout_ms: i32,
        expected: Option<Producer>,
        fresh: Option<i64>,
        now_ms: i64,
    ) -> Result<Init, Error> {
        if self.is_pending() {
            return Err(Error::ConcurrentTransactions);
        }
        if expected.is_some_and(|expected| !self.may_go_on(expected)) {
            return Err(Error::ProducerFenced);
        }
        match self.metadata.state {
            State::PrepareAbort | State::PrepareCommit => Err(Error::ConcurrentTransactions),
            State::Ongoing => self.fence(now_ms).map(Init::Abort),
            State::Empty | State::CompleteAbort | State::CompleteCommit => {
                self.give_away(timeout_ms, expected, fresh, now_ms)
            }
            State::Dead | State::PrepareEpochFence => Err(Error::Broken),
        }
    }

    /// Says whether a producer that was `expected` may be the owner still: the id
    /// is new, or the producer id is the current one, or it is the last one and
    /// this may be the repetition of the request that replaced it.
    fn may_go_on(&self, expected: Producer) -> bool {
        let known = &self.metadata;
        known.producer_epoch == NO_EPOCH
            || expected.id == known.producer_id
            || (expected.id == known.last_producer_id && is_exhausted(expected.epoch))
    }

    fn give_away(
        &mut self,
        timeout_ms: i32,
        expected: Option<Producer>,
        fresh: Option<i64>,
        now_ms: i64,
    ) -> Result<Init, Error> {
        let known = &self.metadata;
        let epoch = known.producer_epoch;
        let is_current = |expected: Producer| expected.epoch == epoch;
        let mut next = Metadata {
            last_producer_id: known.producer_id,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started_ms: NO_TIME,
            updated_ms: now_ms,
            ..known.clone()
        };
        if is_exhausted(epoch) && expected.is_none_or(is_current) {
            let Some(fresh) = fresh else {
                return Ok(Init::NeedsProducerId);
            };
            next.producer_id = fresh;
            next.producer_epoch = 0;
            next.last_producer_epoch = if expected.is_some() { epoch } else { NO_EPOCH };
        } else {
            (next.producer_epoch, next.last_producer_epoch) = self.next_epochs(expected)?;
        }
        Ok(Init::Write(self.prepare(next)))
    }

    /// The epoch of the next owner, and the one before it.
    fn next_epochs(&self, expected: Option<Producer>) -> Result<(i16, i16), Error> {
        let (epoch, last) = (
            self.metadata.producer_epoch,
            self.metadata.last_producer_epoch,
        );
        let raised = epoch.checked_add(1).ok_or(Error::Broken)?;
        match expected {
            None => Ok((raised, NO_EPOCH)),
            Some(expected) if epoch == NO_EPOCH || expected.epoch == epoch => Ok((raised, epoch)),
            // The same request again: another owner would have reset the last epoch.
            Some(expected) if expected.epoch == last => Ok((epoch, last)),
            Some(_) => Err(Error::ProducerFenced),
        }
    }

    /// The producer adds partitions to its transaction, or begins one. `None` when
    /// there is nothing to write.
    pub(super) fn add(
        &mut self,
        producer: Producer,
        partitions: &BTreeSet<TopicPartition>,
        now_ms: i64,
    ) -> Result<Option<Metadata>, Error> {
        let known = &self.metadata;
        known.check_producer(producer)?;
        if self.is_pending() || known.is_prepared() {
            return Err(Error::ConcurrentTransactions);
        }
        let is_ongoing = known.state == State::Ongoing;
        if is_ongoing && partitions.is_subset(&known.partitions) {
            return Ok(None);
        }
        if !State::Ongoing.may_follow(known.state) {
            return Err(Error::Broken);
        }
        let mut next = Metadata {
            state: State::Ongoing,
            updated_ms: now_ms,
            ..known.clone()
        };
        next.partitions.extend(partitions.iter().cloned());
        if !is_ongoing {
            next.started_ms = now_ms;
        }
        Ok(Some(self.prepare(next)))
    }

    /// Says of each partition whether it is in the producer's transaction.
    pub(super) fn verify(
        &self,
        producer: Producer,
        partitions: &[TopicPartition],
    ) -> Result<Vec<bool>, Error> {
        let known = &self.metadata;
        known.check_producer(producer)?;
        // What is pending does not matter: the append has the last word.
        if known.is_prepared() {
            return Err(Error::ConcurrentTransactions);
        }
        let is_in = |partition| known.partitions.contains(partition);
        Ok(partitions.iter().map(is_in).collect())
    }

    /// The producer ends its transaction. `None` when it has ended so already.
    pub(super) fn end(
        &mut self,
        producer: Producer,
        end: End,
        now_ms: i64,
    ) -> Result<Option<Metadata>, Error> {
        let known = &self.metadata;
        known.check_producer(producer)?;
        if self.is_pending() {
            return Err(Error::ConcurrentTransactions);
        }
        match known.state {
            State::Ongoing => {
                let next = Metadata {
                    state: end.preparing(),
                    updated_ms: now_ms,
                    ..known.clone()
                };
                Ok(Some(self.prepare(next)))
            }
            state if state == end.completed() => Ok(None),
            state if state == end.preparing() => Err(Error::ConcurrentTransactions),
            State::CompleteCommit
            | State::CompleteAbort
            | State::PrepareCommit
            | State::PrepareAbort
            | State::Empty => Err(Error::InvalidTxnState),
            State::Dead | State::PrepareEpochFence => Err(Error::Broken),
        }
    }

    /// Aborts the open transaction when it is open for too long.
    pub(super) fn time_out(&mut self, now_ms: i64) -> Option<Metadata> {
        let known = &self.metadata;
        let deadline = known.started_ms.saturating_add(known.timeout_ms.into());
        let is_late = known.state == State::Ongoing && deadline < now_ms;
        if !is_late || self.is_pending() {
            return None;
        }
        self.fence(now_ms).ok()
    }

    /// Aborts the open transaction under an epoch that its producer does not have.
    fn fence(&mut self, now_ms: i64) -> Result<Metadata, Error> {
        let epoch = self.metadata.producer_epoch;
        let raised = match self.has_failed_fence {
            true => epoch,
            false => epoch.checked_add(1).ok_or(Error::Broken)?,
        };
        self.metadata.producer_epoch = raised;
        self.metadata.last_producer_epoch = NO_EPOCH;
        let next = Metadata {
            state: State::PrepareAbort,
            updated_ms: now_ms,
            ..self.metadata.clone()
        };
        Ok(self.prepare(next))
    }

    /// The end is committed: what is to be written once every partition has its
    /// marker. `None` when there is no such end.
    pub(super) fn prepare_complete(&mut self, now_ms: i64) -> Option<(End, Metadata)> {
        let end = match self.metadata.state {
            State::PrepareCommit => End::Commit,
            State::PrepareAbort => End::Abort,
            _ => return None,
        };
        self.has_failed_fence = false;
        let next = Metadata {
            state: end.completed(),
            partitions: BTreeSet::new(),
            updated_ms: now_ms,
            ..self.metadata.clone()
        };
        Some((end, self.prepare(next)))
    }

    /// The partition has its marker, or needs none.
    pub(super) fn remove_partition(&mut self, partition: &TopicPartition) {
        debug_assert!(self.metadata.is_prepared(), "markers follow a decision");
        self.metadata.partitions.remove(partition);
    }

    /// Says whether nothing happened to the id since `oldest_ms`; it is then to be
    /// removed, and pending until it is.
    pub(super) fn expire(&mut self, oldest_ms: i64) -> bool {
        let known = &self.metadata;
        let is_expired = !self.is_pending()
            && State::Dead.may_follow(known.state)
            && known.updated_ms <= oldest_ms;
        if is_expired {
            self.pending = Some(State::Dead);
        }
        is_expired
    }

    fn prepare(&mut self, next: Metadata) -> Metadata {
        debug_assert!(self.pending.is_none(), "one change at a time");
        debug_assert!(next.state.may_follow(self.metadata.state));
        self.pending = Some(next.state);
        next
    }

    /// What was prepared is committed.
    pub(super) fn complete(&mut self, mut next: Metadata) {
        debug_assert_eq!(self.pending, Some(next.state));
        if next.state == State::Empty {
            // As in Kafka, operators see when the last owner's last one began.
            next.started_ms = self.metadata.started_ms;
        }
        self.metadata = next;
        self.pending = None;
    }

    /// What was prepared could not be written.
    pub(super) fn fail(&mut self, was: Failed) {
        self.pending = None;
        if was == Failed::Fence {
            self.has_failed_fence = true;
        }
    }
}

/// Which write failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The abort under a raised epoch.
    Fence,
    Other,
}

/// The last epoch is kept for fencing.
fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

#[cfg(test)]
mod tests;
