//! The log directories of one broker and all logs in them.
//!
//! Flow: `LockedDirs` keeps others out; `Manager::open` checks each directory
//! and loads its logs on `num.recovery.threads.per.data.dir` threads; the caller
//! schedules `flush_dirty`, `cleanup` and the checkpoints, and ends with
//! `shutdown_cleanly`.
//!
//! **Invariant:** a partition has at most one log on this broker.
//! **Invariant:** a directory that fails takes its logs with it and no others.
//! **Invariant:** a lock on a log is never held across an fsync that the
//! caller did not ask for (`flush_dirty` syncs without it).

mod deletion;
mod describe;
mod dirs;
mod future;
mod load;
mod new_dirs;
mod producers;
mod tails;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::fs::LockError;
use parking_lot::{Mutex, RwLock};

use super::checkpoint::{self, HIGH_WATERMARK, Identity, LOG_START, Offsets, RECOVERY_POINT};
use super::config::LogConfig;
use super::{CheckpointError, Error, FailureHook, Log, LogDir, OpenParams, Storage};
use crate::model::{Offset, TopicId, TopicPartition};
use deletion::DoomedDir;
pub use describe::{DirDescription, LogDescription};
pub use dirs::LockedDirs;
pub use future::MoveError;
use new_dirs::NewDirs;

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
    pub on_dir_failure: FailureHook,
    /// The kernel's name for the time since the machine started, if it tells.
    pub boot_id: Option<String>,
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

impl OpenError {
    /// What is wrong with the directory as a whole, if that is what it is.
    fn of_the_directory(&self) -> Option<&std::io::Error> {
        match self {
            Self::Io { source, .. }
            | Self::Checkpoint(CheckpointError::Io { source, .. })
            | Self::Log(Error::Io { source, .. })
            | Self::Log(Error::Checkpoint(CheckpointError::Io { source, .. })) => Some(source),
            _ => None,
        }
    }
}

/// All logs of a broker.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    storage: Arc<dyn Storage>,
    logs: RwLock<HashMap<TopicPartition, LogHandle>>,
    /// Logs on their way from one directory to another.
    future_logs: RwLock<HashMap<TopicPartition, LogHandle>>,
    /// Where logs are to be created that do not exist yet.
    preferred: Mutex<HashMap<TopicPartition, Arc<LogDir>>>,
    doomed: Mutex<Vec<DoomedDir>>,
    new_dirs: NewDirs,
    producer_expiration_ms: AtomicI64,
    /// Serialises creation, deletion and checkpoints.
    directory_work: Mutex<()>,
    dirs: Vec<Arc<LogDir>>,
    _locks: LockedDirs,
}

impl Manager {
    /// Checks every directory and loads the logs in them. `config_of` gives a
    /// topic's configuration. A directory that cannot be read is left out while
    /// there are others.
    pub fn open(
        mut locks: LockedDirs,
        config: Config,
        storage: Arc<dyn Storage>,
        now_ms: i64,
        config_of: &(dyn Fn(&str) -> LogConfig + Sync),
    ) -> Result<Self, OpenError> {
        let open_dir = |path: &PathBuf| {
            let hook = config.on_dir_failure.clone();
            Arc::new(LogDir::open(path.clone(), Arc::clone(&storage), hook))
        };
        let mut dirs: Vec<_> = locks.paths().iter().map(open_dir).collect();
        for (path, error) in locks.unusable.drain(..) {
            let dir = open_dir(&path);
            dir.fail(&error);
            dirs.push(dir);
        }
        let manager = Self {
            producer_expiration_ms: AtomicI64::new(config.producer_expiration_ms),
            config,
            storage,
            logs: RwLock::default(),
            future_logs: RwLock::default(),
            preferred: Mutex::default(),
            doomed: Mutex::default(),
            new_dirs: NewDirs::default(),
            directory_work: Mutex::default(),
            dirs,
            _locks: locks,
        };
        let mut failed = None;
        for (dir, opened) in manager.open_dirs(now_ms, config_of) {
            match opened {
                Ok(()) => {}
                Err(error) => match error.of_the_directory() {
                    Some(source) => {
                        dir.fail(source);
                        failed.get_or_insert(error);
                    }
                    None => return Err(error),
                },
            }
        }
        match failed {
            Some(error) if manager.online_dirs().next().is_none() => Err(error),
            _ => Ok(manager),
        }
    }

