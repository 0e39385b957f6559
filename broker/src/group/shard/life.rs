//! The shard in the loop that `state_log` runs around it, from the load on.

use std::ops::AddAssign;
use std::time::Duration;

use futures::StreamExt;

use super::{Command, Shard};
use crate::group::records::Record;
use crate::state_log::records::Entry;
use crate::state_log::{self, Error};

/// What was read back, for the log.
#[derive(Debug, Default)]
pub struct Found {
    groups: usize,
    offsets: usize,
}

impl AddAssign for Found {
    fn add_assign(&mut self, other: Self) {
        self.groups += other.groups;
        self.offsets += other.offsets;
    }
}

impl state_log::Found for Found {
    fn report(&self, partitions: usize, took: Duration) {
        let Self { groups, offsets } = self;
        let ms = took.as_millis();
        tracing::info!(partitions, groups, offsets, ms, "groups loaded");
    }
}

impl state_log::Shard for Shard {
    const NAME: &'static str = "group shard";
    const IS_OF_ONE_EPOCH: bool = false;

    type Command = Command;
    type Record = Record;
    /// The oldest write is committed at a base offset, or has failed.
    type Event = Result<i64, Error>;
    type Found = Found;

    fn replay_entry(&mut self, entry: Entry<Record>) {
        match entry {
            Entry::Record { offset, record } => self.replay(record, offset),
            Entry::Transactional {
                offset,
                producer_id,
                record,
            } => self.replay_inside(producer_id, record, offset),
            Entry::Marker {
                producer_id,
                committed,
            } => self.end_transaction(producer_id, committed),
        }
    }

    /// Wakes the groups.
    fn on_loaded(&mut self) -> Found {
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for group_id in &ids {
            self.step(group_id, |group, step| group.on_loaded(step));
        }
        let groups = self.groups.values();
        Found {
            groups: groups.len(),
            offsets: groups.map(|group| group.offsets.committed_count()).sum(),
        }
    }

    fn handle(&mut self, command: Command) {
        self.decide(command);
    }

    fn has_gathered(&self) -> bool {
        self.writes.has_gathered()
    }

    fn flush(&mut self) {
        Self::flush(self);
    }

    async fn next_event(&mut self) -> Result<i64, Error> {
        match self.writes.appends.next().await {
            Some(written) => written,
            None => std::future::pending().await,
        }
    }

    fn on_event(&mut self, written: Result<i64, Error>) {
        self.on_written(written);
    }

    fn next_deadline(&self) -> Option<Duration> {
        let groups = self.deadlines.first().into_iter();
        groups.chain(self.writes.next_deadline()).min()
    }

    fn on_deadline(&mut self, now: Duration) {
        self.on_write_deadline(now);
        for group_id in self.deadlines.due(now) {
            self.step(&group_id, |group, step| group.on_deadline(step));
        }
    }

    fn writes_in_flight(&self) -> usize {
        self.writes.len()
    }

    fn is_awaited(&self) -> bool {
        self.writes.is_awaited()
    }
}
