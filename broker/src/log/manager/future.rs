//! Logs on their way from one directory to another (KIP-113).
//!
//! Flow: `create_future` -> the owner copies (`Log::read`, `append_as_follower`)
//! -> `take_over` puts the copy in the place of the log -> `cleanup` removes what
//! was left. A log's handle stays the same: what is behind it changes.
//!
//! **Invariant:** at every moment one directory holds the whole log under its
//! own name. Where a crash leaves two, the older says so (`MOVED`), and the next
//! start removes it; a copy that was not whole goes on to be one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{MutexGuard, RwLock};

use super::super::{Error, Log, LogDir, LogHandle, OpenParams};
use super::Manager;
use super::load::FUTURE_SUFFIX;
use crate::model::{LeaderEpoch, TopicPartition};

/// A file in a log's directory: the log is complete in another one.
pub(super) const MOVED: &str = "moved";
/// The longest file name that file systems take.
const NAME_LENGTH_MAX: usize = 255;

/// Why a log is not moved to a directory.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error("Log dir {0} is not found in the config.")]
    UnknownDir(String),
    #[error("Log directory {0} is offline")]
    OfflineDir(String),
    #[error("The topic name is too long.")]
    NameTooLong,
    #[error(transparent)]
    Log(#[from] Error),
}

impl Manager {
    /// The directory of `log.dirs` with this path, if it can be used.
    pub fn usable_dir(&self, path: &str) -> Result<Arc<LogDir>, MoveError> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let wanted = absolute(Path::new(path));
        let found = self
            .dirs
            .iter()
            .find(|dir| absolute(dir.path()) == wanted)
            .ok_or_else(|| MoveError::UnknownDir(path.to_owned()))?;
        match found.is_online() {
            true => Ok(Arc::clone(found)),
            false => Err(MoveError::OfflineDir(path.to_owned())),
        }
    }

    /// A log of this partition that does not exist yet is created there.
    pub fn prefer_dir(&self, partition: &TopicPartition, dir: &Arc<LogDir>) {
        let mut preferred = self.preferred.lock();
        preferred.insert(partition.clone(), Arc::clone(dir));
    }

    /// The log that is on its way.
    #[must_use]
    pub fn future(&self, partition: &TopicPartition) -> Option<LogHandle> {
        self.future_logs.read().get(partition).cloned()
    }

    /// The partitions that are on their way.
    #[must_use]
    pub fn all_future(&self) -> Vec<TopicPartition> {
        self.future_logs.read().keys().cloned().collect()
    }

    /// Makes an empty log in `dir` that is to become the partition's.
    pub fn create_future(
        &self,
        partition: &TopicPartition,
        dir: &Arc<LogDir>,
        now_ms: i64,
    ) -> Result<LogHandle, MoveError> {
        let _work = self.directory_work.lock();
        if let Some(future) = self.future(partition) {
            return Ok(future);
        }
        let name = future_name(partition).ok_or(MoveError::NameTooLong)?;
        let current = self.get(partition).ok_or(Error::AllFailed)?;
        let (config, topic_id, start) = {
            let current = current.read();
            (
                current.config().clone(),
                current.topic_id(),
                current.log_start_offset(),
            )
        };
        let params = OpenParams {
            partition: partition.clone(),
            dir: dir.path().join(name),
            config,
            log_start_offset: start,
            recovery_point: 0,
            clean_shutdown: false,
            producer_expiration_ms: self.producer_expiration_ms.load(Ordering::Relaxed),
            home: Some(Arc::clone(dir)),
        };
        let mut log = Log::open(params, Arc::clone(&self.storage), now_ms)?;
        if let Some(id) = topic_id {
            log.assign_topic_id(id)?;
        }
        let log = Arc::new(RwLock::new(log));
        dir.add_log();
        let mut futures = self.future_logs.write();
        futures.insert(partition.clone(), Arc::clone(&log));
        Ok(log)
    }

    /// Takes a log that was on its way off it, with what was copied. Says
    /// whether there was one.
    pub fn delete_future(&self, partition: &TopicPartition, now_ms: i64) -> Result<bool, Error> {
        let _work = self.directory_work.lock();
        let Some(log) = self.future_logs.write().remove(partition) else {
            return Ok(false);
        };
        let mut log = log.write();
        if let Some(home) = &log.home {
            home.remove_log();
        }
        if log.is_offline() {
            // The next start with the directory finds it, and goes on.
            return Ok(true);
        }
        self.doom(&mut log, now_ms)?;
        Ok(true)
    }

    /// The turn to change what lies in the directories; it is taken before any
    /// lock of a partition or a log.
    pub fn directory_work(&self) -> MutexGuard<'_, ()> {
        self.directory_work.lock()
    }

    /// Puts the copy in the place of the log behind `current`, which the caller
    /// has locked, and which ends where the copy does; `leads_in` is the epoch in
    /// which this broker leads it. What was there is removed later.
    pub fn take_over(
        &self,
        _work: &MutexGuard<'_, ()>,
        current: &mut Log,
        leads_in: Option<LeaderEpoch>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let partition = current.partition().clone();
        let future = self.future(&partition).ok_or(Error::AllFailed)?;
        let mut future = future.write();
        debug_assert_eq!(future.log_end_offset(), current.log_end_offset());
        future.maybe_increment_log_start_offset(current.log_start_offset())?;
        // What one directory promised to keep, the other must have kept before.
        future.flush(now_ms)?;
        future.reconfigure(current.config().clone());
        if let Some(epoch) = leads_in {
            future.begin_epoch(epoch)?;
        }
        let marked = self.storage.replace(&current.dir().join(MOVED), b"");
        current.io(marked)?;
        future.move_to_name(&partition.to_string())?;
        // Passes of the cleaner that are under way watch the old log's count.
        current.interrupt_cleaning();
        std::mem::swap(current, &mut *future);
        std::mem::swap(&mut current.cuts, &mut future.cuts);
        self.future_logs.write().remove(&partition);
        let old = &mut *future;
        if let Some(home) = &old.home {
            let cleaned = home.cleaner_checkpoint.get(&partition);
            home.cleaner_checkpoint.remove(&partition)?;
            if let (Some(cleaned), Some(new_home)) = (cleaned, &current.home) {
                new_home.cleaner_checkpoint.set(&partition, cleaned)?;
            }
            home.remove_log();
        }
        if let Err(error) = self.doom(old, now_ms) {
            tracing::warn!(%partition, %error, "what a moved log left stays until the next start");
        }
        Ok(())
    }
}

impl Log {
    /// How often the log was cut, or anything else that makes what was read of
    /// it worthless.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts.load(std::sync::atomic::Ordering::Acquire)
    }

    fn move_to_name(&mut self, name: &str) -> Result<PathBuf, Error> {
        let to = self.dir.with_file_name(name);
        let renamed = common::fs::rename_durably(&self.dir, &to);
        self.io(renamed)?;
        self.set_dir(&to);
        Ok(to)
    }
}

/// `<topic>-<partition>.<random>-future`; `None` when that is too long a name.
fn future_name(partition: &TopicPartition) -> Option<String> {
    let id = uuid::Uuid::new_v4().simple();
    let name = format!("{partition}.{id}{FUTURE_SUFFIX}");
    (name.len() <= NAME_LENGTH_MAX).then_some(name)
}
