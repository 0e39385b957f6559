//! The storage of one broker: for each partition a log of batches in
//! segments, in Kafka's own files.
//!
//! Flow: the replica layer holds a partition's lock and calls `append_as_*`
//! (check -> place -> one write -> producer state); readers get a `FileSlice`
//! that they read or send without the lock. The `Manager` owns the log
//! directories: it loads, creates and deletes logs, and its periodic work is
//! plain functions that the caller schedules.
//!
//! **Invariant:** offsets only grow; `log_start_offset <= log_end_offset`,
//! `recovery_point <= log_end_offset`.
//! **Invariant:** what a read returns lies below the caller's bound and
//! begins at a batch.
//! **Invariant:** an fsync that failed once stops the log for good: the pages
//! may be gone although the next fsync succeeds.
//! **Invariant:** this module knows neither tokio nor the protocol.

mod append;
mod behind_damage;
mod boots;
mod checkpoint;
mod cleaner;
mod config;
mod dir;
mod earlier_batches;
mod epochs;
mod flush;
mod index;
mod manager;
mod offsets_before;
mod open;
mod producer_snapshot;
mod producer_state;
mod read;
mod recovery;
mod refused;
mod retention;
mod room;
mod scan;
mod segment;
mod snapshots;
mod storage;
#[cfg(test)]
mod tests;
mod throttled;
mod transactions;
mod truncate;
mod validate;
mod verification;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

pub use append::{AppendError, AppendInfo, AppendOrigin, RecordFault};
pub use checkpoint::{Error as CheckpointError, Identity, Offsets, stored_broker_id};
pub use cleaner::{Cleaner, Config as CleanerConfig, DEDUPE_BUFFER_MIN};
pub use config::{Error as ConfigError, LogConfig};
pub use dir::{Failure, FailureHook, LogDir};
pub use epochs::EpochEndOffset;
pub use flush::FlushPlan;
pub use index::AbortedTransaction;
pub use manager::{
    Config as ManagerConfig, DirDescription, LockedDirs, LogDescription, LogHandle, Manager,
    MoveError, OpenError,
};
pub use open::OpenParams;
pub use producer_state::ActiveProducer;
pub use read::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, MAX_TIMESTAMP, Read, ReadBounds, ReadError, TimedOffset,
};
pub use recovery::Recovery;
pub use room::Space;
pub use storage::{Disk, FileSlice, SegmentFile, Storage};
#[cfg(test)]
pub(crate) use tests::open as open_for_tests;
pub use throttled::Throttled;
pub use verification::{Verification, VerificationGuard};

use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition};
use epochs::LeaderEpochs;
use producer_state::ProducerState;
use segment::Segment;
use snapshots::Snapshots;
use verification::Verifications;

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{dir}: {source}")]
    Io { dir: PathBuf, source: io::Error },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("{dir}: an earlier write or fsync failed; the log is closed until a restart")]
    Failed { dir: PathBuf },
    #[error("all log directories have failed")]
    AllFailed,
}

/// One partition's log. Writers need `&mut`; whoever shares it decides on the
/// lock (see `LogHandle`).
#[derive(Debug)]
pub struct Log {
    partition: TopicPartition,
    dir: PathBuf,
    storage: Arc<dyn Storage>,
    config: LogConfig,
    topic_id: Option<TopicId>,
    /// Never empty; the last one grows. Boxed, since a node of the map has room
    /// for eleven and most partitions have one.
    segments: BTreeMap<Offset, Box<Segment>>,
    epochs: LeaderEpochs,
    producers: ProducerState,
    verifications: Verifications,
    snapshots: Snapshots,
    producer_expiration_ms: i64,
    log_start_offset: Offset,
    log_end_offset: Offset,
    recovery_point: Offset,
    /// The largest high watermark that readers came with.
    high_watermark_seen: AtomicI64,
    last_flush_ms: i64,
    /// Counts what makes a cleaning pass under way worthless.
    cuts: Arc<AtomicU64>,
    home: Option<Arc<LogDir>>,
    directory_synced: bool,
    failed: bool,
    refused: Option<refused::Refused>,
    pending_deletes: Vec<PendingDelete>,
    recovery: Recovery,
}

/// Renamed files that go when their time comes.
#[derive(Debug)]
struct PendingDelete {
    due_ms: i64,
    files: Vec<PathBuf>,
}

