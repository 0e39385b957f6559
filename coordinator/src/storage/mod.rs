//! Keeps the state on disk: a log of transactions, and snapshots to start from.
//!
//! Flow: [`Storage::open`] locks the directories and recovers the state;
//! [`Storage::append`] makes a batch durable; when enough was appended,
//! [`Storage::snapshot`] writes the state in a thread of its own, after which
//! what is older than the retained snapshots is deleted.
//!
//! Files, in a folder of our own below `dataDir` and `dataLogDir`:
//! `snapshot.<zxid>` holds the state after that transaction; `log.<zxid>` holds the
//! transactions from that one on. See `log` and `snapshot` for the formats.
//!
//! **Invariant:** `append` returns only after the batch is on the disk.
//! **Invariant:** after a failed write or sync nothing more is written: what the
//! kernel kept of it is unknown, only a new start can tell.
//! **Invariant:** a tail that a crash left unfinished was never acknowledged and is
//! cut; damage anywhere else stops the start.
//! **Invariant:** synchronous code; it never runs on a reactor thread.

mod log;
mod recovery;
mod snapshot;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use common::fs::{DirLock, LockError, sync_dir};

use crate::txn::{Entry, State};

pub(crate) use recovery::Recovered;

/// The folder below the configured directories.
const FOLDER: &str = "coordinator";
const LOCK_FILE: &str = "lock";
/// Where ZooKeeper keeps its own files.
const ZOOKEEPER_FOLDER: &str = "version-2";
/// A log grown beyond this is followed by a snapshot, whatever its transactions.
const LOG_LEN_MAX: u64 = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("{path} is damaged at offset {offset}: {reason}")]
    Damaged {
        path: PathBuf,
        offset: u64,
        reason: &'static str,
    },
    #[error("{path} has format version {version}; this program reads version {known}")]
    Version {
        path: PathBuf,
        version: u32,
        known: u32,
    },
    #[error("{dir} holds files of the coordinator, but no snapshot that can be read")]
    NoSnapshot { dir: PathBuf },
    #[error("transactions are missing: {path} begins with {found:#x}, but {wanted:#x} is next")]
    Gap {
        path: PathBuf,
        wanted: i64,
        found: i64,
    },
    #[error("{path}, transaction {zxid:#x}: {reason}")]
    Inconsistent {
        path: PathBuf,
        zxid: i64,
        reason: String,
    },
    #[error(
        "{dir} holds the data of a ZooKeeper server, which this version cannot import; \
         choose another dataDir"
    )]
    ZooKeeperData { dir: PathBuf },
    #[error("cannot be encoded: {0}")]
    Encode(#[from] common::persist::Error),
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("storage failed before; only a restart can tell what is on the disk")]
    Failed,
}

trait IoContext<T> {
    fn at(self, path: &Path) -> Result<T, Error>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
    }
}

/// Where and how.
#[derive(Debug, Clone)]
pub struct Options {
    pub data_dir: PathBuf,
    /// The same as `data_dir` unless configured.
    pub log_dir: PathBuf,
    /// A log file grows in steps of at most this many bytes.
    pub preallocate: u64,
    /// About how many transactions there are between snapshots.
    pub snap_count: u32,
    /// How many snapshots are kept.
    pub retain: usize,
    /// Whether a batch is synced to the disk; without it a power cut loses writes.
    pub sync: bool,
}

impl Options {
    /// The folder of the snapshots.
    pub(crate) fn snapshot_folder(&self) -> PathBuf {
        self.data_dir.join(FOLDER)
    }

    /// The folder of the logs, which may be the same.
    pub(crate) fn log_folder(&self) -> PathBuf {
        self.log_dir.join(FOLDER)
    }
}

/// The open storage of one daemon.
#[derive(Debug)]
pub(crate) struct Storage {
    options: Options,
    snapshot_dir: PathBuf,
    log_dir: PathBuf,
    log: log::Writer,
    snapshot_after: u32,
    since_snapshot: u32,
    snapshotter: Option<JoinHandle<()>>,
    _locks: Vec<DirLock>,
}

