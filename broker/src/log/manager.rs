//! The log directories of one broker and all logs in them.
//!
//! Flow: `LockedDirs` keeps others out; `Manager::open` checks each directory
//! and loads its logs on `num.recovery.threads.per.data.dir` threads; the caller
//! schedules `flush_dirty`, `cleanup` and the checkpoints, and ends with
//! `shutdown_cleanly`.
//!
//! **Invariant:** a partition has at most one log on this broker.
//! **Invariant:** a lock on a log is never held across an fsync that the
//! caller did not ask for (`flush_dirty` syncs without it).

mod deletion;
mod load;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::fs::{DirLock, LockError};
use parking_lot::{Mutex, RwLock};

use super::checkpoint::{self, HIGH_WATERMARK, Identity, LOG_START, Offsets, RECOVERY_POINT};
use super::cleaner::CleanerCheckpoint;
use super::config::LogConfig;
use super::{CheckpointError, Error, Log, OpenParams, Storage};
use crate::model::{Offset, TopicId, TopicPartition};
use deletion::DoomedDir;

const LOCK_FILE: &str = ".lock";

/// How the broker shares a log: writers lock it exclusively, readers not.
pub type LogHandle = Arc<RwLock<Log>>;

/// What the manager needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    pub identity: Identity,
    pub recovery_threads_per_dir: usize,
    pub producer_expiration_ms: i64,
    /// `log.*` keys of the broker; topics override them.
    pub defaults: LogConfig,
}

/// Why the logs cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Locked(#[from] LockError),
    #[error("{dir}: {source}")]
    Io {
        dir: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Log(#[from] Error),
    #[error("{partition} lies in both {first} and {second}")]
    Twice {
        partition: TopicPartition,
        first: PathBuf,
        second: PathBuf,
    },
    #[error("log.dirs is empty")]
    NoDirectory,
}

/// All logs of a broker.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    storage: Arc<dyn Storage>,
    logs: RwLock<HashMap<TopicPartition, LogHandle>>,
    doomed: Mutex<Vec<DoomedDir>>,
    /// By directory.
    cleaner_checkpoints: HashMap<PathBuf, Arc<CleanerCheckpoint>>,
    /// Serialises creation, deletion and checkpoints.
    directory_work: Mutex<()>,
    dirs: LockedDirs,
}

/// Log directories that no other process may use; the first step of opening.
#[derive(Debug)]
pub struct LockedDirs {
    paths: Vec<PathBuf>,
    _locks: Vec<DirLock>,
    _locks_against_java: Vec<File>,
}

impl LockedDirs {
    /// Creates what is missing and locks every directory.
    pub fn acquire(paths: &[PathBuf]) -> Result<Self, OpenError> {
        if paths.is_empty() {
            return Err(OpenError::NoDirectory);
        }
        let mut locks = Vec::with_capacity(paths.len());
        let mut locks_against_java = Vec::with_capacity(paths.len());
        for dir in paths {
            std::fs::create_dir_all(dir).map_err(|source| OpenError::Io {
                dir: dir.clone(),
                source,
            })?;
            locks.push(DirLock::acquire(dir, LOCK_FILE)?);
            locks_against_java.push(lock_against_java(dir)?);
        }
        let paths = paths.to_vec();
        Ok(Self {
            paths,
            _locks: locks,
            _locks_against_java: locks_against_java,
        })
    }

    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

impl Manager {
    /// Checks every directory and loads the logs in them. `config_of` gives a
    /// topic's configuration.
    pub fn open(
        dirs: LockedDirs,
        config: Config,
        storage: Arc<dyn Storage>,
        now_ms: i64,
        config_of: &(dyn Fn(&str) -> LogConfig + Sync),
    ) -> Result<Self, OpenError> {
        for dir in &dirs.paths {
            checkpoint::check_identity(storage.as_ref(), dir, &config.identity)?;
        }
        let checkpoint_of = |dir: &PathBuf| {
            let checkpoint = CleanerCheckpoint::open(dir, Arc::clone(&storage));
            (dir.clone(), Arc::new(checkpoint))
        };
        let manager = Self {
            cleaner_checkpoints: dirs.paths.iter().map(checkpoint_of).collect(),
            config,
            storage,
            logs: RwLock::default(),
            doomed: Mutex::default(),
            directory_work: Mutex::default(),
            dirs,
        };
        for dir in &manager.dirs.paths {
            manager.load_dir(dir, now_ms, config_of)?;
        }
        Ok(manager)
    }

