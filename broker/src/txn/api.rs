//! What is asked of the coordinator, and its answers.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::state::State;
use crate::model::TopicPartition;

/// A producer id with an epoch of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

/// A producer wants to own a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitRequest {
    pub transactional_id: String,
    /// How long its transactions may stay open.
    pub timeout_ms: i32,
    /// What it was before, when it goes on after an error (KIP-360).
    pub expected: Option<Producer>,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialized {
    /// The producer owns the id.
    Owner(Producer),
    /// Ask again with a new producer id: there is none yet, or its epochs are
    /// used up.
    NeedsProducerId,
}

/// Names a transaction and the producer that claims to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRef {
    pub transactional_id: String,
    pub producer: Producer,
}

/// A transactional id as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub transactional_id: String,
    pub producer: Producer,
    pub state: State,
    pub timeout_ms: i32,
    /// When its transaction began, in ms since 1970; -1 before the first one.
    pub started_ms: i64,
    /// The partitions that are in the transaction and have no marker yet.
    pub partitions: Vec<TopicPartition>,
}

/// How many transactional ids are in which state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    pub ids: BTreeMap<State, usize>,
    /// Partitions whose transactions have ended and that have no marker yet.
    pub markers_waiting: usize,
}

impl AddAssign for Census {
    fn add_assign(&mut self, other: Self) {
        for (state, count) in other.ids {
            *self.ids.entry(state).or_default() += count;
        }
        self.markers_waiting += other.markers_waiting;
    }
}
