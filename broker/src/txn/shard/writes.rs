//! The records on their way into the log, and what follows when they are there.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Record, Reply, Shard};
use crate::metrics::Transactions;
use crate::state_log;
use crate::txn::records;
use crate::txn::state::{Failed, Metadata, State};
use crate::txn::{Error, Initialized};

/// What follows a write.
pub(in crate::txn) enum Then {
    Initialized(Reply<Initialized>),
    Added(Reply<()>),
    /// The producer's own end is decided.
    Ended(Reply<()>),
    /// The abort under a raised epoch is decided; whoever caused it, if not time,
    /// is to come again.
    Fenced(Option<Reply<Initialized>>),
    /// The transaction is over.
    Completed,
}

impl Then {
    pub(super) fn is_awaited(&self) -> bool {
        match self {
            Self::Initialized(_) | Self::Added(_) | Self::Ended(_) => true,
            Self::Fenced(reply) => reply.is_some(),
            Self::Completed => false,
        }
    }
}

/// What was to be written.
pub(in crate::txn) enum Write {
    State {
        transactional_id: String,
        next: Metadata,
        then: Then,
    },
    /// Of ids that nobody used for long.
    Tombstones(Vec<String>),
}

/// A write under way.
pub(super) type Writing = BoxFuture<'static, (Write, Result<(), state_log::Error>)>;

impl Shard {
    /// Appends the next state of an id; `then` follows when it is committed or has
    /// failed.
    pub(super) fn append(&mut self, transactional_id: String, next: Metadata, then: Then) {
        // As in Kafka, a change may wait for replicas as long as the transaction
        // for its end.
        let limit = Duration::from_millis(u64::from(next.timeout_ms.unsigned_abs()));
        let record = Record {
            transactional_id: transactional_id.clone(),
            metadata: Some(next.clone()),
        };
        let write = Write::State {
            transactional_id,
            next,
            then,
        };
        self.append_records(&[record], write, limit);
    }

    pub(super) fn append_records(&mut self, records: &[Record], write: Write, limit: Duration) {
        if let Write::State { then, .. } = &write
            && then.is_awaited()
        {
            self.awaited_count += 1;
        }
        let batch = match records::encode(records, self.now_ms()) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, "the state of a transaction cannot be written");
                return self.on_written(write, Err(state_log::Error::TooLarge));
            }
        };
        let appended = self.parts.log.append(self.partition, batch);
        let committed = async move {
            let committed = tokio::time::timeout(limit, appended).await;
            let committed = committed.unwrap_or(Err(state_log::Error::Timeout));
            (write, committed.map(|_| ()))
        };
        self.writing.push(committed.boxed());
    }

    /// A write is committed, or has failed.
    pub(super) fn on_written(&mut self, write: Write, result: Result<(), state_log::Error>) {
        let (transactional_id, next, then) = match write {
            Write::State {
                transactional_id,
                next,
                then,
            } => (transactional_id, next, then),
            Write::Tombstones(ids) => return self.on_expired(&ids, result),
        };
        if then.is_awaited() {
            self.awaited_count -= 1;
        }
        match result {
            Ok(()) => self.on_committed(transactional_id, next, then),
            Err(error) => {
                tracing::info!(transactional_id, state = next.state.name(), %error, "not written");
                self.on_failed(transactional_id, next, then, error.into());
            }
        }
    }

    fn on_committed(&mut self, transactional_id: String, next: Metadata, then: Then) {
        let producer = next.producer();
        let ended = match next.state {
            State::CompleteCommit => Transactions::Committed,
            _ => Transactions::Aborted,
        };
        let Some(known) = self.transactions.get_mut(&transactional_id) else {
            return;
        };
        known.complete(next);
        match then {
            Then::Initialized(reply) => {
                let _ = reply.send(Ok(Initialized::Owner(producer)));
            }
            Then::Added(reply) => {
                let _ = reply.send(Ok(()));
            }
            Then::Ended(reply) => {
                // It will be carried out, whatever happens.
                let _ = reply.send(Ok(()));
                self.carry_out(&transactional_id);
            }
            Then::Fenced(reply) => {
                if let Some(reply) = reply {
                    let _ = reply.send(Err(Error::ConcurrentTransactions));
                } else {
                    let metrics = &self.parts.metrics;
                    metrics.transactions.add(Transactions::TimedOut, 1);
                    tracing::info!(transactional_id, "a transaction was open for too long");
                }
                self.carry_out(&transactional_id);
            }
            Then::Completed => self.parts.metrics.transactions.add(ended, 1),
        }
    }

    fn on_failed(&mut self, transactional_id: String, next: Metadata, then: Then, error: Error) {
        if matches!(then, Then::Completed) && error == Error::CoordinatorNotAvailable {
            return self.complete_again(transactional_id, next);
        }
        let failed = match &then {
            Then::Fenced(_) => Failed::Fence,
            _ => Failed::Other,
        };
        if let Some(known) = self.transactions.get_mut(&transactional_id) {
            known.fail(failed);
        }
        match then {
            Then::Initialized(reply) | Then::Fenced(Some(reply)) => {
                let _ = reply.send(Err(error));
            }
            Then::Added(reply) | Then::Ended(reply) => {
                let _ = reply.send(Err(error));
            }
            Then::Fenced(None) | Then::Completed => {}
        }
    }
}
