//! Writes the state so that a real ZooKeeper 3.9 starts from it.
//!
//! **Invariant:** a directory that holds the data of a ZooKeeper is never written over.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use common::fs::rename_durably;

use super::{FOLDER, files, snapshot};
use crate::storage::fsck::Folders;
use crate::storage::restore::write_beside;
use crate::storage::{Error, IoContext, nodes, recovery};

/// What was exported.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) zxid: i64,
    pub(crate) nodes: usize,
    pub(crate) sessions: usize,
    /// Those whose clients hold a password that a ZooKeeper takes.
    pub(crate) resumable: usize,
}

/// Reads the data directory `from`, and makes a dataDir of ZooKeeper's of `to`.
pub(crate) fn export(from: &Path, from_logs: Option<&Path>, to: &Path) -> Result<Exported, Error> {
    let folders = Folders::open(from, from_logs)?;
    let (state, _) = recovery::load(&folders.snapshots, &folders.logs)?;
    let folder = to.join(FOLDER);
    fs::create_dir_all(&folder).at(&folder)?;
    if !files(&folder, "snapshot")?.is_empty() || !files(&folder, "log")?.is_empty() {
        return Err(Error::Occupied { dir: to.to_owned() });
    }
    let records: Vec<_> = nodes::sorted(&state.tree).collect();
    let sessions: Vec<_> = state.sessions.iter().map(|(id, ms)| (*id, *ms)).collect();
    let path = folder.join(format!("snapshot.{:x}", state.zxid));
    let temporary = write_beside(&path, |file| {
        let mut out = BufWriter::new(file);
        snapshot::write(&mut out, state.zxid, &sessions, &records)?;
        out.flush()
    })?;
    rename_durably(&temporary, &path).at(&path)?;
    Ok(Exported {
        zxid: state.zxid,
        nodes: records.len(),
        sessions: sessions.len(),
        resumable: state.imported.len(),
    })
}