    #[must_use]
    pub fn defaults(&self) -> &LogConfig {
        &self.config.defaults
    }

    #[must_use]
    pub fn log_dirs(&self) -> &[PathBuf] {
        self.dirs.paths()
    }

    #[must_use]
    pub fn get(&self, partition: &TopicPartition) -> Option<LogHandle> {
        self.logs.read().get(partition).cloned()
    }

    /// All logs, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<(TopicPartition, LogHandle)> {
        let logs = self.logs.read();
        let pairs = logs.iter().map(|(tp, log)| (tp.clone(), Arc::clone(log)));
        pairs.collect()
    }

    /// The partition's log; created, in the directory with the fewest, when
    /// there is none.
    pub fn get_or_create(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<LogHandle, Error> {
        if let Some(log) = self.get(partition) {
            return Ok(log);
        }
        let _work = self.directory_work.lock();
        if let Some(log) = self.get(partition) {
            return Ok(log);
        }
        let parent = self.emptiest_dir();
        let params = OpenParams {
            partition: partition.clone(),
            dir: parent.join(partition.to_string()),
            config,
            log_start_offset: 0,
            recovery_point: 0,
            clean_shutdown: false,
            producer_expiration_ms: self.config.producer_expiration_ms,
            cleaner_checkpoint: self.cleaner_checkpoints.get(parent).cloned(),
        };
        let mut log = Log::open(params, Arc::clone(&self.storage), now_ms)?;
        if let Some(id) = topic_id {
            log.assign_topic_id(id)?;
        }
        let log = Arc::new(RwLock::new(log));
        self.logs
            .write()
            .insert(partition.clone(), Arc::clone(&log));
        Ok(log)
    }

    fn emptiest_dir(&self) -> &Path {
        let mut counts: Vec<usize> = vec![0; self.dirs.paths.len()];
        for (_, log) in self.all() {
            let log = log.read();
            let parent = log.dir().parent();
            let dirs = self.dirs.paths.iter();
            if let Some(at) = dirs.map(PathBuf::as_path).position(|d| Some(d) == parent) {
                counts[at] += 1;
            }
        }
        let dirs = counts.iter().zip(&self.dirs.paths);
        let emptiest = dirs.min_by_key(|(count, _)| **count);
        emptiest.expect("open refuses an empty list").1
    }

    /// Syncs the logs whose `flush.ms` passed and the segments that were
    /// rolled. Returns the partitions whose log failed.
    pub fn flush_dirty(&self, now_ms: i64) -> Vec<(TopicPartition, Error)> {
        let mut failed = Vec::new();
        for (partition, log) in self.all() {
            let plan = {
                let log = log.read();
                if !log.needs_flush(now_ms) {
                    continue;
                }
                log.flush_plan()
            };
            let done = match plan {
                Ok(Some(plan)) => {
                    let result = plan.run();
                    log.write().complete_flush(&plan, result, now_ms)
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                failed.push((partition, error));
            }
        }
        failed
    }

    /// Applies retention and removes files and directories whose deletion is
    /// due. `high_watermark_of` bounds what retention may delete; a partition
    /// for which it says `None` keeps its segments.
    pub fn cleanup(
        &self,
        now_ms: i64,
        high_watermark_of: &dyn Fn(&TopicPartition) -> Option<Offset>,
    ) -> Vec<(TopicPartition, Error)> {
        let mut failed = Vec::new();
        for (partition, log) in self.all() {
            let high_watermark = high_watermark_of(&partition);
            let mut log = log.write();
            let mut done = log.delete_due_files(now_ms);
            if let (Ok(()), Some(high_watermark)) = (&done, high_watermark) {
                done = log.delete_old_segments(now_ms, high_watermark).map(drop);
            }
            if let Err(error) = done {
                failed.push((partition, error));
            }
        }
        self.delete_due_dirs(now_ms);
        failed
    }

    /// Forgets idempotent producers that were silent for too long.
    pub fn remove_expired_producers(&self, now_ms: i64) {
        for (_, log) in self.all() {
            if log.read().has_producers() {
                log.write().remove_expired_producers(now_ms);
            }
        }
    }

    /// Writes each directory's `recovery-point-offset-checkpoint`.
    pub fn checkpoint_recovery_points(&self) -> Result<(), CheckpointError> {
        self.checkpoint(RECOVERY_POINT, |log| Some(log.recovery_point()))
    }

    /// Writes each directory's `log-start-offset-checkpoint`: the logs whose
    /// start is not simply their first segment.
    pub fn checkpoint_log_start_offsets(&self) -> Result<(), CheckpointError> {
        self.checkpoint(LOG_START, |log| {
            let start = log.log_start_offset();
            (start > log.floor_segment(0)).then_some(start)
        })
    }

    /// Writes each directory's `replication-offset-checkpoint`.
    pub fn checkpoint_high_watermarks(
        &self,
        high_watermarks: &HashMap<TopicPartition, Offset>,
    ) -> Result<(), CheckpointError> {
        self.checkpoint(HIGH_WATERMARK, |log| {
            high_watermarks.get(log.partition()).copied()
        })
    }

    /// The high watermarks of the last checkpoint.
    pub fn read_high_watermarks(&self) -> Result<Offsets, CheckpointError> {
        let mut all = Offsets::new();
        for dir in &self.dirs.paths {
            all.append(&mut checkpoint::read_offsets(&dir.join(HIGH_WATERMARK))?);
        }
        Ok(all)
    }

    fn checkpoint(
        &self,
        file_name: &str,
        offset_of: impl Fn(&Log) -> Option<Offset>,
    ) -> Result<(), CheckpointError> {
        let _work = self.directory_work.lock();
        let mut by_dir: HashMap<PathBuf, Offsets> = HashMap::new();
        for (partition, log) in self.all() {
            let log = log.read();
            let parent = log.dir().parent().unwrap_or_else(|| log.dir());
            if let Some(offset) = offset_of(&log) {
                let offsets = by_dir.entry(parent.to_owned()).or_default();
                offsets.insert(partition, offset);
            }
        }
        for dir in &self.dirs.paths {
            let offsets = by_dir.remove(dir).unwrap_or_default();
            checkpoint::write_offsets(self.storage.as_ref(), &dir.join(file_name), &offsets)?;
        }
        Ok(())
    }

    /// Closes every log, writes the checkpoints and marks each directory in
    /// which all went well as cleanly shut down. No log may be used after.
    pub fn shutdown_cleanly(&self, broker_epoch: i64, now_ms: i64) -> Result<(), Error> {
        let mut first_error = None;
        let mut unclean = Vec::new();
        for (_, log) in self.all() {
            let mut log = log.write();
            if let Err(error) = log.close(now_ms) {
                unclean.push(log.dir().parent().map(Path::to_owned));
                first_error.get_or_insert(error);
            }
        }
        self.checkpoint_recovery_points()?;
        self.checkpoint_log_start_offsets()?;
        for dir in &self.dirs.paths {
            if !unclean.contains(&Some(dir.clone())) {
                checkpoint::write_clean_shutdown(self.storage.as_ref(), dir, broker_epoch)?;
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// A JVM locks its log directories by `fcntl`, which `flock` does not see; so
/// that no Kafka runs on the same files, both locks are held. The lock ends
/// with the first descriptor of the file that this process closes.
fn lock_against_java(dir: &Path) -> Result<File, OpenError> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    let path = dir.join(LOCK_FILE);
    let lock = || {
        let file = File::options().write(true).open(&path)?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(file)
    };
    lock().map_err(|source: std::io::Error| match source.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::PermissionDenied => {
            OpenError::Locked(LockError::Held { path: path.clone() })
        }
        _ => OpenError::Io {
            dir: dir.to_owned(),
            source,
        },
    })
}
