//! One partition of the internal topic with the transactional ids that hash to it.
//!
//! Flow: a [`Command`] is decided on the id (`state`), appended (`writes`), taken
//! over once committed, and answered; an end that is committed is carried out
//! (`ending`). A load reads the same records back (`life`).
//! State: the task that `state_log` runs owns a shard.
//!
//! **Invariant:** an id has at most one write under way.
//! **Invariant:** an id is removed only after its tombstone is committed.

mod ending;
mod expiry;
mod life;
mod writes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::markers::{Answer, Sender};
use super::records::Record;
use super::state::{End, Init, Metadata, Transaction};
use super::{Census, Config, Description, Error, InitRequest, Initialized, TransactionRef};
use crate::metrics::Metrics;
use crate::model::TopicPartition;
use crate::state_log::{self, StateLog};
use ending::Retries;
pub use life::Found;
use writes::{Then, Writing};

/// The way back to whoever asks.
pub(super) type Reply<T> = state_log::Reply<Result<T, Error>>;

/// What a shard is asked to do.
pub(super) enum Command {
    Init {
        request: InitRequest,
        fresh_producer_id: Option<i64>,
        reply: Reply<Initialized>,
    },
    Add {
        transaction: TransactionRef,
        partitions: BTreeSet<TopicPartition>,
        reply: Reply<()>,
    },
    /// One answer for each partition: whether it is in the transaction.
    Verify {
        transaction: TransactionRef,
        partitions: Vec<TopicPartition>,
        reply: Reply<Vec<bool>>,
    },
    End {
        transaction: TransactionRef,
        end: End,
        reply: Reply<()>,
    },
    Describe {
        transactional_id: String,
        reply: Reply<Description>,
    },
    List {
        reply: Reply<Vec<Description>>,
    },
    /// How many ids are in which state.
    Count {
        reply: Reply<Census>,
    },
    /// Abort what is open for too long.
    AbortLate,
    /// Remove what is idle for too long.
    Expire,
}

/// What all shards of a broker share.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) config: Arc<Config>,
    pub(super) clock: SharedClock,
    pub(super) log: Arc<dyn StateLog>,
    pub(super) markers: Sender,
    pub(super) metrics: Arc<Metrics>,
}

/// The transactional ids of one partition of the internal topic.
pub(super) struct Shard {
    partition: i32,
    /// The leader epoch of the partition.
    coordinator_epoch: i32,
    /// When it was made, by the monotonic clock.
    began: Duration,
    parts: Parts,
    transactions: HashMap<String, Transaction>,
    writing: FuturesUnordered<Writing>,
    /// Writes whose client waits.
    awaited_count: usize,
    answers: mpsc::UnboundedReceiver<Answer>,
    answers_to: mpsc::UnboundedSender<Answer>,
    retries: Retries,
}

impl Shard {
    pub(super) fn new(partition: i32, coordinator_epoch: i32, parts: Parts) -> Self {
        let (answers_to, answers) = mpsc::unbounded_channel();
        Self {
            partition,
            coordinator_epoch,
            began: parts.clock.monotonic(),
            parts,
            transactions: HashMap::new(),
            writing: FuturesUnordered::new(),
            awaited_count: 0,
            answers,
            answers_to,
            retries: Retries::default(),
        }
    }

    fn now_ms(&self) -> i64 {
        self.parts.clock.wall_ms()
    }

