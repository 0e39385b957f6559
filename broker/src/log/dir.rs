//! One log directory: whether it still works, and what all its logs share.
//!
//! **Invariant:** a directory that failed once stays failed until a restart:
//! what was written to it last may be gone although the next write succeeds.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::checkpoint::Offsets;
use super::cleaner::CleanerCheckpoint;
use super::room::Full;
use super::storage::Storage;

/// What befalls a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It is out of service until a restart; told once.
    Failed,
    /// It has no room left; told again after there was some.
    Full,
}

type Hook = dyn Fn(&Path, Failure) + Send + Sync;

/// Hears of each directory that fails or is full.
#[derive(Clone)]
pub struct FailureHook(Arc<Hook>);

impl FailureHook {
    #[must_use]
    pub fn new(hook: impl Fn(&Path, Failure) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }
}

impl Default for FailureHook {
    fn default() -> Self {
        Self::new(|_, _| {})
    }
}

impl fmt::Debug for FailureHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailureHook")
    }
}

/// A directory of `log.dirs`.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    failed: AtomicBool,
    may_lack_tails: AtomicBool,
    full: Full,
    hook: FailureHook,
    log_count: AtomicUsize,
    /// A hash of what each checkpoint says, so that an idle broker writes none.
    written: Mutex<HashMap<&'static str, u64>>,
    pub(in crate::log) cleaner_checkpoint: CleanerCheckpoint,
}

impl LogDir {
    pub(in crate::log) fn open(
        path: PathBuf,
        storage: Arc<dyn Storage>,
        hook: FailureHook,
    ) -> Self {
        Self {
            cleaner_checkpoint: CleanerCheckpoint::open(&path, storage),
            path,
            failed: AtomicBool::new(false),
            may_lack_tails: AtomicBool::new(false),
            full: Full::default(),
            hook,
            log_count: AtomicUsize::new(0),
            written: Mutex::default(),
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn is_online(&self) -> bool {
        !self.failed.load(Ordering::Acquire)
    }

    /// Says whether the machine went down while its logs were written to, so
    /// that what they were given last may be gone.
    pub(in crate::log) fn may_lack_tails(&self) -> bool {
        self.may_lack_tails.load(Ordering::Relaxed)
    }

    pub(in crate::log) fn note_lost_tails(&self) {
        self.may_lack_tails.store(true, Ordering::Relaxed);
    }

    /// Logs that lie in it.
    #[must_use]
    pub fn log_count(&self) -> usize {
        self.log_count.load(Ordering::Relaxed)
    }

    pub(in crate::log) fn add_log(&self) {
        self.log_count.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::log) fn remove_log(&self) {
        self.log_count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Says whether the checkpoint of this name says `offsets` already.
    pub(in crate::log) fn has_written(&self, name: &'static str, offsets: &Offsets) -> bool {
        self.written.lock().get(name) == Some(&hash_of(offsets))
    }

    pub(in crate::log) fn note_written(&self, name: &'static str, offsets: &Offsets) {
        self.written.lock().insert(name, hash_of(offsets));
    }

    /// Takes the directory out of service if `error` says that the device does
    /// not work. A full disk stays in service, for readers.
    pub(in crate::log) fn note(&self, error: &io::Error) {
        if is_of_the_device(error) {
            self.fail(error);
        } else if is_out_of_room(error) && self.full.begin(&self.path) {
            let dir = self.path.display();
            tracing::error!(%dir, %error, "the log directory is full: its logs can only be read");
            (self.hook.0)(&self.path, Failure::Full);
        }
    }

    /// Says whether a write found no room, and none has been made since.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full.holds()
    }

    /// Looks whether a full directory has room again; `true` once it has.
    pub fn has_room_again(&self) -> bool {
        let has_ended = self.full.end_if_room(&self.path);
        if has_ended {
            tracing::info!(dir = %self.path.display(), "the log directory has room again");
        }
        has_ended
    }

    /// Takes the directory out of service.
    pub(in crate::log) fn fail(&self, error: &io::Error) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            let dir = self.path.display();
            tracing::error!(%dir, %error, "the log directory failed: its logs are offline until a restart");
            (self.hook.0)(&self.path, Failure::Failed);
        }
    }
}

fn hash_of(offsets: &Offsets) -> u64 {
    let mut hasher = DefaultHasher::new();
    offsets.hash(&mut hasher);
    hasher.finish()
}

/// Errors of the process, of one file or of a full disk leave the rest alone.
fn is_of_the_device(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let passes =
        is_out_of_room(error) || matches!(error.kind(), Kind::NotFound | Kind::InvalidInput);
    error.raw_os_error().is_some() && !passes && !is_of_the_process(error)
}

/// The disk works, and has no room for what was to be written.
pub(in crate::log) fn is_out_of_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The process has no descriptors or memory left, and the disk was not asked.
pub(in crate::log) fn is_of_the_process(error: &io::Error) -> bool {
    /// No descriptor is free, here or in the whole system.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let code = error.raw_os_error();
    code == Some(ENFILE)
        || code == Some(EMFILE)
        || matches!(
            error.kind(),
            io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory
        )
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    #[test]
    fn only_errors_of_the_device_take_the_directory_out_of_service() {
        const EIO: i32 = 5;
        const EROFS: i32 = 30;
        const ENOSPC: i32 = 28;
        const ENOENT: i32 = 2;
        const EMFILE: i32 = 24;
        let root = tempfile::tempdir().unwrap();
        for (code, is_online) in [
            (ENOSPC, true),
            (ENOENT, true),
            (EMFILE, true),
            (EIO, false),
            (EROFS, false),
        ] {
            let heard = Arc::new(AtomicUsize::new(0));
            let count = heard.clone();
            let hook = FailureHook::new(move |_, failure| {
                assert_eq!(failure == Failure::Full, code == ENOSPC);
                count.fetch_add(1, Ordering::Relaxed);
            });
            let dir = LogDir::open(root.path().to_owned(), Arc::new(Disk), hook);
            for _ in 0..2 {
                dir.note(&io::Error::from_raw_os_error(code));
            }
            assert_eq!(dir.is_online(), is_online, "{code}");
            assert_eq!(dir.is_full(), code == ENOSPC);
            let expected = usize::from(!is_online || code == ENOSPC);
            assert_eq!(heard.load(Ordering::Relaxed), expected, "told once");
        }
    }
}
