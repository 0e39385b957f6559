//! Committing without an ensemble: what is on our own disk is committed.

use crate::storage::{Done, Error, Storage};
use crate::txn::Entry;

/// Makes batches of transactions permanent, in order.
pub(crate) trait Proposer: Send {
    /// Returns when the batch is committed. After an error nothing is proposed
    /// any more: whether the batch is permanent is not known. Only if the disk is
    /// full the same batch may be proposed again.
    fn propose(&mut self, batch: &[Entry]) -> Result<(), Error>;

    /// Says whether it is time for a snapshot.
    fn wants_snapshot(&self) -> bool;

    /// Begins a snapshot of everything proposed so far, and tells `done` of its end.
    fn snapshot(&mut self, done: Option<Done>) -> Result<(), Error>;

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

    fn snapshot(&mut self, done: Option<Done>) -> Result<(), Error> {
        self.storage.snapshot(done)
    }

    fn close(self: Box<Self>) -> Result<(), Error> {
        self.storage.close()
    }
}
