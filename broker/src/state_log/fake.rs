//! For the coordinators' tests: a `StateLog` in memory that can hold commits back
//! and lose leadership, and a clock in paused time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::clock::{Clock, SharedClock};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::{Chunk, Error, StateLog};
use crate::log::Verification;
use crate::record::Batch;

/// Follows the runtime's paused time.
pub(crate) struct PausedClock(tokio::time::Instant);

impl PausedClock {
    #[expect(clippy::disallowed_methods, reason = "the runtime owns the time here")]
    pub(crate) fn shared() -> SharedClock {
        Arc::new(Self(tokio::time::Instant::now()))
    }
}

impl Clock for PausedClock {
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

pub(crate) struct FakeLog {
    partitions: Mutex<BTreeMap<i32, Vec<(i64, Bytes)>>>,
    mode: Mutex<Mode>,
    reads_allowed: watch::Sender<bool>,
}

#[derive(Default)]
struct Mode {
    failure: Option<Error>,
    /// Records that a batch may have.
    records_max: Option<i32>,
    /// Batches that cannot be read any more, by their places in the partition.
    damaged: BTreeSet<(i32, usize)>,
    is_held: bool,
    held: Vec<(i64, oneshot::Sender<Result<i64, Error>>)>,
}

impl FakeLog {
    pub(crate) fn new() -> Self {
        Self {
            partitions: Mutex::default(),
            mode: Mutex::default(),
            reads_allowed: watch::channel(true).0,
        }
    }

    /// Appends fail from now on, or work again.
    pub(crate) fn fail_with(&self, failure: Option<Error>) {
        self.mode.lock().failure = failure;
    }

    /// Batches of more records are too large from now on.
    pub(crate) fn bound_batches(&self, records_max: i32) {
        self.mode.lock().records_max = Some(records_max);
    }

    /// Appended batches are not committed until `release`.
    pub(crate) fn hold(&self) {
        self.mode.lock().is_held = true;
    }

    /// Commits everything held back, oldest first.
    pub(crate) fn release(&self) {
        let mut mode = self.mode.lock();
        mode.is_held = false;
        for (base_offset, committed) in mode.held.drain(..) {
            let _ = committed.send(Ok(base_offset));
        }
    }

    /// The last batch of the partition cannot be read from now on.
    pub(crate) fn damage_last(&self, partition: i32) {
        let count = self.partitions.lock()[&partition].len();
        self.mode.lock().damaged.insert((partition, count - 1));
    }

    pub(crate) fn allow_reads(&self, allowed: bool) {
        self.reads_allowed.send_replace(allowed);
    }

    pub(crate) fn batch_count(&self) -> usize {
        self.partitions.lock().values().map(Vec::len).sum()
    }
}

impl StateLog for FakeLog {
    fn partition_count(&self) -> i32 {
        4
    }

    fn append_verified(
        &self,
        partition: i32,
        batch: Bytes,
        _verification: Verification,
    ) -> BoxFuture<'static, Result<i64, Error>> {
        let mut mode = self.mode.lock();
        if let Some(failure) = mode.failure {
            return futures::future::ready(Err(failure)).boxed();
        }
        let batch = Batch::only(batch).unwrap();
        let count = batch.header().record_count;
        if mode
            .records_max
            .is_some_and(|records_max| count > records_max)
        {
            return futures::future::ready(Err(Error::TooLarge)).boxed();
        }
        let mut partitions = self.partitions.lock();
        let log = partitions.entry(partition).or_default();
        let base_offset = log.last().map_or(0, |(next, _)| *next);
        let placed = [&batch.header_at(base_offset, 0)[..], &batch.body()[..]].concat();
        log.push((base_offset + i64::from(count), placed.into()));
        if !mode.is_held {
            return futures::future::ready(Ok(base_offset)).boxed();
        }
        let (committed, outcome) = oneshot::channel();
        mode.held.push((base_offset, committed));
        async move { outcome.await.unwrap_or(Err(Error::NotLeader)) }.boxed()
    }

    fn log_start_offset(&self, _partition: i32) -> Result<i64, Error> {
        Ok(0)
    }

    fn read(
        &self,
        partition: i32,
        offset: i64,
        _max_bytes: usize,
    ) -> BoxFuture<'static, Result<Chunk, Error>> {
        let partitions = self.partitions.lock();
        let log = partitions.get(&partition).cloned().unwrap_or_default();
        let high_watermark = log.last().map_or(0, |(next, _)| *next);
        let found = log.into_iter().enumerate();
        let mut found = found.filter(|(_, (next, _))| *next > offset);
        let found = found.next();
        let place = found.as_ref().map(|(at, _)| (partition, *at));
        if place.is_some_and(|place| self.mode.lock().damaged.contains(&place)) {
            return futures::future::ready(Err(Error::Damaged)).boxed();
        }
        let found = found.map(|(_, found)| found);
        let batches = found.map(|(_, batch)| batch).unwrap_or_default();
        let mut allowed = self.reads_allowed.subscribe();
        async move {
            allowed.wait_for(|allowed| *allowed).await.unwrap();
            Ok(Chunk {
                batches,
                high_watermark,
            })
        }
        .boxed()
    }

    fn behind_damage(
        &self,
        partition: i32,
        offset: i64,
    ) -> BoxFuture<'static, Result<Option<i64>, Error>> {
        let partitions = self.partitions.lock();
        let log = &partitions[&partition];
        let damaged = log.iter().position(|(next, _)| *next > offset);
        let is_last = damaged.is_none_or(|at| at + 1 == log.len());
        let next = damaged.map(|at| log[at].0).filter(|_| !is_last);
        futures::future::ready(Ok(next)).boxed()
    }
}
