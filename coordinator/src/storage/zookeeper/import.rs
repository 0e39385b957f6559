//! Takes over the data of a ZooKeeper server.
//!
//! Flow: the newest snapshot that can be read, then the transactions behind it, as
//! ZooKeeper itself does at a start; then our own snapshot of the result.
//!
//! **Invariant:** the files of the ZooKeeper are only read.
//! **Invariant:** a session keeps its id, and its client the password that it has.

use std::path::{Path, PathBuf};

use common::zk::path;

use super::image::{Image, Misfit, Node, Stat, parent};
use super::log::{Create, Entry, Kind, LogReader, Txn};
use super::snapshot::{self, Digest};
use super::{FOLDER, files};
use crate::session::Secret;
use crate::storage::Error;
use crate::storage::restore::NewFolder;
use crate::storage::snapshot::{Head, NodeRecord, Writer};
use crate::tree::{Owner, Tree, quota};

/// What was imported, and what is odd about it.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) zxid: i64,
    /// The transaction of the snapshot that was read, if there was one.
    pub(crate) snapshot_zxid: Option<i64>,
    pub(crate) replayed: u64,
    pub(crate) nodes: usize,
    pub(crate) sessions: usize,
    pub(crate) warnings: Vec<String>,
}

/// Reads `from`, a dataDir of ZooKeeper's, and makes a data directory of `to`.
pub(crate) fn import(from: &Path, from_logs: Option<&Path>, to: &Path) -> Result<Imported, Error> {
    let snapshots = files(&folder(from)?, "snapshot")?;
    let logs = files(&from_logs.map_or_else(|| folder(from), folder)?, "log")?;
    let mut replay = Replay::begin(from, snapshots, &logs)?;
    replay.logs(&logs)?;
    replay.end_dead_sessions();
    let (image, mut imported) = replay.finish();
    let records = records(&image, &mut imported)?;
    imported.nodes = records.len();
    imported.sessions = image.sessions.len();
    let target = NewFolder::create(to)?;
    let head = Head {
        zxid: imported.zxid,
        secret: Secret::random().map_err(Error::Random)?,
        sessions: image.sessions.iter().map(|(id, ms)| (*id, *ms)).collect(),
        imported: image.sessions.keys().copied().collect(),
    };
    let mut writer = Writer::create(&target.path, &head)?;
    for record in records {
        writer.node(record)?;
    }
    writer.finish()?;
    Ok(imported)
}

/// Where ZooKeeper keeps its files below the configured directory.
fn folder(dir: &Path) -> Result<PathBuf, Error> {
    let inside = dir.join(FOLDER);
    if inside.is_dir() {
        return Ok(inside);
    }
    if dir.file_name().is_some_and(|name| name == FOLDER) && dir.is_dir() {
        return Ok(dir.to_owned());
    }
    Err(Error::NoZooKeeperData {
        dir: dir.to_owned(),
    })
}

struct Replay {
    image: Image,
    imported: Imported,
    /// The digest of a transaction that is still to come.
    awaited: Option<Digest>,
    /// The first transaction of those behind which the digest is not ZooKeeper's.
    differs_since: Option<i64>,
}

impl Replay {
    /// Starts with the newest snapshot that can be read.
    fn begin(
        dir: &Path,
        mut snapshots: Vec<(i64, PathBuf)>,
        logs: &[(i64, PathBuf)],
    ) -> Result<Self, Error> {
        let mut imported = Imported::default();
        while let Some((zxid, path)) = snapshots.pop() {
            match snapshot::read(&path) {
                Ok((image, digest)) => {
                    imported.zxid = zxid;
                    imported.snapshot_zxid = Some(zxid);
                    let mut replay = Self {
                        image,
                        imported,
                        awaited: digest.filter(|digest| digest.zxid >= zxid),
                        differs_since: None,
                    };
                    replay.compare_awaited(zxid);
                    return Ok(replay);
                }
                Err(error) if snapshots.is_empty() => return Err(error),
                Err(error) => imported.warnings.push(error.to_string()),
            }
        }
        // A young server of a version before 3.5 may not have written a snapshot yet.
        if logs.first().is_none_or(|(first, _)| *first > 1) {
            return Err(Error::NoZooKeeperSnapshot {
                dir: dir.to_owned(),
            });
        }
        Ok(Self {
            image: fresh(),
            imported,
            awaited: None,
            differs_since: None,
        })
    }

