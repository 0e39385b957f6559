//! Compaction: of each key only the last record stays (KIP-58, KIP-534).
//!
//! Flow: the caller gives `clean_filthiest` threads to run on; each picks the
//! log with the largest dirty part, cleans it (`pass`) and writes down up to
//! where. `candidate`, `filter`, `group` and `transactions` decide, `pass` and
//! `replace` do.
//! State: which logs are being cleaned and which cannot be; the rest lies in
//! the logs and in `cleaner-offset-checkpoint`.
//!
//! **Invariant:** a log is cleaned by at most one thread.
//! **Invariant:** offsets never change and records keep their order.
//! **Invariant:** the active segment and whatever lies beyond the last stable
//! offset is not touched.

mod candidate;
mod checkpoint;
mod filter;
mod group;
mod offset_map;
mod pass;
mod replace;
mod throttle;
mod transactions;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::{Condvar, Mutex};

pub(super) use checkpoint::CleanerCheckpoint;

use self::candidate::{Candidate, filthiest};
use self::pass::{Guard, Limits, Pass, Stats};
use self::throttle::Throttle;
use super::{Error as LogError, LogHandle, Manager};
use crate::model::{Offset, TopicPartition};

/// Less dedupe buffer for each thread than this makes no progress worth it.
pub const DEDUPE_BUFFER_MIN: u64 = 1 << 20;

/// The `log.cleaner.*` keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    pub threads: usize,
    /// Of all threads together.
    pub dedupe_buffer_bytes: u64,
    pub dedupe_buffer_load_factor: f64,
    /// Of all threads together.
    pub io_buffer_bytes: usize,
    pub io_bytes_per_second_max: f64,
}

/// Says where a partition's high watermark is; nothing is cleaned without one.
pub(super) type HighWatermarks<'a> = &'a (dyn Fn(&TopicPartition) -> Option<Offset> + Sync);

/// Compacts the logs of a broker.
pub struct Cleaner {
    limits: Limits,
    logs: Arc<Manager>,
    clock: SharedClock,
    throttle: Throttle,
    claims: Mutex<Claims>,
    stop: AtomicBool,
    rest: Mutex<()>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Claims {
    in_progress: HashSet<TopicPartition>,
    /// Logs that cannot be read; the operator must look.
    uncleanable: HashSet<TopicPartition>,
}

struct Claimed {
    partition: TopicPartition,
    log: LogHandle,
    candidate: Candidate,
    cuts: Arc<AtomicU64>,
    cuts_at_start: u64,
}

impl Cleaner {
    #[must_use]
    pub fn new(config: Config, logs: Arc<Manager>, clock: SharedClock) -> Self {
        let threads = config.threads.max(1);
        let map_bytes = config.dedupe_buffer_bytes / threads as u64;
        Self {
            limits: Limits {
                map_bytes: usize::try_from(map_bytes).unwrap_or(usize::MAX),
                load_factor: config.dedupe_buffer_load_factor,
                // One half reads and one half writes in Kafka.
                io_buffer_bytes: config.io_buffer_bytes / threads / 2,
            },
            throttle: Throttle::new(config.io_bytes_per_second_max, clock.clone()),
            logs,
            clock,
            claims: Mutex::default(),
            stop: AtomicBool::new(false),
            rest: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    /// Cleans the log that needs it most. Says whether there was one: if not,
    /// the caller rests for `log.cleaner.backoff.ms`.
    pub fn clean_filthiest(&self, high_watermark_of: HighWatermarks<'_>) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let Some(claimed) = self.claim(high_watermark_of) else {
            return false;
        };
        let is_cleaned = self.clean(&claimed);
        self.claims.lock().in_progress.remove(&claimed.partition);
        is_cleaned
    }

    /// Ends the passes under way; none begins any more.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let _resting = self.rest.lock();
        self.wake.notify_all();
    }

