//! The shard in the loop that `state_log` runs around it, from the load on.

use std::ops::AddAssign;
use std::time::Duration;

use futures::StreamExt;

use super::writes::Write;
use super::{Command, Shard};
use crate::state_log::records::Entry;
use crate::state_log::{self, Error};
use crate::txn::markers::Answer;
use crate::txn::records::Record;
use crate::txn::state::Transaction;

/// What was read back, for the log.
#[derive(Debug, Default)]
pub struct Found {
    ids: usize,
    /// Those whose end was decided and not carried out.
    decided: usize,
}

impl AddAssign for Found {
    fn add_assign(&mut self, other: Self) {
        self.ids += other.ids;
        self.decided += other.decided;
    }
}

impl state_log::Found for Found {
    fn report(&self, partitions: usize, took: Duration) {
        let Self { ids, decided } = self;
        let ms = took.as_millis();
        tracing::info!(partitions, ids, decided, ms, "transactions loaded");
    }
}

/// What a shard waits for beside commands.
pub(in crate::txn) enum Event {
    Written(Write, Result<(), Error>),
    Answered(Answer),
}

impl state_log::Shard for Shard {
    const NAME: &'static str = "transaction shard";
    /// The epoch goes into the markers.
    const IS_OF_ONE_EPOCH: bool = true;

    type Command = Command;
    type Record = Record;
    type Event = Event;
    type Found = Found;

    /// The records themselves are in no transaction.
    fn replay_entry(&mut self, entry: Entry<Record>) {
        let (Entry::Record { record, .. } | Entry::Transactional { record, .. }) = entry else {
            return;
        };
        let id = record.transactional_id;
        match record.metadata.map(Transaction::loaded) {
            Some(loaded) => self.transactions.insert(id, loaded),
            None => self.transactions.remove(&id),
        };
    }

    /// Carries out what was decided before this broker coordinated.
    fn on_loaded(&mut self) -> Found {
        let all = self.transactions.iter();
        let decided = all.filter(|(_, known)| known.metadata().is_prepared());
        let decided: Vec<String> = decided.map(|(id, _)| id.clone()).collect();
        let found = Found {
            ids: self.transactions.len(),
            decided: decided.len(),
        };
        for id in decided {
            tracing::info!(transactional_id = id, "a decided transaction goes on");
            self.carry_out(&id);
        }
        found
    }

    fn handle(&mut self, command: Command) {
        self.decide(command);
    }

    async fn next_event(&mut self) -> Event {
        tokio::select! {
            biased;
            Some((write, result)) = self.writing.next() => Event::Written(write, result),
            Some(answer) = self.answers.recv() => Event::Answered(answer),
            else => std::future::pending().await,
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Written(write, result) => self.on_written(write, result),
            Event::Answered(answer) => self.on_answer(answer),
        }
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.retries.next_deadline()
    }

    fn on_deadline(&mut self, now: Duration) {
        self.try_again(now);
    }

    fn writes_in_flight(&self) -> usize {
        self.writing.len()
    }

    fn is_awaited(&self) -> bool {
        self.awaited_count > 0
    }
}
