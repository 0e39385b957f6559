//! Durable replacement of small files, and locks on directories.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{path} is locked: another process uses this directory")]
    Held { path: PathBuf },
    #[error("{path} cannot be locked: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Holds an advisory lock on a directory until it is dropped.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks `dir` by `file_name` in it; fails at once when somebody else holds it.
    pub fn acquire(dir: &Path, file_name: &str) -> Result<Self, LockError> {
        let path = dir.join(file_name);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| LockError::Io {
                path: path.clone(),
                source,
            })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Held { path }),
            Err(errno) => Err(LockError::Io {
                path,
                source: errno.into(),
            }),
        }
    }
}

/// Replaces `path` by `content` so that a crash leaves the old or the new file.
pub fn replace_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename_durably(&temporary, path)
}

/// Renames within a file system; the caller makes it durable by `sync_dir`,
/// once for all renames whose order does not matter.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Renames within a file system and syncs the directory that now holds the name.
pub fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    rename(from, to)?;
    match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Makes the names in `dir` durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::acquire(dir.path(), ".lock").unwrap();
        let refused = DirLock::acquire(dir.path(), ".lock").unwrap_err();
        assert!(matches!(refused, LockError::Held { .. }), "{refused}");
        drop(first);
        DirLock::acquire(dir.path(), ".lock").unwrap();
    }

    #[test]
    fn replace_leaves_the_new_content_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.properties");
        replace_durably(&path, b"old").unwrap();
        replace_durably(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
