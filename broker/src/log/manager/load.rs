//! Loads the logs of one directory on several threads.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::super::checkpoint::{self, LOG_START, RECOVERY_POINT};
use super::super::config::LogConfig;
use super::super::{Error, Log, OpenParams};
use super::{Manager, OpenError};
use crate::model::{TopicName, TopicPartition};

pub(super) const DELETE_SUFFIX: &str = "-delete";

impl Manager {
    pub(super) fn load_dir(
        &self,
        dir: &Path,
        now_ms: i64,
        config_of: &(dyn Fn(&str) -> LogConfig + Sync),
    ) -> Result<(), OpenError> {
        let clean = checkpoint::take_clean_shutdown(dir)?;
        let recovery_points = read_or_empty(&dir.join(RECOVERY_POINT));
        let log_starts = read_or_empty(&dir.join(LOG_START));
        let mut params = Vec::new();
        for (partition, path) in self.partition_dirs(dir, now_ms)? {
            params.push(OpenParams {
                config: config_of(partition.topic.as_str()),
                log_start_offset: log_starts.get(&partition).copied().unwrap_or(0),
                recovery_point: recovery_points.get(&partition).copied().unwrap_or(0),
                clean_shutdown: clean,
                producer_expiration_ms: self.config.producer_expiration_ms,
                cleaner_checkpoint: self.cleaner_checkpoints.get(dir).cloned(),
                partition,
                dir: path,
            });
        }
        if let Some(checkpoint) = self.cleaner_checkpoints.get(dir) {
            let known: HashSet<_> = params.iter().map(|params| &params.partition).collect();
            checkpoint.retain(|partition| known.contains(partition));
        }
        let loaded = self.open_all(&params, now_ms);
        let mut logs = self.logs.write();
        for log in loaded {
            let log = log?;
            let partition = log.partition().clone();
            if let Some(first) = logs.get(&partition) {
                return Err(OpenError::Twice {
                    partition,
                    first: first.read().dir().to_owned(),
                    second: log.dir().to_owned(),
                });
            }
            logs.insert(partition, Arc::new(RwLock::new(log)));
        }
        Ok(())
    }

    fn open_all(&self, params: &[OpenParams], now_ms: i64) -> Vec<Result<Log, Error>> {
        let threads = self.config.recovery_threads_per_dir.max(1);
        let next = AtomicUsize::new(0);
        let loaded = Mutex::new(Vec::with_capacity(params.len()));
        std::thread::scope(|scope| {
            for _ in 0..threads.min(params.len()) {
                scope.spawn(|| {
                    while let Some(params) = params.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let log = Log::open(params.clone(), Arc::clone(&self.storage), now_ms);
                        loaded.lock().push(log);
                    }
                });
            }
        });
        loaded.into_inner()
    }

    /// The partitions' directories. One that was being deleted is doomed
    /// again; anything else is left alone.
    fn partition_dirs(
        &self,
        dir: &Path,
        now_ms: i64,
    ) -> Result<Vec<(TopicPartition, PathBuf)>, OpenError> {
        let fail = |source| OpenError::Io {
            dir: dir.to_owned(),
            source,
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if !entry.file_type().map_err(fail)?.is_dir() {
                continue;
            }
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if name.ends_with(DELETE_SUFFIX) {
                self.doom_dir(entry.path(), now_ms);
            } else if let Some(partition) = parse_dir_name(&name) {
                found.push((partition, entry.path()));
            } else {
                tracing::warn!(path = %entry.path().display(), "not a partition's directory");
            }
        }
        Ok(found)
    }
}

/// A checkpoint that cannot be read costs a longer recovery, not the start.
fn read_or_empty(path: &Path) -> checkpoint::Offsets {
    checkpoint::read_offsets(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "checkpoint ignored");
        checkpoint::Offsets::new()
    })
}

/// Splits `<topic>-<partition>`.
fn parse_dir_name(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let is_number = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
    let partition: i32 = partition.parse().ok()?;
    let topic = TopicName::new(topic).ok()?;
    is_number.then(|| TopicPartition::new(topic, partition))
}
