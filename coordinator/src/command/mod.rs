//! What the program does beside serving: checks, backups, and the exchange with a
//! real ZooKeeper.
//!
//! Flow: `main` parses a [`Command`] and prints what [`Command::run`] returns.
//!
//! **Invariant:** every command but `backup` works on files and needs them for
//! itself: a data directory that a coordinator uses is refused.

mod fetch;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use common::fs::rename_durably;

use crate::storage::restore::{Restored, Sessions};
use crate::storage::zookeeper::{self, Exported, Imported};
use crate::storage::{self, fsck, restore};

/// A subcommand of the program.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Checks the files of a data directory, and says what is wrong with them.
    Fsck {
        /// The dataDir of a coordinator that is not running.
        dir: PathBuf,
        /// Its dataLogDir, if it has one.
        #[arg(long)]
        log_dir: Option<PathBuf>,
        /// Gives up a damage in the log and all transactions behind it. What is taken
        /// away is kept beside it, with names that end in .damaged.
        #[arg(long)]
        cut: bool,
    },
    /// Writes the state of a running coordinator into a file.
    Backup {
        /// The address of its admin port on this machine, as in localhost:8080.
        addr: String,
        file: PathBuf,
    },
    /// Makes a data directory of a backup.
    Restore {
        file: PathBuf,
        /// The dataDir; it must not hold a state yet.
        dir: PathBuf,
        /// Ends the sessions of the backup, and deletes their ephemeral nodes.
        #[arg(long)]
        drop_sessions: bool,
    },
    /// Takes over the data of a ZooKeeper server, of version 3.4 to 3.9.
    Import {
        /// Its dataDir; the server must not be running.
        zookeeper_dir: PathBuf,
        /// The dataDir of the coordinator; it may be the same one.
        dir: PathBuf,
        /// ZooKeeper's dataLogDir, if it has one.
        #[arg(long)]
        zookeeper_log_dir: Option<PathBuf>,
    },
    /// Makes a dataDir from which a real ZooKeeper 3.9 starts.
    Export {
        /// The dataDir of a coordinator that is not running.
        dir: PathBuf,
        zookeeper_dir: PathBuf,
        /// The coordinator's dataLogDir, if it has one.
        #[arg(long)]
        log_dir: Option<PathBuf>,
    },
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    #[error("{path} is complete, but cannot get its name: {source}")]
    Name {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// What a command has to say.
#[derive(Debug)]
pub struct Output {
    pub text: String,
    /// Whether all is well; if not, the program ends with an error.
    pub well: bool,
}

impl From<String> for Output {
    fn from(text: String) -> Self {
        Self { text, well: true }
    }
}

impl Command {
    pub fn run(&self) -> Result<Output, Error> {
        Ok(match self {
            Self::Fsck { dir, log_dir, cut } => {
                let log_dir = log_dir.as_deref();
                let mut text = String::new();
                if *cut {
                    text.push_str(&fsck::cut(dir, log_dir)?);
                }
                let report = fsck::check(dir, log_dir)?;
                text.push_str(&report.text);
                Output {
                    text,
                    well: report.healthy,
                }
            }
            Self::Backup { addr, file } => {
                let temporary = restore::write_beside(file, |out| {
                    fetch::backup(addr, out).map_err(Into::into)
                })?;
                let backup = restore::check(&temporary)?;
                rename_durably(&temporary, file).map_err(|source| Error::Name {
                    path: temporary,
                    source,
                })?;
                describe(&backup, &format!("{} holds", file.display())).into()
            }
            Self::Restore {
                file,
                dir,
                drop_sessions,
            } => {
                let sessions = match drop_sessions {
                    true => Sessions::Drop,
                    false => Sessions::Keep,
                };
                let restored = restore::restore(file, dir, sessions)?;
                describe(&restored, &format!("{} has", dir.display())).into()
            }
            Self::Import {
                zookeeper_dir,
                dir,
                zookeeper_log_dir,
            } => {
                let logs = zookeeper_log_dir.as_deref();
                let imported = zookeeper::import(zookeeper_dir, logs, dir)?;
                describe_import(&imported, dir).into()
            }
            Self::Export {
                dir,
                zookeeper_dir,
                log_dir,
            } => {
                let exported = zookeeper::export(dir, log_dir.as_deref(), zookeeper_dir)?;
                describe_export(&exported, zookeeper_dir).into()
            }
        })
    }
}

fn describe_import(imported: &Imported, dir: &Path) -> String {
    let mut text: String = imported
        .warnings
        .iter()
        .map(|warning| format!("Note: {warning}.\n"))
        .collect();
    let source = match imported.snapshot_zxid {
        Some(zxid) => format!("snapshot {zxid:#x} and"),
        None => "no snapshot, but".to_owned(),
    };
    let _ = writeln!(
        text,
        "{} has the state of transaction {:#x}: {source} {} transactions; {} nodes, {} sessions, \
         whose clients come back with the passwords that they have.",
        dir.display(),
        imported.zxid,
        imported.replayed,
        imported.nodes,
        imported.sessions
    );
    text
}

fn describe_export(exported: &Exported, dir: &Path) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} has the state of transaction {:#x}: {} nodes, {} sessions.",
        dir.display(),
        exported.zxid,
        exported.nodes,
        exported.sessions
    );
    let lost = exported.sessions - exported.resumable;
    if lost > 0 {
        let _ = writeln!(
            text,
            "The clients of {lost} sessions hold passwords that a ZooKeeper does not take: they \
             get new sessions, and the old ones expire there."
        );
    }
    text
}

fn describe(state: &Restored, begin: &str) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "{begin} the state of transaction {:#x}: {} nodes, {} sessions.",
        state.zxid, state.nodes, state.sessions
    );
    text
}
