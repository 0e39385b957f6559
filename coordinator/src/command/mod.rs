//! What the program does beside serving: checks, backups, and the exchange with a
//! real ZooKeeper.
//!
//! Flow: `main` parses a [`Command`] and prints what [`Command::run`] returns.
//!
//! **Invariant:** every command but `backup` works on files and needs them for
//! itself: a data directory that a coordinator uses is refused.

mod fetch;

use std::fmt::Write as _;
use std::path::PathBuf;

use common::fs::rename_durably;

use crate::storage::restore::{Restored, Sessions};
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
        })
    }
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
