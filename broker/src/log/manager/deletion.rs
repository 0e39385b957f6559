//! Deleting partitions: rename at once, remove later.

use std::path::{Path, PathBuf};

use super::super::{Error, Log};
use super::Manager;
use super::load::DELETE_SUFFIX;
use crate::model::TopicPartition;

/// The longest file name that file systems take.
const NAME_LENGTH_MAX: usize = 255;

/// A renamed directory that goes when its time comes.
#[derive(Debug)]
pub(super) struct DoomedDir {
    path: PathBuf,
    due_ms: i64,
}

impl Manager {
    /// Takes the partition's log out of service and renames its directory;
    /// `cleanup` removes it after `file.delete.delay.ms`. Says whether there
    /// was one.
    pub fn delete_async(&self, partition: &TopicPartition, now_ms: i64) -> Result<bool, Error> {
        let _work = self.directory_work.lock();
        let Some(log) = self.logs.write().remove(partition) else {
            return Ok(false);
        };
        let mut log = log.write();
        log.interrupt_cleaning();
        if let Some(home) = &log.home {
            home.cleaner_checkpoint.remove(partition)?;
            home.remove_log();
        }
        self.doom(&mut log, now_ms)?;
        Ok(true)
    }

    /// Renames the log's directory, to be removed in its time.
    pub(super) fn doom(&self, log: &mut Log, now_ms: i64) -> Result<(), Error> {
        let delay_ms = log.config().file_delete_delay_ms;
        let path = log.rename_for_deletion(&deletion_name(log.partition()))?;
        let due_ms = now_ms.saturating_add(delay_ms);
        self.doomed.lock().push(DoomedDir { path, due_ms });
        Ok(())
    }

    /// Renames a directory that no log was opened from, to be removed.
    pub(super) fn doom_path(
        &self,
        partition: &TopicPartition,
        path: &Path,
        now_ms: i64,
    ) -> std::io::Result<()> {
        let to = path.with_file_name(deletion_name(partition));
        common::fs::rename_durably(path, &to)?;
        self.doom_dir(to, now_ms);
        Ok(())
    }

    /// Removes what an earlier run had renamed, with the delay starting anew.
    pub(super) fn doom_dir(&self, path: PathBuf, now_ms: i64) {
        let due_ms = now_ms.saturating_add(self.config.defaults.file_delete_delay_ms);
        self.doomed.lock().push(DoomedDir { path, due_ms });
    }

    pub(super) fn delete_due_dirs(&self, now_ms: i64) {
        let mut doomed = self.doomed.lock();
        let due: Vec<_> = doomed.extract_if(.., |d| d.due_ms <= now_ms).collect();
        drop(doomed);
        for DoomedDir { path, .. } in due {
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "deleted partition stays");
                    // Tried again with the next round.
                    let due_ms = now_ms;
                    self.doomed.lock().push(DoomedDir { path, due_ms });
                }
                _ => {}
            }
        }
    }
}

impl Log {
    /// Moves the directory under `name` and closes the log for appends.
    fn rename_for_deletion(&mut self, name: &str) -> Result<PathBuf, Error> {
        let to = self.dir.with_file_name(name);
        let renamed = common::fs::rename_durably(&self.dir, &to);
        self.io(renamed)?;
        self.set_dir(&to);
        self.epochs.forget();
        self.failed = true;
        Ok(to)
    }

    /// The directory has another name now.
    pub(super) fn set_dir(&mut self, to: &Path) {
        self.dir = to.to_owned();
        self.epochs
            .set_path(to.join(super::super::checkpoint::LEADER_EPOCH));
        for segment in self.segments.values_mut() {
            segment.set_dir(to);
        }
    }
}

/// `<topic>-<partition>.<random>-delete`, the topic cut to fit a file name.
fn deletion_name(partition: &TopicPartition) -> String {
    let id = uuid::Uuid::new_v4().simple();
    let suffix = format!("-{}.{id}{DELETE_SUFFIX}", partition.partition);
    let topic = partition.topic.as_str();
    let kept = topic.len().min(NAME_LENGTH_MAX - suffix.len());
    format!("{}{suffix}", &topic[..kept])
}
