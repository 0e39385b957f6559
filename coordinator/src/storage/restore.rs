//! Makes a data directory of a backup, or of anything else that is a whole state.
//!
//! **Invariant:** a directory that holds a state is never written over.

use std::fs;
use std::path::{Path, PathBuf};

use common::fs::DirLock;

use super::{Error, FOLDER, IoContext, LOCK_FILE, recovery, snapshot};
use crate::txn::{Entry, State, Txn};

/// What becomes of the sessions in a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// They live on: clients may come back to them, else they expire.
    Keep,
    /// They end, and their ephemeral nodes with them.
    Drop,
}

/// What was put into a directory.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) zxid: i64,
    pub(crate) nodes: usize,
    pub(crate) sessions: usize,
}

impl Restored {
    pub(super) fn of(state: &State) -> Self {
        Self {
            zxid: state.zxid,
            nodes: state.tree.reported_len(),
            sessions: state.sessions.len(),
        }
    }
}

/// A folder for a new state, locked.
#[derive(Debug)]
pub(super) struct NewFolder {
    pub(super) path: PathBuf,
    _lock: DirLock,
}

impl NewFolder {
    /// Creates our folder below `data_dir`; it may be there, but not hold a state.
    pub(super) fn create(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FOLDER);
        super::make_folder(&path)?;
        let lock = DirLock::acquire(&path, LOCK_FILE)?;
        if !recovery::snapshots(&path)?.is_empty() || !recovery::logs(&path)?.is_empty() {
            return Err(Error::Occupied {
                dir: data_dir.to_owned(),
            });
        }
        Ok(Self { path, _lock: lock })
    }
}

/// Checks a backup and makes a data directory of it.
pub(crate) fn restore(
    backup: &Path,
    data_dir: &Path,
    sessions: Sessions,
) -> Result<Restored, Error> {
    let mut state = snapshot::read(backup)?;
    let folder = NewFolder::create(data_dir)?;
    if sessions == Sessions::Drop {
        end_sessions(&mut state, backup)?;
    }
    snapshot::write(&folder.path, &state)?;
    Ok(Restored::of(&state))
}

/// Reads a backup to its end.
pub(crate) fn check(backup: &Path) -> Result<Restored, Error> {
    let state = snapshot::read(backup)?;
    Ok(Restored::of(&state))
}

/// Closes every session by the transactions that would have closed it.
fn end_sessions(state: &mut State, backup: &Path) -> Result<(), Error> {
    let sessions: Vec<i64> = state.sessions.keys().copied().collect();
    for session in sessions {
        let owned = state.tree.ephemerals_of(session);
        let ephemerals = owned.map(ToString::to_string).collect();
        let entry = Entry {
            zxid: state.zxid + 1,
            session,
            cxid: 0,
            time_ms: 0,
            txn: Txn::CloseSession { ephemerals },
        };
        state.apply(&entry).map_err(|error| Error::Inconsistent {
            path: backup.to_owned(),
            zxid: entry.zxid,
            reason: error.to_string(),
        })?;
    }
    Ok(())
}

/// Keeps a file only if it is complete: it is written beside its place first.
pub(crate) fn write_beside(
    path: &Path,
    write: impl FnOnce(&mut fs::File) -> std::io::Result<()>,
) -> Result<PathBuf, Error> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.write(true).create(true).truncate(true);
    let mut file = file.open(&temporary).at(&temporary)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    if written.is_err() {
        // The error that matters is the first one.
        drop(fs::remove_file(&temporary));
    }
    written.at(&temporary)?;
    Ok(temporary)
}