    /// Decides one command. A reply that nobody waits for any more is dropped.
    fn decide(&mut self, command: Command) {
        match command {
            Command::Init {
                request,
                fresh_producer_id,
                reply,
            } => self.init(request, fresh_producer_id, reply),
            Command::Add {
                transaction,
                partitions,
                reply,
            } => self.add(transaction, &partitions, reply),
            Command::Verify {
                transaction,
                partitions,
                reply,
            } => {
                let found = self.transactions.get(&transaction.transactional_id);
                let found = found.ok_or(Error::InvalidProducerIdMapping);
                let _ = reply
                    .send(found.and_then(|known| known.verify(transaction.producer, &partitions)));
            }
            Command::End {
                transaction,
                end,
                reply,
            } => self.end(transaction, end, reply),
            Command::Describe {
                transactional_id,
                reply,
            } => {
                let found = self.transactions.get(&transactional_id);
                let found = found.ok_or(Error::TransactionalIdNotFound);
                let _ = reply.send(found.map(|known| describe(&transactional_id, known)));
            }
            Command::List { reply } => {
                let all = self.transactions.iter();
                let _ = reply.send(Ok(all.map(|(id, known)| describe(id, known)).collect()));
            }
            Command::Count { reply } => {
                let _ = reply.send(Ok(self.census()));
            }
            Command::AbortLate => self.abort_late(),
            Command::Expire => self.expire(),
        }
    }

    fn init(
        &mut self,
        request: InitRequest,
        fresh_producer_id: Option<i64>,
        reply: Reply<Initialized>,
    ) {
        let now_ms = self.now_ms();
        let InitRequest {
            transactional_id,
            timeout_ms,
            expected,
        } = request;
        if !self.transactions.contains_key(&transactional_id) {
            let Some(producer_id) = fresh_producer_id else {
                let _ = reply.send(Ok(Initialized::NeedsProducerId));
                return;
            };
            let new = Transaction::new(producer_id, timeout_ms, now_ms);
            self.transactions.insert(transactional_id.clone(), new);
        }
        let Some(known) = self.transactions.get_mut(&transactional_id) else {
            return;
        };
        match known.init(timeout_ms, expected, fresh_producer_id, now_ms) {
            Ok(Init::Write(next)) => {
                self.append(transactional_id, next, Then::Initialized(reply));
            }
            Ok(Init::Abort(next)) => self.append(transactional_id, next, Then::Fenced(Some(reply))),
            Ok(Init::NeedsProducerId) => {
                let _ = reply.send(Ok(Initialized::NeedsProducerId));
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    fn add(
        &mut self,
        transaction: TransactionRef,
        partitions: &BTreeSet<TopicPartition>,
        reply: Reply<()>,
    ) {
        let now_ms = self.now_ms();
        let TransactionRef {
            transactional_id,
            producer,
        } = transaction;
        let found = self.transactions.get_mut(&transactional_id);
        let found = found.ok_or(Error::InvalidProducerIdMapping);
        let decided = found.and_then(|known| known.add(producer, partitions, now_ms));
        self.write(transactional_id, decided, reply, Then::Added);
    }

    fn end(&mut self, transaction: TransactionRef, end: End, reply: Reply<()>) {
        let now_ms = self.now_ms();
        let TransactionRef {
            transactional_id,
            producer,
        } = transaction;
        let found = self.transactions.get_mut(&transactional_id);
        let found = found.ok_or(Error::InvalidProducerIdMapping);
        let decided = found.and_then(|known| known.end(producer, end, now_ms));
        self.write(transactional_id, decided, reply, Then::Ended);
    }

    fn census(&self) -> Census {
        let mut census = Census::default();
        for known in self.transactions.values() {
            let metadata = known.metadata();
            *census.ids.entry(metadata.state).or_default() += 1;
            if metadata.is_prepared() {
                census.markers_waiting += metadata.partitions.len();
            }
        }
        census
    }

    /// Appends what was decided, or answers where there is nothing to write.
    fn write(
        &mut self,
        transactional_id: String,
        decided: Result<Option<Metadata>, Error>,
        reply: Reply<()>,
        then: fn(Reply<()>) -> Then,
    ) {
        match decided {
            Ok(Some(next)) => self.append(transactional_id, next, then(reply)),
            Ok(None) => {
                let _ = reply.send(Ok(()));
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }
}

fn describe(transactional_id: &str, known: &Transaction) -> Description {
    let metadata = known.metadata();
    Description {
        transactional_id: transactional_id.to_owned(),
        producer: metadata.producer(),
        state: metadata.state,
        timeout_ms: metadata.timeout_ms,
        started_ms: metadata.started_ms,
        partitions: metadata.partitions.iter().cloned().collect(),
    }
}
