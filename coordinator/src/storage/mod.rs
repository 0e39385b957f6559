//! Keeps the state on disk: a log of transactions, and snapshots to start from.
//!
//! Flow: [`Storage::open`] locks the directories and recovers the state;
//! [`Storage::append`] makes a batch durable; when enough was appended,
//! [`Storage::snapshot`] begins a new log, and a thread merges the last snapshot and
//! the logs behind it into a new one (see `merge`), after which what is older than
//! the retained snapshots is deleted.
//!
//! Files, in a folder of our own below `dataDir` and `dataLogDir`:
//! `snapshot.<zxid>` holds the state after that transaction; `log.<zxid>` holds the
//! transactions from that one on. See `log` and `snapshot` for the formats.
//!
//! **Invariant:** `append` returns only after the batch is on the disk.
//! **Invariant:** after a failed write or sync nothing more is written: what the
//! kernel kept of it is unknown, only a new start can tell. A full disk is no such
//! failure: nothing was written, and it is tried again.
//! **Invariant:** a tail that a crash left unfinished was never acknowledged and is
//! cut; damage anywhere else stops the start.
//! **Invariant:** synchronous code; it never runs on a reactor thread.

pub(crate) mod fsck;
mod log;
mod merge;
mod nodes;
mod recovery;
pub(crate) mod restore;
mod snapshot;
mod snapshotter;
pub(crate) mod zookeeper;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use common::fs::{DirLock, LockError, sync_dir};

use crate::txn::{Entry, State};

pub(crate) use recovery::Recovered;
pub(crate) use snapshotter::Done;

use snapshotter::Snapshotter;

/// The folder below the configured directories.
const FOLDER: &str = "coordinator";
const LOCK_FILE: &str = "lock";
/// Where ZooKeeper keeps its own files.
const ZOOKEEPER_FOLDER: &str = "version-2";
/// A log grown beyond this is followed by a snapshot, whatever its transactions.
const LOG_LEN_MAX: u64 = 256 << 20;
/// How much longer than the log a snapshot may be that is written for its sake.
const SNAPSHOT_PER_LOG_MAX: u64 = 4;

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
    #[error(
        "{path} is damaged at offset {offset}, behind transaction {zxid:#x}, and what follows \
         was acknowledged. Nothing was changed. The remedy: restore a backup \
         (coordinator restore); or, to go on with what lies before the damage and give up \
         the rest, coordinator fsck --cut; coordinator fsck says how much that is"
    )]
    LogDamaged {
        path: PathBuf,
        offset: u64,
        /// The last transaction before the damage.
        zxid: i64,
    },
    #[error(
        "{dir} holds files of the coordinator, but no snapshot that can be read \
         (coordinator fsck says why). The remedy: restore a backup (coordinator restore)"
    )]
    NoSnapshot { dir: PathBuf },
    #[error(
        "the newest snapshot, of transaction {newest:#x}, cannot be read, and the older ones \
         and the logs in {dir} reach only to {found:#x}. Nothing was changed. The remedy: \
         restore a backup (coordinator restore), or delete the damaged snapshot to go on \
         with what is left"
    )]
    Lost {
        dir: PathBuf,
        found: i64,
        newest: i64,
    },
    #[error("{path}: {source}; writes wait until there is space")]
    DiskFull { path: PathBuf, source: io::Error },
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
        "{dir} holds the data of a ZooKeeper server; coordinator import takes it over \
         (into this directory, too)"
    )]
    ZooKeeperData { dir: PathBuf },
    #[error("cannot be encoded: {0}")]
    Encode(#[from] common::persist::Error),
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("{dir} is no data directory of the coordinator (it has no folder '{FOLDER}')")]
    NoData { dir: PathBuf },
    #[error("{dir} is no dataDir of a ZooKeeper server (it has no folder '{ZOOKEEPER_FOLDER}')")]
    NoZooKeeperData { dir: PathBuf },
    #[error(
        "{dir} holds no snapshot of a ZooKeeper, nor logs that begin with the first transaction"
    )]
    NoZooKeeperSnapshot { dir: PathBuf },
    #[error("{path}, behind {offset} bytes: {source}")]
    ForeignSnapshot {
        path: PathBuf,
        /// Where the reading ended, in what is left when any compression is undone.
        offset: u64,
        source: io::Error,
    },
    #[error(
        "{path} is damaged at offset {offset}, behind transaction {zxid:#x}: {source}. Nothing was \
         imported. ZooKeeper would not start from this file either; its zkTxnLogToolkit.sh can \
         take out what is damaged"
    )]
    ForeignLog {
        path: PathBuf,
        offset: u64,
        /// The last transaction before the damage, 0 if it is in the first one.
        zxid: i64,
        source: io::Error,
    },
    #[error("the node {path:?} cannot be imported: {reason}")]
    ForeignNode { path: String, reason: &'static str },
    #[error("{dir} holds a state already; choose another directory, or move it away")]
    Occupied { dir: PathBuf },
    #[error("given up, because the daemon stops")]
    Cancelled,
    #[error("storage failed before; only a restart can tell what is on the disk")]
    Failed,
}

