//! What a record says of a transactional id.

use std::collections::BTreeSet;

use crate::model::TopicPartition;
use crate::txn::{Error, Producer};

pub(in crate::txn) const NO_PRODUCER_ID: i64 = -1;
pub(in crate::txn) const NO_EPOCH: i16 = -1;
pub(in crate::txn) const NO_TIME: i64 = -1;

/// Where a transactional id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// An owner, and no transaction of it yet.
    Empty = 0,
    Ongoing = 1,
    /// Decided; not all partitions have their markers.
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
    /// Idle for so long that it is being removed.
    Dead = 6,
    /// The epoch is being raised; never written.
    PrepareEpochFence = 7,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// The number in the records.
    pub(in crate::txn) fn id(self) -> i8 {
        self as i8
    }

    pub(in crate::txn) fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.id() == id)
    }

    /// The name that operators see.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Says whether an id in state `previous` may come to this one.
    pub(in crate::txn) fn may_follow(self, previous: Self) -> bool {
        use State as S;
        match self {
            S::Empty | S::Dead => {
                matches!(previous, S::Empty | S::CompleteCommit | S::CompleteAbort)
            }
            S::Ongoing => matches!(
                previous,
                S::Ongoing | S::Empty | S::CompleteCommit | S::CompleteAbort
            ),
            S::PrepareCommit | S::PrepareEpochFence => previous == S::Ongoing,
            S::PrepareAbort => matches!(previous, S::Ongoing | S::PrepareEpochFence),
            S::CompleteCommit => previous == S::PrepareCommit,
            S::CompleteAbort => previous == S::PrepareAbort,
        }
    }
}

/// A transactional id at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::txn) struct Metadata {
    pub(in crate::txn) producer_id: i64,
    /// Not in the records: the producer id before the last change of owner.
    pub(in crate::txn) last_producer_id: i64,
    pub(in crate::txn) producer_epoch: i16,
    /// Not in the records: the epoch before the owner asked for a new one itself.
    pub(in crate::txn) last_producer_epoch: i16,
    pub(in crate::txn) timeout_ms: i32,
    pub(in crate::txn) state: State,
    pub(in crate::txn) partitions: BTreeSet<TopicPartition>,
    pub(in crate::txn) started_ms: i64,
    pub(in crate::txn) updated_ms: i64,
}

impl Metadata {
    pub(in crate::txn) fn producer(&self) -> Producer {
        Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
        }
    }

    /// Says whether an end is decided and not complete.
    pub(in crate::txn) fn is_prepared(&self) -> bool {
        matches!(self.state, State::PrepareCommit | State::PrepareAbort)
    }

    pub(in crate::txn) fn check_producer(&self, producer: Producer) -> Result<(), Error> {
        if producer.id != self.producer_id {
            return Err(Error::InvalidProducerIdMapping);
        }
        if producer.epoch != self.producer_epoch {
            return Err(Error::ProducerFenced);
        }
        Ok(())
    }
}
