//! Loads the logs of one directory on several threads.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use super::super::boots;
use super::super::checkpoint::{self, LOG_START, RECOVERY_POINT};
use super::super::config::LogConfig;
use super::super::{Error, Log, LogDir, OpenParams};
use super::future::MOVED;
use super::{Manager, OpenError};
use crate::model::{TopicName, TopicPartition};

pub(super) const DELETE_SUFFIX: &str = "-delete";
/// Ends the name of a log that is being moved to another directory.
pub(super) const FUTURE_SUFFIX: &str = "-future";
/// Ends the name of a log that a KRaft broker set aside.
const STRAY_SUFFIX: &str = "-stray";

/// Logs between two lines about the progress of a start.
const PROGRESS_STEP: usize = 2000;

/// What the logs of one directory needed.
#[derive(Debug, Default)]
struct Recovered {
    segments: usize,
    bytes_cut: u64,
}

impl Recovered {
    fn add(&mut self, log: &Log) {
        self.segments += log.recovery().segments_scanned;
        self.bytes_cut += log.recovery().bytes_cut;
    }
}

impl Manager {
    pub(super) fn load_dir(
        &self,
        home: &Arc<LogDir>,
        now_ms: i64,
        config_of: &(dyn Fn(&str) -> LogConfig + Sync),
    ) -> Result<(), OpenError> {
        let dir = home.path();
        let clean = checkpoint::take_clean_shutdown(dir)?;
        if !clean && !boots::is_same(dir, self.config.boot_id.as_deref()) {
            home.note_lost_tails();
        }
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
                home: Some(Arc::clone(home)),
                partition,
                dir: path,
            });
        }
        let known: HashSet<_> = params.iter().map(|params| &params.partition).collect();
        home.cleaner_checkpoint
            .retain(|partition| known.contains(partition));
        let (path, count) = (dir.display(), params.len());
        match clean {
            true => tracing::info!(dir = %path, count, "loading logs after a clean shutdown"),
            false if count > 0 => {
                tracing::info!(dir = %path, count, "recovering logs: there was no clean shutdown");
            }
            false => {}
        }
        let loaded = self.open_all(&params, now_ms);
        let mut recovered = Recovered::default();
        for log in loaded {
            let log = log?;
            recovered.add(&log);
            self.add(log)?;
            home.add_log();
        }
        if recovered.segments > 0 {
            let Recovered {
                segments,
                bytes_cut,
            } = recovered;
            tracing::info!(dir = %path, count, segments, bytes_cut, "recovered");
        }
        Ok(())
    }

    fn add(&self, log: Log) -> Result<(), OpenError> {
        let partition = log.partition().clone();
        let mut logs = match is_future(log.dir()) {
            true => self.future_logs.write(),
            false => self.logs.write(),
        };
        if let Some(first) = logs.get(&partition) {
            return Err(OpenError::Twice {
                partition,
                first: first.read().dir().to_owned(),
                second: log.dir().to_owned(),
            });
        }
        logs.insert(partition, Arc::new(RwLock::new(log)));
        Ok(())
    }

    fn open_all(&self, params: &[OpenParams], now_ms: i64) -> Vec<Result<Log, Error>> {
        let threads = self.config.recovery_threads_per_dir.max(1);
        let params_count = params.len();
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let loaded = Mutex::new(Vec::with_capacity(params.len()));
        std::thread::scope(|scope| {
            for _ in 0..threads.min(params.len()) {
                scope.spawn(|| {
                    while let Some(params) = params.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let log = Log::open(params.clone(), Arc::clone(&self.storage), now_ms);
                        loaded.lock().push(log);
                        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                        if done.is_multiple_of(PROGRESS_STEP) {
                            tracing::info!(done, of = params_count, "logs loaded");
                        }
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
            } else if name.ends_with(STRAY_SUFFIX) {
                tracing::warn!(path = %entry.path().display(), "a stray partition is left alone");
            } else if let Some(partition) = parse_dir_name(&name) {
                if !is_future(&entry.path()) && entry.path().join(MOVED).exists() {
                    self.settle_move(&partition, &entry.path(), now_ms)
                        .map_err(fail)?;
                    if !entry.path().exists() {
                        continue;
                    }
                }
                found.push((partition, entry.path()));
            } else {
                tracing::warn!(path = %entry.path().display(), "not a partition's directory");
            }
        }
        Ok(found)
    }
}

impl Manager {
    /// A crash came while a log's copy took its place: the copy is the log where
    /// it has its name already, and otherwise goes on to be copied.
    fn settle_move(
        &self,
        partition: &TopicPartition,
        path: &Path,
        now_ms: i64,
    ) -> std::io::Result<()> {
        let name = partition.to_string();
        let others = self.online_dirs().map(|dir| dir.path().join(&name));
        match others
            .into_iter()
            .find(|other| other != path && other.is_dir())
        {
            Some(new) => {
                tracing::info!(%partition, old = %path.display(), new = %new.display(), "the log was moved");
                self.doom_path(partition, path, now_ms)
            }
            None => std::fs::remove_file(path.join(MOVED)),
        }
    }
}

/// A checkpoint that cannot be read costs a longer recovery, not the start.
fn read_or_empty(path: &Path) -> checkpoint::Offsets {
    checkpoint::read_offsets(path).unwrap_or_else(|error| {
        tracing::warn!(%error, "checkpoint ignored");
        checkpoint::Offsets::new()
    })
}

fn is_future(dir: &Path) -> bool {
    let name = dir.file_name().map(|name| name.as_encoded_bytes());
    name.is_some_and(|name| name.ends_with(FUTURE_SUFFIX.as_bytes()))
}

/// Splits `<topic>-<partition>`, or `<topic>-<partition>.<id>-future`.
fn parse_dir_name(name: &str) -> Option<TopicPartition> {
    let name = match name.strip_suffix(FUTURE_SUFFIX) {
        Some(name) => name.rsplit_once('.')?.0,
        None => name,
    };
    let (topic, partition) = name.rsplit_once('-')?;
    let is_number = !partition.is_empty() && partition.bytes().all(|b| b.is_ascii_digit());
    let partition: i32 = partition.parse().ok()?;
    let topic = TopicName::new(topic).ok()?;
    is_number.then(|| TopicPartition::new(topic, partition))
}
