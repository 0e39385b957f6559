//! Committing without an ensemble: what is on our own disk is committed.

use crate::storage::{Error, Storage};
use crate::txn::{Entry, State};

/// Makes batches of transactions permanent, in order.
pub(crate) trait Proposer: Send {
    /// Returns when the batch is committed. After an error nothing is proposed
    /// any more: whether the batch is permanent is not known.
    fn propose(&mut self, batch: &[Entry]) -> Result<(), Error>;

    /// Says whether the proposer would take a copy of the state now.
    fn wants_snapshot(&self) -> bool;

    /// Takes the state after the last batch.
    fn snapshot(&mut self, state: State) -> Result<(), Error>;

    fn close(self: Box<Self>) -> Result<(), Error>;
}

/// The proposer of a single server.
#[derive(Debug)]
pub(crate) struct Solo {
    storage: Storage,
}

impl Solo {
    pub(crate) fn new(storage: Storage) -> Self {
        Self { storage }
    }
}

impl Proposer for Solo {
    fn propose(&mut self, batch: &[Entry]) -> Result<(), Error> {
        self.storage.append(batch)
    }

    fn wants_snapshot(&self) -> bool {
        self.storage.wants_snapshot()
    }

    fn snapshot(&mut self, state: State) -> Result<(), Error> {
        self.storage.snapshot(state)
    }

    fn close(self: Box<Self>) -> Result<(), Error> {
        self.storage.close()
    }
}