    /// Each directory has threads of its own: they are disks of their own.
    fn open_dirs(
        &self,
        now_ms: i64,
        config_of: &(dyn Fn(&str) -> LogConfig + Sync),
    ) -> Vec<(&Arc<LogDir>, Result<(), OpenError>)> {
        std::thread::scope(|scope| {
            let open = |dir| {
                (
                    dir,
                    scope.spawn(move || self.open_dir(dir, now_ms, config_of)),
                )
            };
            let opening: Vec<_> = self.online_dirs().map(open).collect();
            let done = opening.into_iter().map(|(dir, thread)| {
                let opened = thread.join();
                (
                    dir,
                    opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                )
            });
            done.collect()
        })
    }

    fn open_dir(
        &self,
        dir: &Arc<LogDir>,
        now_ms: i64,
        config_of: &(dyn Fn(&str) -> LogConfig + Sync),
    ) -> Result<(), OpenError> {
        let identity = &self.config.identity;
        checkpoint::check_identity(self.storage.as_ref(), dir.path(), identity)?;
        self.load_dir(dir, now_ms, config_of)
    }

    fn online_dirs(&self) -> impl Iterator<Item = &Arc<LogDir>> {
        self.dirs.iter().filter(|dir| dir.is_online())
    }

    /// Every configured directory.
    #[must_use]
    pub fn dirs(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// Says whether a directory, and so what it holds, cannot be seen.
    #[must_use]
    pub fn has_offline_dirs(&self) -> bool {
        self.dirs.iter().any(|dir| !dir.is_online())
    }

    #[must_use]
    pub fn defaults(&self) -> &LogConfig {
        &self.config.defaults
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

    /// All logs, without the cost of their names, and those on their way.
    fn handles(&self) -> Vec<LogHandle> {
        let mut handles: Vec<LogHandle> = self.logs.read().values().cloned().collect();
        handles.extend(self.future_logs.read().values().cloned());
        handles
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
        loop {
            let preferred = self.preferred.lock().remove(partition);
            let preferred = preferred.filter(|dir| dir.is_online());
            let emptiest = self.online_dirs().min_by_key(|dir| dir.log_count());
            let home = preferred.as_ref().or(emptiest).ok_or(Error::AllFailed)?;
            match self.create(partition, topic_id, &config, home, now_ms) {
                // The next directory may do.
                Err(_) if !home.is_online() => {}
                created => return created,
            }
        }
    }

    fn create(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: &LogConfig,
        home: &Arc<LogDir>,
        now_ms: i64,
    ) -> Result<LogHandle, Error> {
        let params = OpenParams {
            partition: partition.clone(),
            dir: home.path().join(partition.to_string()),
            config: config.clone(),
            log_start_offset: 0,
            recovery_point: 0,
            clean_shutdown: false,
            producer_expiration_ms: self.producer_expiration_ms.load(Ordering::Relaxed),
            home: Some(Arc::clone(home)),
        };
        let mut log = Log::open(params, Arc::clone(&self.storage), now_ms)?;
        if let Some(id) = topic_id {
            log.set_first_topic_id(id)?;
            self.new_dirs.note(home, log.dir());
        }
        let log = Arc::new(RwLock::new(log));
        home.add_log();
        self.logs
            .write()
            .insert(partition.clone(), Arc::clone(&log));
        Ok(log)
    }

    /// Syncs the logs whose `flush.ms` passed and the segments that were
    /// rolled, and writes the recovery points down. Returns the partitions whose
    /// log failed.
    pub fn flush_dirty(&self, now_ms: i64) -> Vec<(TopicPartition, Error)> {
        self.new_dirs.sync();
        let mut failed = Vec::new();
        let mut has_flushed = false;
        for log in self.handles() {
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
                    has_flushed = true;
                    log.write().complete_flush(&plan, result, now_ms)
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                failed.push((log.read().partition().clone(), error));
            }
        }
        // Written down at once, so that a start after a crash reads little.
        if has_flushed && let Err(error) = self.checkpoint_recovery_points() {
            tracing::warn!(%error, "recovery points cannot be written down");
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
        for dir in self.online_dirs() {
            let path = dir.path().join(HIGH_WATERMARK);
            all.append(&mut checkpoint::read_offsets(&path)?);
        }
        Ok(all)
    }

    fn checkpoint(
        &self,
        file_name: &'static str,
        offset_of: impl Fn(&Log) -> Option<Offset>,
    ) -> Result<(), CheckpointError> {
        let _work = self.directory_work.lock();
        let mut by_dir: HashMap<PathBuf, Offsets> = HashMap::new();
        for log in self.handles() {
            let log = log.read();
            let parent = log.dir().parent().unwrap_or_else(|| log.dir());
            if let Some(offset) = offset_of(&log) {
                let offsets = by_dir.entry(parent.to_owned()).or_default();
                offsets.insert(log.partition().clone(), offset);
            }
        }
        let mut first_error = None;
        for dir in self.online_dirs() {
            let offsets = by_dir.remove(dir.path()).unwrap_or_default();
            if dir.has_written(file_name, &offsets) {
                continue;
            }
            let path = dir.path().join(file_name);
            match checkpoint::write_offsets(self.storage.as_ref(), &path, &offsets) {
                Ok(()) => dir.note_written(file_name, &offsets),
                Err(error) => {
                    if let CheckpointError::Io { source, .. } = &error {
                        dir.note(source);
                    }
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Closes every log, writes the checkpoints and marks each directory in
    /// which all went well as cleanly shut down. No log may be used after.
    pub fn shutdown_cleanly(&self, broker_epoch: i64, now_ms: i64) -> Result<(), Error> {
        let logs = self.handles();
        let ended = with_all(&logs, Log::end_growth);
        for dir in self.online_dirs() {
            sync_file_system(dir.path());
        }
        let flushed = with_all(&logs, |log| log.flush(now_ms));
        let mut first_error = None;
        let mut unclean = Vec::new();
        for (log, result) in logs.iter().zip(ended).chain(logs.iter().zip(flushed)) {
            if let Err(error) = result {
                unclean.push(log.read().dir().parent().map(Path::to_owned));
                first_error.get_or_insert(error);
            }
        }
        self.checkpoint_recovery_points()?;
        self.checkpoint_log_start_offsets()?;
        for dir in self.online_dirs() {
            if !unclean.contains(&Some(dir.path().to_owned())) {
                let storage = self.storage.as_ref();
                checkpoint::write_clean_shutdown(storage, dir.path(), broker_epoch)?;
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// Lets the kernel write everything at once. What that meets of errors, the
/// flush of the file at fault tells.
fn sync_file_system(dir: &Path) {
    if let Err(error) = new_dirs::sync_file_system(dir) {
        tracing::debug!(dir = %dir.display(), %error, "not synced as a whole");
    }
}

/// Works on every log, several at a time: the disk orders it better than we.
fn with_all(
    logs: &[LogHandle],
    work: impl Fn(&mut Log) -> Result<(), Error> + Sync,
) -> Vec<Result<(), Error>> {
    const THREADS: usize = 8;
    let share = logs.len().div_ceil(THREADS).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let each = |logs: &[LogHandle]| -> Vec<_> {
            logs.iter().map(|log| work(&mut log.write())).collect()
        };
        let threads: Vec<_> = logs
            .chunks(share)
            .map(|logs| scope.spawn(move || each(logs)))
            .collect();
        let done = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        done.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