    /// Logs that were given up because they cannot be read.
    #[must_use]
    pub fn uncleanable(&self) -> Vec<TopicPartition> {
        self.claims.lock().uncleanable.iter().cloned().collect()
    }

    fn claim(&self, high_watermark_of: HighWatermarks<'_>) -> Option<Claimed> {
        let now_ms = self.clock.wall_ms();
        let mut claims = self.claims.lock();
        let mut found = Vec::new();
        for (partition, log) in self.logs.all() {
            if claims.in_progress.contains(&partition) || claims.uncleanable.contains(&partition) {
                continue;
            }
            if !log.read().config().compact {
                continue;
            }
            // Asked before the log is locked: who appends locks the other way round.
            let Some(high_watermark) = high_watermark_of(&partition) else {
                continue;
            };
            let guard = log.read();
            if guard.check_usable().is_err() {
                continue;
            }
            let cuts = Arc::clone(&guard.cuts);
            let cuts_at_start = cuts.load(Ordering::Acquire);
            let candidate = guard.cleaning_candidate(high_watermark, now_ms);
            drop(guard);
            match candidate {
                Ok(candidate) => found.push(Claimed {
                    partition,
                    log,
                    candidate,
                    cuts,
                    cuts_at_start,
                }),
                Err(error) => {
                    tracing::warn!(%partition, %error, "the log cannot be considered for cleaning");
                }
            }
        }
        let at = filthiest(found.iter().map(|claimed| &claimed.candidate))?;
        let claimed = found.swap_remove(at);
        claims.in_progress.insert(claimed.partition.clone());
        Some(claimed)
    }

    fn clean(&self, claimed: &Claimed) -> bool {
        let partition = &claimed.partition;
        let began = self.clock.monotonic();
        let rest = |pause| self.rest_for(pause);
        let mut pass = Pass {
            log: &claimed.log,
            candidate: claimed.candidate,
            limits: self.limits,
            throttle: &self.throttle,
            guard: Guard {
                stop: &self.stop,
                cuts: Arc::clone(&claimed.cuts),
                cuts_at_start: claimed.cuts_at_start,
                rest: &rest,
            },
            now_ms: self.clock.wall_ms(),
            stats: Stats::default(),
        };
        let result = pass.run();
        let stats = pass.stats;
        match result {
            Ok(end) => {
                let took = self.clock.monotonic().saturating_sub(began);
                report(partition, claimed.candidate.first_dirty, end, &stats, took);
                true
            }
            Err(pass::Error::Interrupted) => {
                tracing::debug!(%partition, "the cleaning was given up");
                false
            }
            Err(error) => {
                self.on_error(partition, &error);
                false
            }
        }
    }

    fn on_error(&self, partition: &TopicPartition, error: &pass::Error) {
        let is_full = match error {
            pass::Error::Io(source) | pass::Error::Log(LogError::Io { source, .. }) => {
                source.kind() == io::ErrorKind::StorageFull
            }
            _ => false,
        };
        if is_full {
            tracing::warn!(%partition, %error, "no room for the cleaning: it is tried again");
            return;
        }
        tracing::error!(%partition, %error, "the log is uncleanable: it is left alone from now on");
        self.claims.lock().uncleanable.insert(partition.clone());
    }

    fn rest_for(&self, pause: Duration) {
        let mut resting = self.rest.lock();
        if !self.stop.load(Ordering::Relaxed) {
            self.wake.wait_for(&mut resting, pause);
        }
    }
}

fn report(partition: &TopicPartition, from: Offset, end: Offset, stats: &Stats, took: Duration) {
    tracing::info!(
        %partition,
        dirty_section = %format_args!("[{from}, {end}]"),
        indexed_bytes = stats.map_bytes_read,
        bytes_before = stats.bytes_read,
        bytes_after = stats.bytes_written,
        records_before = stats.records_read,
        records_after = stats.records_written,
        buffer_utilization = stats.buffer_utilization,
        seconds = took.as_secs_f64(),
        "cleaned"
    );
}

#[cfg(test)]
mod tests;