    /// Applies what the logs have behind the snapshot.
    fn logs(&mut self, logs: &[(i64, PathBuf)]) -> Result<(), Error> {
        let next = self.imported.zxid + 1;
        let first = logs.iter().rposition(|(zxid, _)| *zxid <= next);
        for (_, path) in &logs[first.unwrap_or(0)..] {
            let Some(mut reader) = LogReader::open(path)? else {
                continue;
            };
            while let Some(entry) = reader.next()? {
                if entry.zxid > self.imported.zxid {
                    self.entry(entry);
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: Entry) {
        let before = self.imported.zxid;
        let (zxid, digest) = (entry.zxid, entry.digest);
        // With each leader the count begins again above the next 2^32.
        if zxid != before + 1 && zxid >> 32 == before >> 32 {
            self.imported.warnings.push(format!(
                "the logs have no transactions between {before:#x} and {zxid:#x}"
            ));
        }
        self.imported.zxid = zxid;
        self.imported.replayed += 1;
        let place = Place::of(&entry);
        if apply(&mut self.image, place, entry.txn).is_err() {
            tracing::debug!(zxid, "the snapshot is ahead of this transaction");
        }
        if self.awaited.is_some() {
            self.compare_awaited(zxid);
        } else if let Some(sum) = digest {
            self.compare(zxid, sum);
        }
    }

    /// A snapshot says what the tree has to be when its last change was made.
    fn compare_awaited(&mut self, zxid: i64) {
        if let Some(digest) = self.awaited.filter(|digest| digest.zxid <= zxid) {
            self.awaited = None;
            if digest.zxid == zxid {
                self.compare(zxid, digest.sum);
            }
        }
    }

    /// Trees that are the same once are so after each transaction from there on. A
    /// difference before that may be the snapshot's, whose digest ZooKeeper takes
    /// while the tree changes.
    fn compare(&mut self, zxid: i64, sum: i64) {
        self.differs_since = match sum == self.image.digest() {
            true => None,
            false => self.differs_since.or(Some(zxid)),
        };
    }

    /// As ZooKeeper does before it serves.
    fn end_dead_sessions(&mut self) {
        for session in self.image.dead_sessions() {
            self.image.close_session(session, self.imported.zxid, &[]);
        }
    }

    fn finish(mut self) -> (Image, Imported) {
        if let Some(zxid) = self.differs_since {
            self.imported.warnings.push(format!(
                "from transaction {zxid:#x} on the digest of the tree is not the one that \
                 ZooKeeper noted"
            ));
        }
        if let Some(digest) = self.awaited {
            self.imported.warnings.push(format!(
                "the snapshot was still being written at transaction {:#x}, but the logs end at \
                 {:#x}",
                digest.zxid, self.imported.zxid
            ));
        }
        (self.image, self.imported)
    }
}

/// Who did something, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    session: i64,
    zxid: i64,
    time_ms: i64,
}

impl Place {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            session: entry.session,
            zxid: entry.zxid,
            time_ms: entry.time_ms,
        }
    }
}

/// Carries out a transaction as ZooKeeper does: of a multi each operation that can be.
pub(super) fn apply(image: &mut Image, place: Place, txn: Txn) -> Result<(), Misfit> {
    match txn {
        Txn::Nothing => Ok(()),
        Txn::CreateSession { timeout_ms } => {
            image.sessions.insert(place.session, timeout_ms);
            Ok(())
        }
        Txn::CloseSession { paths } => {
            image.close_session(place.session, place.zxid, &paths);
            Ok(())
        }
        Txn::Create(create) => apply_create(image, place, create),
        Txn::Delete { path } => image.delete(&path, place.zxid),
        Txn::SetData {
            path,
            data,
            version,
        } => image.change(&path, |node| {
            node.data = data;
            node.stat.version = version;
            node.stat.mzxid = place.zxid;
            node.stat.mtime = place.time_ms;
        }),
        Txn::SetAcl { path, acl, version } => image.change(&path, |node| {
            node.acl = Some(acl.into());
            node.stat.aversion = version;
        }),
        Txn::Multi(parts) => {
            let outcomes = parts.into_iter().map(|part| apply(image, place, part));
            // None is left out because another did not fit.
            let outcomes: Vec<_> = outcomes.collect();
            outcomes.into_iter().collect()
        }
    }
}

