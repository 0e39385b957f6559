//! Keeping other processes out of the log directories.

use std::fs::File;
use std::path::{Path, PathBuf};

use common::fs::{DirLock, LockError};

use super::OpenError;

const LOCK_FILE: &str = ".lock";

/// Log directories that no other process may use; the first step of opening.
/// One that cannot even be locked is left out while there are others.
#[derive(Debug)]
pub struct LockedDirs {
    paths: Vec<PathBuf>,
    pub(super) unusable: Vec<(PathBuf, std::io::Error)>,
    _locks: Vec<DirLock>,
    _locks_against_java: Vec<File>,
}

impl LockedDirs {
    /// Creates what is missing and locks every directory.
    pub fn acquire(paths: &[PathBuf]) -> Result<Self, OpenError> {
        let mut dirs = Self {
            paths: Vec::with_capacity(paths.len()),
            unusable: Vec::new(),
            _locks: Vec::new(),
            _locks_against_java: Vec::new(),
        };
        for path in paths {
            match lock(path) {
                Ok((lock, lock_against_java)) => {
                    dirs.paths.push(path.clone());
                    dirs._locks.push(lock);
                    dirs._locks_against_java.push(lock_against_java);
                }
                Err(OpenError::Io { dir, source }) => dirs.unusable.push((dir, source)),
                Err(held) => return Err(held),
            }
        }
        if !dirs.paths.is_empty() {
            return Ok(dirs);
        }
        match dirs.unusable.pop() {
            Some((dir, source)) => Err(OpenError::Io { dir, source }),
            None => Err(OpenError::NoDirectory),
        }
    }

    /// The directories that can be used.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

fn lock(dir: &Path) -> Result<(DirLock, File), OpenError> {
    let fail = |source| OpenError::Io {
        dir: dir.to_owned(),
        source,
    };
    std::fs::create_dir_all(dir).map_err(fail)?;
    let lock = DirLock::acquire(dir, LOCK_FILE).map_err(|error| match error {
        LockError::Io { source, .. } => fail(source),
        held @ LockError::Held { .. } => OpenError::Locked(held),
    })?;
    Ok((lock, lock_against_java(dir)?))
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
