//! Directories of new logs that are not known to be on the disk.
//!
//! As in Kafka, creating a partition waits for no disk: its topic id is made
//! durable right after. What a power cut takes away before that, the controller's
//! next request says again.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::log::LogDir;
use crate::log::checkpoint;

/// From so many on, one sync of the whole file system costs less.
const MANY: usize = 64;

#[derive(Debug, Default)]
pub(super) struct NewDirs(Mutex<Vec<(Arc<LogDir>, PathBuf)>>);

impl NewDirs {
    pub(super) fn note(&self, home: &Arc<LogDir>, dir: &Path) {
        self.0.lock().push((Arc::clone(home), dir.to_owned()));
    }

    /// Makes all that were noted durable. A directory of `log.dirs` that refuses
    /// is taken out of service if its device does not work.
    pub(super) fn sync(&self) {
        let mut noted = std::mem::take(&mut *self.0.lock());
        noted.retain(|(home, _)| home.is_online());
        if noted.len() < MANY {
            for (home, dir) in &noted {
                note_failure(home, dir, sync_dir(dir));
            }
            return;
        }
        noted.sort_unstable_by(|a, b| a.0.path().cmp(b.0.path()));
        noted.dedup_by(|a, b| Arc::ptr_eq(&a.0, &b.0));
        for (home, _) in &noted {
            note_failure(home, home.path(), sync_file_system(home.path()));
        }
    }
}

fn note_failure(home: &LogDir, dir: &Path, synced: io::Result<()>) {
    if let Err(error) = synced {
        tracing::error!(dir = %dir.display(), %error, "a new log's directory cannot be made durable");
        home.note(&error);
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    let synced = File::open(checkpoint::topic_id_path(dir))
        .and_then(|file| file.sync_all())
        .and_then(|()| common::fs::sync_dir(dir));
    match synced {
        // Deleted meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

/// Lets the kernel write everything at once.
pub(super) fn sync_file_system(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(dir)?)?)
}