fn apply_create(image: &mut Image, place: Place, create: Create) -> Result<(), Misfit> {
    let owner = match create.kind {
        Kind::Persistent => Owner::Nobody,
        Kind::Ephemeral => Owner::Session(place.session),
        Kind::Container => Owner::Container,
        Kind::Ttl { ms } => Owner::Ttl { ms },
    };
    let node = Node {
        data: create.data,
        acl: Some(create.acl.into()),
        stat: Stat {
            czxid: place.zxid,
            mzxid: place.zxid,
            pzxid: place.zxid,
            ctime: place.time_ms,
            mtime: place.time_ms,
            owner: owner.stored(),
            ..Stat::default()
        },
    };
    let is_there = image.nodes.contains_key(&create.path);
    let outcome = image.create(&create.path, node, create.parent_cversion);
    if is_there && create.mends_parent {
        image.created_before(&create.path, create.parent_cversion, place.zxid);
    }
    outcome
}

/// What a ZooKeeper without any file begins with.
fn fresh() -> Image {
    let mut image = Image::default();
    for record in crate::storage::nodes::sorted(&Tree::fresh()) {
        let loaded = image.load(record.path.clone(), of_record(record));
        loaded.expect("parents come before their children");
    }
    image
}

fn of_record(record: NodeRecord) -> Node {
    Node {
        data: record.data,
        acl: Some(record.acl.into()),
        stat: Stat {
            aversion: record.aversion,
            ..Stat::default()
        },
    }
}

/// The nodes in the order of their paths, as our snapshots have them.
fn records(image: &Image, imported: &mut Imported) -> Result<Vec<NodeRecord>, Error> {
    let mut paths: Vec<&String> = image.nodes.keys().collect();
    paths.sort_unstable();
    let mut records = Vec::with_capacity(paths.len());
    let mut orphans = 0;
    for path in paths {
        if path::validate(path).is_err() {
            return Err(Error::ForeignNode {
                path: path.clone(),
                reason: "its path is none",
            });
        }
        if path != "/" && !image.nodes.contains_key(parent(path)) {
            // Nobody can come to it, and ZooKeeper's next snapshot would not have it.
            orphans += 1;
            continue;
        }
        records.push(record(path, &image.nodes[path])?);
    }
    if orphans > 0 {
        let text = format!("{orphans} nodes have no parent and are left out");
        imported.warnings.push(text);
    }
    add_missing(&mut records);
    recount_quotas(&mut records);
    Ok(records)
}

fn record(path: &str, node: &Node) -> Result<NodeRecord, Error> {
    let acl = node.acl.as_ref().ok_or_else(|| Error::ForeignNode {
        path: path.to_owned(),
        reason: "its ACL is nowhere",
    })?;
    let stat = node.stat;
    Ok(NodeRecord {
        path: path.to_owned(),
        data: node.data.clone(),
        acl: acl.to_vec(),
        czxid: stat.czxid,
        mzxid: stat.mzxid,
        pzxid: stat.pzxid,
        ctime: stat.ctime,
        mtime: stat.mtime,
        version: stat.version,
        cversion: stat.cversion,
        aversion: stat.aversion,
        owner: stat.owner,
    })
}

/// Versions before 3.5 do not have all the nodes that are always there.
fn add_missing(records: &mut Vec<NodeRecord>) {
    for special in crate::storage::nodes::sorted(&Tree::fresh()) {
        let place = records.binary_search_by(|record| record.path.cmp(&special.path));
        if let Err(place) = place {
            records.insert(place, special);
        }
    }
}

/// ZooKeeper counts anew at each start what quotas are about.
fn recount_quotas(records: &mut [NodeRecord]) {
    let abouts: Vec<String> = records
        .iter()
        .filter_map(|record| quota::limited(&record.path).map(str::to_owned))
        .collect();
    let find = |records: &[NodeRecord], path: &str| {
        records.binary_search_by(|record| record.path.as_str().cmp(path))
    };
    for about in abouts {
        let prefix = format!("{about}/");
        let (Ok(first) | Err(first)) = find(records, &prefix);
        let below = records[first..].iter();
        let below = below.take_while(|record| record.path.starts_with(&prefix));
        let itself = find(records, &about).map(|place| &records[place]);
        let (mut count, mut bytes) = (0_i64, 0_i64);
        for record in itself.into_iter().chain(below) {
            count += 1;
            let len = record.data.as_ref().map_or(0, bytes::Bytes::len);
            bytes += i64::try_from(len).unwrap_or(i64::MAX);
        }
        if let Ok(stats) = find(records, &quota::stats_path(&about)) {
            records[stats].data = Some(quota::Track::of(count, bytes).to_string().into());
        }
    }
}