impl Error {
    /// Says whether nothing happened, and may be tried again when there is space.
    pub(crate) fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
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
    log_dir: PathBuf,
    log: log::Writer,
    snapshot_after: u32,
    since_snapshot: u32,
    snapshotter: Snapshotter,
    _locks: Vec<DirLock>,
}

impl Storage {
    /// Locks the directories and reads what they hold.
    pub(crate) fn open(options: Options) -> Result<(Self, State, Recovered), Error> {
        let snapshot_dir = options.data_dir.join(FOLDER);
        if !snapshot_dir.is_dir() {
            refuse_zookeeper(&options.data_dir)?;
            refuse_zookeeper(&options.log_dir)?;
            make_folder(&snapshot_dir)?;
        }
        let mut locks = vec![DirLock::acquire(&snapshot_dir, LOCK_FILE)?];
        let log_dir = if options.log_dir == options.data_dir {
            snapshot_dir.clone()
        } else {
            let dir = options.log_dir.join(FOLDER);
            make_folder(&dir)?;
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
        let place = snapshotter::Place {
            snapshot_dir: snapshot_dir.clone(),
            log_dir: log_dir.clone(),
            retain: options.retain,
        };
        let mut storage = Self {
            snapshot_after: 0,
            since_snapshot: recovered.replayed,
            options,
            log_dir,
            log,
            snapshotter: Snapshotter::start(place).at(&snapshot_dir)?,
            _locks: locks,
        };
        storage.choose_snapshot_point();
        Ok((storage, state, recovered))
    }

    /// Makes a batch durable. After an error nothing can be appended any more,
    /// unless the error is that the disk is full.
    pub(crate) fn append(&mut self, batch: &[Entry]) -> Result<(), Error> {
        self.log.append(batch)?;
        let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        self.since_snapshot = self.since_snapshot.saturating_add(count);
        Ok(())
    }

    /// Says whether it is time for a snapshot and none is being written. A large
    /// tree is not copied for a few changes.
    pub(crate) fn wants_snapshot(&self) -> bool {
        let enough = self.since_snapshot >= self.snapshot_after
            && self.log.len() >= self.snapshotter.newest_len() / SNAPSHOT_PER_LOG_MAX;
        (enough || self.log.len() >= LOG_LEN_MAX) && !self.snapshotter.is_busy()
    }

    /// Begins a new log and has a snapshot written of all that came before it.
    pub(crate) fn snapshot(&mut self, done: Option<Done>) -> Result<(), Error> {
        let next_zxid = self.log.next_zxid();
        self.since_snapshot = 0;
        self.choose_snapshot_point();
        if !self.log.is_empty() {
            let settings = self.log.settings();
            let new = log::Writer::create_or_nothing(&self.log_dir, next_zxid, settings);
            let new = match new {
                Ok(new) => new,
                Err(error) => {
                    // The old one goes on.
                    tracing::error!(%error, "no new log, and so no snapshot");
                    if let Some(done) = done {
                        done(Err(error));
                    }
                    return Ok(());
                }
            };
            finish(&mut std::mem::replace(&mut self.log, new))?;
        }
        self.snapshotter.write(next_zxid - 1, done);
        Ok(())
    }

    /// Marks the end. A snapshot under way is given up.
    pub(crate) fn close(mut self) -> Result<(), Error> {
        finish(&mut self.log)
    }

    /// A random point in the second half, so that the members of an ensemble do
    /// not all write at the same time.
    fn choose_snapshot_point(&mut self) {
        let half = (self.options.snap_count / 2).max(1);
        let random = getrandom::u32().unwrap_or_default();
        self.snapshot_after = half + random % half;
    }
}

/// A snapshot to be copied as it is. The open file stays whole also when the
/// snapshot is deleted.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    pub(crate) file: fs::File,
    pub(crate) len: u64,
    /// The last transaction in it.
    pub(crate) zxid: i64,
}

impl SnapshotFile {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = fs::File::open(path).at(path)?;
        let len = file.metadata().at(path)?.len();
        let number = path.extension().and_then(|number| number.to_str());
        let zxid = number.and_then(|number| i64::from_str_radix(number, 16).ok());
        Ok(Self {
            file,
            len,
            zxid: zxid.unwrap_or(0),
        })
    }
}

/// Ends a log. All its batches are on the disk, also if there is no room for the mark.
fn finish(log: &mut log::Writer) -> Result<(), Error> {
    match log.finish() {
        Err(error) if error.is_disk_full() => {
            tracing::warn!(%error, "a log ends without a mark");
            Ok(())
        }
        finished => finished,
    }
}

/// Where a ZooKeeper's state is that was not imported, none of our own begins.
fn refuse_zookeeper(dir: &Path) -> Result<(), Error> {
    match dir.join(ZOOKEEPER_FOLDER).is_dir() {
        true => Err(Error::ZooKeeperData {
            dir: dir.to_owned(),
        }),
        false => Ok(()),
    }
}

/// Creates a folder that only its owner may read, unless it is there.
fn make_folder(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).at(path)?;
    match path.parent() {
        Some(parent) => sync_dir(parent).at(parent),
        None => Ok(()),
    }
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