impl Storage {
    /// Locks the directories and reads what they hold.
    pub(crate) fn open(options: Options) -> Result<(Self, State, Recovered), Error> {
        let snapshot_dir = prepare_dir(&options.data_dir)?;
        let mut locks = vec![DirLock::acquire(&snapshot_dir, LOCK_FILE)?];
        let log_dir = if options.log_dir == options.data_dir {
            snapshot_dir.clone()
        } else {
            let dir = prepare_dir(&options.log_dir)?;
            locks.push(DirLock::acquire(&dir, LOCK_FILE)?);
            dir
        };
        let (state, recovered) = recovery::recover(&snapshot_dir, &log_dir)?;
        let settings = log::Settings {
            preallocate: options.preallocate,
            sync: options.sync,
        };
        let log = match &recovered.log {
            Some(tail) => log::Writer::resume(tail, settings)?,
            None => log::Writer::create(&log_dir, state.zxid + 1, settings)?,
        };
        let mut storage = Self {
            snapshot_after: 0,
            since_snapshot: recovered.replayed,
            options,
            snapshot_dir,
            log_dir,
            log,
            snapshotter: None,
            _locks: locks,
        };
        storage.choose_snapshot_point();
        Ok((storage, state, recovered))
    }

    /// Makes a batch durable. After an error nothing can be appended any more.
    pub(crate) fn append(&mut self, batch: &[Entry]) -> Result<(), Error> {
        self.log.append(batch)?;
        let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        self.since_snapshot = self.since_snapshot.saturating_add(count);
        Ok(())
    }

    /// Says whether it is time for a snapshot and none is being written.
    pub(crate) fn wants_snapshot(&self) -> bool {
        let busy = self.snapshotter.as_ref().is_some_and(|t| !t.is_finished());
        !busy && (self.since_snapshot >= self.snapshot_after || self.log.len() >= LOG_LEN_MAX)
    }

    /// Begins a new log and writes `state` in the background. A snapshot that
    /// fails is only logged: the older ones and all logs are still there.
    pub(crate) fn snapshot(&mut self, state: State) -> Result<(), Error> {
        if let Some(finished) = self.snapshotter.take() {
            drop(finished.join());
        }
        self.log.finish()?;
        self.log = log::Writer::create(&self.log_dir, state.zxid + 1, self.log.settings())?;
        self.since_snapshot = 0;
        self.choose_snapshot_point();
        let (snapshot_dir, log_dir) = (self.snapshot_dir.clone(), self.log_dir.clone());
        let retain = self.options.retain;
        let write = move || {
            if let Err(error) = snapshot::write(&snapshot_dir, &state) {
                tracing::error!(%error, "no snapshot was written; the logs are kept");
            } else if let Err(error) = recovery::purge(&snapshot_dir, &log_dir, retain) {
                tracing::warn!(%error, "old files could not be deleted");
            }
        };
        let thread = std::thread::Builder::new().name("snapshot".into());
        self.snapshotter = Some(thread.spawn(write).at(&self.snapshot_dir)?);
        Ok(())
    }

    /// Marks the end, so that the next start can tell damage from a crash.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        if let Some(running) = self.snapshotter.take() {
            drop(running.join());
        }
        self.log.finish()
    }

    /// A random point in the second half, so that the members of an ensemble do
    /// not all write at the same time.
    fn choose_snapshot_point(&mut self) {
        let half = (self.options.snap_count / 2).max(1);
        let random = getrandom::u32().unwrap_or_default();
        self.snapshot_after = half + random % half;
    }
}

/// Our folder below `dir`, readable by its owner alone.
fn prepare_dir(dir: &Path) -> Result<PathBuf, Error> {
    use std::os::unix::fs::DirBuilderExt;
    let own = dir.join(FOLDER);
    if own.is_dir() {
        return Ok(own);
    }
    if dir.join(ZOOKEEPER_FOLDER).is_dir() {
        return Err(Error::ZooKeeperData {
            dir: dir.to_owned(),
        });
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(&own).at(&own)?;
    sync_dir(dir).at(dir)?;
    Ok(own)
}

#[cfg(test)]
mod tests;
