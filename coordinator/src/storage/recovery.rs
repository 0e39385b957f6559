//! Finding the state again after a start, and deleting what is no longer needed for that.

use std::fs;
use std::path::{Path, PathBuf};

use super::log::{LogReader, Next, Tail};
use super::{Error, IoContext, snapshot};
use crate::session::Secret;
use crate::txn::{Entry, State};

/// What a start found.
#[derive(Debug, Clone)]
pub(crate) struct Recovered {
    /// The last transaction.
    pub(crate) zxid: i64,
    /// The transaction of the snapshot that was read.
    pub(crate) snapshot_zxid: i64,
    /// How many transactions came from logs.
    pub(crate) replayed: u32,
    /// How many bytes of an unfinished batch were cut.
    pub(crate) cut: u64,
    /// The log to go on with.
    pub(super) log: Option<Tail>,
}

/// The files of one kind and the zxids in their names, ascending.
fn list(dir: &Path, prefix: &str) -> Result<Vec<(i64, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let zxid = name
            .and_then(|name| name.strip_prefix(prefix))
            .and_then(|hex| i64::from_str_radix(hex, 16).ok());
        if let Some(zxid) = zxid {
            files.push((zxid, path));
        }
    }
    files.sort();
    Ok(files)
}

fn snapshots(dir: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    list(dir, "snapshot.")
}

fn logs(dir: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    list(dir, "log.")
}

/// The newest readable snapshot with the logs behind it; a new state if the
/// directories are empty.
pub(super) fn recover(snapshot_dir: &Path, log_dir: &Path) -> Result<(State, Recovered), Error> {
    remove_unfinished(snapshot_dir)?;
    let snapshots = snapshots(snapshot_dir)?;
    let logs = logs(log_dir)?;
    if snapshots.is_empty() && logs.is_empty() {
        return begin(snapshot_dir);
    }
    let mut state = newest_readable(snapshot_dir, snapshots)?;
    let mut recovered = Recovered {
        zxid: state.zxid,
        snapshot_zxid: state.zxid,
        replayed: 0,
        cut: 0,
        log: None,
    };
    // The log that holds the next transaction, and all behind it.
    let first = logs.iter().rposition(|(zxid, _)| *zxid <= state.zxid + 1);
    let logs = &logs[first.unwrap_or(0)..];
    for (index, (_, path)) in logs.iter().enumerate() {
        let is_last = index + 1 == logs.len();
        let Some(reader) = LogReader::open(path)? else {
            if is_last {
                // A crash while the file was begun; nothing was ever in it.
                tracing::warn!(path = %path.display(), "removing a log without a header");
                fs::remove_file(path).at(path)?;
                continue;
            }
            return Err(Error::Damaged {
                path: path.clone(),
                offset: 0,
                reason: "its header is wrong",
            });
        };
        replay(reader, is_last, &mut state, &mut recovered)?;
    }
    recovered.zxid = state.zxid;
    // A new snapshot may be all there is of the newest transactions.
    recovered.log = recovered.log.filter(|t| t.next_zxid == state.zxid + 1);
    Ok((state, recovered))
}

/// Snapshots that a crash left unfinished have no name yet.
fn remove_unfinished(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(&path).at(&path)?;
        }
    }
    Ok(())
}

fn begin(snapshot_dir: &Path) -> Result<(State, Recovered), Error> {
    let state = State::fresh(Secret::random().map_err(Error::Random)?);
    snapshot::write(snapshot_dir, &state)?;
    let recovered = Recovered {
        zxid: 0,
        snapshot_zxid: 0,
        replayed: 0,
        cut: 0,
        log: None,
    };
    Ok((state, recovered))
}

fn newest_readable(dir: &Path, snapshots: Vec<(i64, PathBuf)>) -> Result<State, Error> {
    for (_, path) in snapshots.into_iter().rev() {
        match snapshot::read(&path) {
            Ok(state) => return Ok(state),
            Err(error @ Error::Version { .. }) => return Err(error),
            Err(error) => tracing::warn!(%error, "trying the snapshot before it"),
        }
    }
    Err(Error::NoSnapshot {
        dir: dir.to_owned(),
    })
}

fn replay(
    mut reader: LogReader,
    is_last: bool,
    state: &mut State,
    recovered: &mut Recovered,
) -> Result<(), Error> {
    if reader.next_zxid > state.zxid + 1 {
        return Err(Error::Gap {
            path: reader.path,
            wanted: state.zxid + 1,
            found: reader.next_zxid,
        });
    }
    loop {
        match reader.next()? {
            Next::Batch(entries) => {
                for entry in entries {
                    apply(&reader, entry, state, recovered)?;
                }
            }
            Next::End => break,
            Next::Bad if !is_last || reader.has_batch_behind()? => {
                return Err(Error::Damaged {
                    path: reader.path,
                    offset: reader.offset,
                    reason: "a batch is damaged and others follow it",
                });
            }
            Next::Bad => {
                let tail = reader.tail();
                let len = fs::metadata(&tail.path).at(&tail.path)?.len();
                recovered.cut = len - tail.end;
                tracing::warn!(
                    path = %tail.path.display(),
                    offset = tail.end,
                    "cutting a batch that was never finished nor acknowledged"
                );
                break;
            }
        }
    }
    recovered.log = Some(reader.tail());
    Ok(())
}

fn apply(
    reader: &LogReader,
    entry: Entry,
    state: &mut State,
    recovered: &mut Recovered,
) -> Result<(), Error> {
    if entry.zxid <= state.zxid {
        return Ok(());
    }
    if entry.zxid != state.zxid + 1 {
        return Err(Error::Gap {
            path: reader.path.clone(),
            wanted: state.zxid + 1,
            found: entry.zxid,
        });
    }
    state.apply(&entry).map_err(|error| Error::Inconsistent {
        path: reader.path.clone(),
        zxid: entry.zxid,
        reason: error.to_string(),
    })?;
    recovered.replayed = recovered.replayed.saturating_add(1);
    Ok(())
}

/// Deletes all but the newest `retain` snapshots, and the logs that none of them needs.
pub(super) fn purge(snapshot_dir: &Path, log_dir: &Path, retain: usize) -> Result<(), Error> {
    let snapshots = snapshots(snapshot_dir)?;
    let kept_from = snapshots.len().saturating_sub(retain.max(1));
    let Some((oldest_kept, _)) = snapshots.get(kept_from) else {
        return Ok(());
    };
    for (_, path) in &snapshots[..kept_from] {
        fs::remove_file(path).at(path)?;
    }
    let logs = logs(log_dir)?;
    let needed_from = logs.iter().rposition(|(zxid, _)| *zxid <= oldest_kept + 1);
    for (_, path) in &logs[..needed_from.unwrap_or(0)] {
        fs::remove_file(path).at(path)?;
    }
    Ok(())
}