impl Log {
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    #[must_use]
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Takes over a changed configuration; it holds from the next append on.
    pub fn reconfigure(&mut self, config: LogConfig) {
        self.config = config;
    }

    #[must_use]
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// Writes `partition.metadata` once the topic's id is known.
    pub fn assign_topic_id(&mut self, id: TopicId) -> Result<(), Error> {
        if self.topic_id != Some(id) && !id.is_nil() {
            checkpoint::write_topic_id(self.storage.as_ref(), &self.dir, id)?;
            self.topic_id = Some(id);
        }
        Ok(())
    }

    /// As [`Self::assign_topic_id`] for a log that was just created; whoever
    /// created it syncs the file (`Manager::sync_new_dirs`).
    pub(in crate::log) fn set_first_topic_id(&mut self, id: TopicId) -> Result<(), Error> {
        match self.topic_id {
            None if !id.is_nil() => {
                checkpoint::write_new_topic_id(self.storage.as_ref(), &self.dir, id)?;
                self.topic_id = Some(id);
                Ok(())
            }
            _ => self.assign_topic_id(id),
        }
    }

    /// First offset that readers may ask for.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// Offset that the next record gets.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Everything before it is known to be on the disk.
    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Bytes in all segments.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.values().map(|segment| segment.size()).sum()
    }

    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// What loading this log had to repair.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// The largest epoch not beyond `epoch` and where its records end.
    #[must_use]
    pub fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEndOffset> {
        self.epochs.end_offset_for(epoch, self.log_end_offset)
    }

    /// Notes that this broker leads from the end of the log on in `epoch`. It
    /// is durable once the epoch has a record.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), Error> {
        self.check_usable()?;
        self.epochs.insert(epoch, self.log_end_offset);
        Ok(())
    }

    /// The idempotent producers that are remembered, by their ids.
    #[must_use]
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        let entries = self.producers.entries();
        let mut active: Vec<_> = entries
            .map(|(id, entry)| ActiveProducer::of(id, entry))
            .collect();
        active.sort_unstable_by_key(|producer| producer.id);
        active
    }

    /// Says whether any idempotent producer is remembered.
    #[must_use]
    pub fn has_producers(&self) -> bool {
        self.producers.entries().next().is_some()
    }

    /// How many idempotent producers are remembered.
    #[must_use]
    pub fn producer_count(&self) -> usize {
        self.producers.entries().count()
    }

    /// How long a producer may be silent before it is forgotten, in ms.
    pub(in crate::log) fn set_producer_expiration(&mut self, expiration_ms: i64) {
        self.producer_expiration_ms = expiration_ms;
    }

    /// Forgets idempotent producers that were silent for too long.
    pub fn remove_expired_producers(&mut self, now_ms: i64) {
        let expiration_ms = self.producer_expiration_ms;
        self.producers.remove_expired(now_ms, expiration_ms);
        self.verifications.remove_expired(now_ms, expiration_ms);
    }

    /// Ends the work with this log: everything durable, indexes trimmed, so
    /// that the next start can trust the files.
    pub fn close(&mut self, now_ms: i64) -> Result<(), Error> {
        self.end_growth()?;
        self.flush(now_ms)
    }

    /// The part of `close` that waits for no disk.
    pub(in crate::log) fn end_growth(&mut self) -> Result<(), Error> {
        self.interrupt_cleaning();
        self.check_usable()?;
        let taken = self.snapshots.take(&self.dir, &self.producers);
        self.io(taken)?;
        // All others were closed when they were rolled or recovered.
        let closed = self.active().close();
        self.io(closed)
    }

    fn active(&mut self) -> &mut Segment {
        self.segments
            .last_entry()
            .expect("a log has at least one segment")
            .into_mut()
    }

    /// Gives an error its place, and takes the directory out of service if it
    /// is one of the device.
    fn io<T>(&self, result: io::Result<T>) -> Result<T, Error> {
        result.map_err(|source| {
            if let Some(home) = &self.home {
                home.note(&source);
            }
            Error::Io {
                dir: self.dir.clone(),
                source,
            }
        })
    }

    /// Says whether the log's directory failed.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.home.as_ref().is_some_and(|home| !home.is_online())
    }

    /// Says whether the log's directory has no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.home.as_ref().is_some_and(|home| home.is_full())
    }

    fn check_usable(&self) -> Result<(), Error> {
        if self.failed || self.is_offline() {
            return Err(Error::Failed {
                dir: self.dir.clone(),
            });
        }
        Ok(())
    }
}
