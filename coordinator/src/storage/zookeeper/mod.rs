//! The exchange with a real ZooKeeper, by the files that it keeps in `version-2`.
//!
//! Flow: [`import`] makes our data directory of a server's of version 3.4 to 3.9;
//! [`export`] makes one of ours a dataDir from which a 3.9 starts.
//!
//! Sessions pass in both directions with their ids, timeouts and ephemeral nodes.
//! Passwords do not: a ZooKeeper computes them from the id alone, we with a secret.
//! An imported session is marked, and its client's password checked as ZooKeeper
//! would. A ZooKeeper cannot be told of ours, so there only the clients of sessions
//! that were once imported come back to them; the others get new sessions, and the
//! old ones expire.
//!
//! **Invariant:** these are bytes from outside: they never panic, and never cost
//! more memory than they bring.

mod archive;
mod compression;
mod export;
mod image;
mod import;
mod log;
mod snapshot;

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, IoContext};

pub(crate) use export::{Exported, export};
pub(crate) use import::{Imported, import};

/// The folder below dataDir and dataLogDir that holds the files.
const FOLDER: &str = super::ZOOKEEPER_FOLDER;

/// The files of one kind and the zxids in their names, ascending.
fn files(dir: &Path, kind: &str) -> Result<Vec<(i64, PathBuf)>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let mut parts = name.unwrap_or_default().split('.');
        if parts.next() == Some(kind)
            && let Some(zxid) = parts
                .next()
                .and_then(|hex| i64::from_str_radix(hex, 16).ok())
            && path.extension().is_none_or(|extension| extension != "tmp")
        {
            files.push((zxid, path));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
