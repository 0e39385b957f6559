//! Looks at a data directory without changing it, and says what is wrong with it.
//!
//! Flow: every snapshot is read to its end, then every log, then both are put
//! together as a start would. [`cut`] gives up what lies behind a damage; it keeps
//! what it takes away under other names.
//!
//! **Invariant:** nothing is changed but by [`cut`], and nothing is destroyed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::fs::{DirLock, rename_durably, sync_dir};

use super::log::{LogReader, Next};
use super::{Error, FOLDER, IoContext, LOCK_FILE, recovery, snapshot};

/// What files are called that were taken away.
const ASIDE: &str = "damaged";

/// What was found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) text: String,
    /// Whether a start would work and no file is damaged.
    pub(crate) healthy: bool,
}

/// The folders of an installation, locked.
#[derive(Debug)]
pub(super) struct Folders {
    pub(super) snapshots: PathBuf,
    pub(super) logs: PathBuf,
    _locks: Vec<DirLock>,
}

impl Folders {
    /// Finds our folder in the configured directory, or takes it for that itself.
    pub(super) fn open(data_dir: &Path, log_dir: Option<&Path>) -> Result<Self, Error> {
        let snapshots = folder(data_dir)?;
        let logs = log_dir.map_or_else(|| Ok(snapshots.clone()), folder)?;
        let mut locks = vec![DirLock::acquire(&snapshots, LOCK_FILE)?];
        if logs != snapshots {
            locks.push(DirLock::acquire(&logs, LOCK_FILE)?);
        }
        Ok(Self {
            snapshots,
            logs,
            _locks: locks,
        })
    }
}

fn folder(dir: &Path) -> Result<PathBuf, Error> {
    let inside = dir.join(FOLDER);
    if inside.is_dir() {
        return Ok(inside);
    }
    if dir.file_name().is_some_and(|name| name == FOLDER) && dir.is_dir() {
        return Ok(dir.to_owned());
    }
    Err(Error::NoData {
        dir: dir.to_owned(),
    })
}

/// Checks every file.
pub(crate) fn check(data_dir: &Path, log_dir: Option<&Path>) -> Result<Report, Error> {
    let folders = Folders::open(data_dir, log_dir)?;
    let mut report = Report {
        text: String::new(),
        healthy: true,
    };
    for (_, path) in recovery::snapshots(&folders.snapshots)? {
        let found = snapshot_line(&path);
        report.line(&path, found);
    }
    let logs = recovery::logs(&folders.logs)?;
    for (index, (_, path)) in logs.iter().enumerate() {
        let is_last = index + 1 == logs.len();
        let found = log_line(path, is_last);
        report.line(path, found);
    }
    report.conclude(&folders);
    Ok(report)
}

impl Report {
    fn line(&mut self, path: &Path, found: Result<String, Error>) {
        self.healthy &= found.is_ok();
        let text = found.unwrap_or_else(|error| format!("DAMAGED: {error}"));
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{}: {text}", path.display());
    }

    fn conclude(&mut self, folders: &Folders) {
        let text = match recovery::load(&folders.snapshots, &folders.logs) {
            Ok((state, recovered)) => {
                let snapshot = recovered.snapshot_zxid;
                format!(
                    "A start has the state of transaction {:#x}: snapshot {snapshot:#x} and {} \
                     transactions; {} nodes, {} sessions.",
                    state.zxid,
                    recovered.replayed,
                    state.tree.reported_len(),
                    state.sessions.len(),
                )
            }
            Err(error) => {
                self.healthy = false;
                format!("A start fails: {error}.")
            }
        };
        let _ = writeln!(self.text, "{text}");
    }
}

fn snapshot_line(path: &Path) -> Result<String, Error> {
    let mut reader = snapshot::Reader::open(path)?;
    while reader.next()?.is_some() {}
    Ok(format!(
        "good, {} nodes, {} sessions, transaction {:#x}",
        reader.nodes(),
        reader.head.sessions.len(),
        reader.head.zxid,
    ))
}

fn log_line(path: &Path, is_last: bool) -> Result<String, Error> {
    let Some(mut reader) = LogReader::open(path)? else {
        return Ok("never begun; a start removes it".to_owned());
    };
    let first = reader.next_zxid;
    loop {
        match reader.next()? {
            Next::Batch(_) => {}
            Next::End => break,
            Next::Bad => {
                if !is_last || reader.has_batch_behind()? {
                    return Err(reader.damaged());
                }
                let range = range(first, reader.next_zxid);
                return Ok(format!(
                    "good, {range}; a batch at offset {} was never finished nor acknowledged, a \
                     start cuts it",
                    reader.offset
                ));
            }
        }
    }
    Ok(format!("good, {}", range(first, reader.next_zxid)))
}

fn range(first: i64, next: i64) -> String {
    match next - first {
        0 => format!("no transaction yet, {first:#x} is next"),
        1 => format!("transaction {first:#x}"),
        count => format!("{count} transactions, {first:#x} to {:#x}", next - 1),
    }
}

/// Gives up the first damage in the logs and all that lies behind it. What is taken
/// away stays there under other names.
pub(crate) fn cut(data_dir: &Path, log_dir: Option<&Path>) -> Result<String, Error> {
    let folders = Folders::open(data_dir, log_dir)?;
    let damage = match recovery::load(&folders.snapshots, &folders.logs) {
        Err(Error::LogDamaged { path, offset, zxid }) => (path, offset, zxid),
        Err(other) => return Err(other),
        Ok(_) => return Ok("Nothing is damaged, nothing was cut.\n".to_owned()),
    };
    let (damaged, offset, zxid) = damage;
    let copy = aside(&damaged);
    fs::copy(&damaged, &copy).at(&copy)?;
    sync(&copy)?;
    let mut text = format!("{} is a copy of the damaged file.\n", copy.display());
    let logs = recovery::logs(&folders.logs)?;
    for (_, path) in logs.iter().skip_while(|(_, path)| *path != damaged).skip(1) {
        rename_durably(path, &aside(path)).at(path)?;
        let _ = writeln!(text, "{} was put aside.", path.display());
    }
    // Snapshots of what is given up belong to another history.
    for (snapshot_zxid, path) in recovery::snapshots(&folders.snapshots)? {
        if snapshot_zxid > zxid {
            rename_durably(&path, &aside(&path)).at(&path)?;
            let _ = writeln!(text, "{} was put aside.", path.display());
        }
    }
    let file = fs::OpenOptions::new().write(true).open(&damaged);
    let file = file.at(&damaged)?;
    file.set_len(offset).at(&damaged)?;
    file.sync_all().at(&damaged)?;
    sync_dir(&folders.logs).at(&folders.logs)?;
    let _ = writeln!(
        text,
        "{} was cut at offset {offset}: what came behind transaction {zxid:#x} is given up.",
        damaged.display()
    );
    Ok(text)
}

fn sync(path: &Path) -> Result<(), Error> {
    fs::File::open(path).and_then(|f| f.sync_all()).at(path)
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ASIDE);
    PathBuf::from(name)
}
