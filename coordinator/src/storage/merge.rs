//! Writes a snapshot from the one before it and the logs between.
//!
//! Flow: the logs name the nodes that changed; those nodes and their ancestors are
//! loaded into a small tree; the logs are applied to it, as after a start; then the
//! old snapshot is copied, with the changed nodes in the place of what they were.
//!
//! The state that clients use has no part in this. So a snapshot is consistent, no
//! write waits for it however large the tree is, and its memory is that of the
//! changes. And what a start would read has been read once before it is needed:
//! damage is found while the memory still holds the truth.
//!
//! **Invariant:** the nodes are those that a start would have after the same
//! transaction.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::log::{LogReader, Next};
use super::nodes::Builder;
use super::snapshot::{Head, NodeChunk, NodeRecord, Reader, Writer};
use super::{Error, nodes, recovery, snapshot};
use crate::txn::{Entry, State};

/// Nodes below this one may count the nodes of any other subtree.
const QUOTAS: &str = "/zookeeper/quota/";
/// Always loaded: there are few of them, and some depend on others.
const SYSTEM: &str = "/zookeeper";

/// The job of writing one snapshot.
pub(super) struct Merge<'a> {
    pub(super) snapshot_dir: &'a Path,
    pub(super) log_dir: &'a Path,
    /// The last transaction that the snapshot is to have.
    pub(super) zxid: i64,
    /// The daemon stops, and does not want to wait.
    pub(super) cancelled: &'a AtomicBool,
}

impl Merge<'_> {
    /// Writes the snapshot, unless it is there, and returns its file.
    pub(super) fn write(&self) -> Result<PathBuf, Error> {
        let path = self.snapshot_dir.join(snapshot::file_name(self.zxid));
        let mut older = recovery::snapshots(self.snapshot_dir)?;
        older.retain(|(zxid, _)| *zxid <= self.zxid);
        while let Some((zxid, base)) = older.pop() {
            let outcome = match zxid == self.zxid {
                true => check(&base),
                false => self.write_upon(&base),
            };
            match outcome {
                Ok(()) => return Ok(path),
                Err(error @ (Error::Damaged { .. } | Error::Io { .. })) if !older.is_empty() => {
                    tracing::error!(%error, "trying the snapshot before it");
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::NoSnapshot {
            dir: self.snapshot_dir.to_owned(),
        })
    }

    fn write_upon(&self, base: &Path) -> Result<(), Error> {
        let base_zxid = Reader::open(base)?.head.zxid;
        let wanted = self.changed_paths(base_zxid)?;
        let mut state = self.load(base, &wanted)?;
        self.entries(base_zxid, &mut |path, entry| {
            recovery::apply(path, &entry, &mut state).map(drop)
        })?;
        if state.zxid != self.zxid {
            return Err(Error::Gap {
                path: self.log_dir.to_owned(),
                wanted: state.zxid + 1,
                found: self.zxid + 1,
            });
        }
        self.copy(base, &wanted, &state)
    }

    /// The nodes that the logs change, with all their ancestors.
    fn changed_paths(&self, base_zxid: i64) -> Result<Wanted, Error> {
        let mut wanted = Wanted::default();
        self.entries(base_zxid, &mut |_, entry| {
            entry.txn.for_each_path(&mut |path| wanted.add(path));
            Ok(())
        })?;
        Ok(wanted)
    }

    /// Passes on the transactions behind `base_zxid`, with the files they are in.
    fn entries(
        &self,
        base_zxid: i64,
        pass: &mut dyn FnMut(&Path, Entry) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let logs = recovery::logs_behind(self.log_dir, base_zxid)?;
        for (first, path) in logs {
            if first > self.zxid {
                break;
            }
            let Some(mut reader) = LogReader::open(&path)? else {
                break;
            };
            loop {
                self.check_cancelled()?;
                match reader.next()? {
                    Next::Batch(entries) => {
                        let wanted = base_zxid + 1..=self.zxid;
                        let mut entries = entries.into_iter();
                        let entries = entries.by_ref().filter(|e| wanted.contains(&e.zxid));
                        for entry in entries {
                            pass(&path, entry)?;
                        }
                    }
                    Next::End => break,
                    Next::Bad => return Err(reader.damaged()),
                }
            }
        }
        Ok(())
    }

    fn load(&self, base: &Path, wanted: &Wanted) -> Result<State, Error> {
        let mut reader = Reader::open(base)?;
        let mut builder = Builder::new(reader.head.clone());
        while let Some(chunk) = reader.next()? {
            self.check_cancelled()?;
            let records = chunk.records.iter();
            let added = records
                .filter(|record| wanted.contains(&record.path))
                .try_for_each(|record| builder.add(record));
            added.map_err(|_| reader.damaged("a node has no parent"))?;
        }
        Ok(builder.finish_partly())
    }

    fn copy(&self, base: &Path, wanted: &Wanted, state: &State) -> Result<(), Error> {
        let mut writer = Writer::create(self.snapshot_dir, &Head::of(state))?;
        let mut changed = nodes::sorted(&state.tree).peekable();
        let mut reader = Reader::open(base)?;
        while let Some(chunk) = reader.next()? {
            self.check_cancelled()?;
            if is_unchanged(&chunk, wanted, changed.peek()) {
                writer.unchanged(&chunk)?;
                continue;
            }
            for record in chunk.records {
                while let Some(new) = changed.next_if(|new| new.path < record.path) {
                    writer.node(new)?;
                }
                if !wanted.contains(&record.path) {
                    writer.node(record)?;
                } else if let Some(new) = changed.next_if(|new| new.path == record.path) {
                    writer.node(new)?;
                }
            }
        }
        changed.try_for_each(|new| writer.node(new))?;
        writer.finish()?;
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), Error> {
        match self.cancelled.load(Ordering::Relaxed) {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }
}

/// Says whether no node of a chunk was changed and no new one lies between them.
fn is_unchanged(chunk: &NodeChunk<'_>, wanted: &Wanted, next_new: Option<&NodeRecord>) -> bool {
    let Some(last) = chunk.records.last() else {
        return true;
    };
    next_new.is_none_or(|new| new.path > last.path)
        && !chunk
            .records
            .iter()
            .any(|record| wanted.contains(&record.path))
}

/// Reads a snapshot to its end.
fn check(path: &Path) -> Result<(), Error> {
    let mut reader = Reader::open(path)?;
    while reader.next()?.is_some() {}
    Ok(())
}

/// The paths to load.
#[derive(Debug, Default)]
struct Wanted {
    paths: HashSet<String>,
    /// A quota was set: what it counts may be anywhere.
    all: bool,
}

impl Wanted {
    fn add(&mut self, path: &str) {
        self.all |= path.starts_with(QUOTAS);
        let mut path = path;
        while !path.is_empty() && self.paths.insert(path.to_owned()) {
            path = common::zk::path::parent(path).unwrap_or_default();
        }
    }

    fn contains(&self, path: &str) -> bool {
        self.all || path == "/" || path.starts_with(SYSTEM) || self.paths.contains(path)
    }
}
