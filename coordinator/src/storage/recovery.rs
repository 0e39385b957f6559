//! Finding the state again after a start, and deleting what is no longer needed for that.

use std::fs;
use std::path::{Path, PathBuf};

use super::log::{LogReader, Next, Tail, header_damaged};
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
    /// A file of a log that has no header yet.
    pub(super) never_begun: Option<PathBuf>,
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

pub(super) fn snapshots(dir: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    list(dir, "snapshot.")
}

pub(super) fn logs(dir: &Path) -> Result<Vec<(i64, PathBuf)>, Error> {
    list(dir, "log.")
}

/// The log that holds the transaction after `zxid`, and all behind it.
pub(super) fn logs_behind(dir: &Path, zxid: i64) -> Result<Vec<(i64, PathBuf)>, Error> {
    let mut logs = logs(dir)?;
    let first = logs.iter().rposition(|(first, _)| *first <= zxid + 1);
    Ok(logs.split_off(first.unwrap_or(0)))
}

/// The newest readable snapshot with the logs behind it; a new state if the
/// directories are empty.
pub(super) fn recover(snapshot_dir: &Path, log_dir: &Path) -> Result<(State, Recovered), Error> {
    remove_unfinished(snapshot_dir)?;
    if snapshots(snapshot_dir)?.is_empty() && logs(log_dir)?.is_empty() {
        return begin(snapshot_dir);
    }
    let (state, recovered) = load(snapshot_dir, log_dir)?;
    if let Some(path) = &recovered.never_begun {
        // A crash while the file was begun; nothing was ever in it.
        tracing::warn!(path = %path.display(), "removing a log without a header");
        fs::remove_file(path).at(path)?;
    }
    if let Some(tail) = recovered.log.as_ref().filter(|_| recovered.cut > 0) {
        tracing::warn!(
            path = %tail.path.display(),
            offset = tail.end,
            "cutting a batch that was never finished nor acknowledged"
        );
    }
    Ok((state, recovered))
}

/// The state that the files hold; changes nothing.
pub(super) fn load(snapshot_dir: &Path, log_dir: &Path) -> Result<(State, Recovered), Error> {
    let snapshots = snapshots(snapshot_dir)?;
    let newest = snapshots.last().map_or(0, |(zxid, _)| *zxid);
    let mut state = newest_readable(snapshot_dir, snapshots)?;
    let mut recovered = Recovered {
        zxid: state.zxid,
        snapshot_zxid: state.zxid,
        replayed: 0,
        cut: 0,
        never_begun: None,
        log: None,
    };
    let logs = logs_behind(log_dir, state.zxid)?;
    for (index, (_, path)) in logs.iter().enumerate() {
        let is_last = index + 1 == logs.len();
        let Some(reader) = LogReader::open(path)? else {
            if is_last {
                recovered.never_begun = Some(path.clone());
                continue;
            }
            return Err(header_damaged(path));
        };
        replay(reader, is_last, &mut state, &mut recovered)?;
    }
    if state.zxid < newest {
        // The newest snapshot could not be read, and the logs do not make up for it.
        return Err(Error::Lost {
            dir: log_dir.to_owned(),
            found: state.zxid,
            newest,
        });
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
        never_begun: None,
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
                    recovered.replayed += u32::from(apply(&reader.path, &entry, state)?);
                }
            }
            Next::End => break,
            Next::Bad if !is_last || reader.has_batch_behind()? => {
                return Err(reader.damaged());
            }
            Next::Bad => {
                let tail = reader.tail();
                let len = fs::metadata(&tail.path).at(&tail.path)?.len();
                recovered.cut = len - tail.end;
                break;
            }
        }
    }
    recovered.log = Some(reader.tail());
    Ok(())
}

/// Applies an entry, unless the state has it already.
pub(super) fn apply(path: &Path, entry: &Entry, state: &mut State) -> Result<bool, Error> {
    if entry.zxid <= state.zxid {
        return Ok(false);
    }
    if entry.zxid != state.zxid + 1 {
        return Err(Error::Gap {
            path: path.to_owned(),
            wanted: state.zxid + 1,
            found: entry.zxid,
        });
    }
    state.apply(entry).map_err(|error| Error::Inconsistent {
        path: path.to_owned(),
        zxid: entry.zxid,
        reason: error.to_string(),
    })?;
    Ok(true)
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
