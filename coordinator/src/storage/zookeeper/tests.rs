use std::fs;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use common::jute::Record;
use common::zk::Acl;

use super::log::{self, Kind, Txn};
use super::*;
use crate::storage::snapshot::NodeRecord;
use crate::storage::{Options, Storage};
use crate::txn::State;

fn record(path: &str, data: &'static [u8], owner: i64) -> NodeRecord {
    NodeRecord {
        path: path.into(),
        data: Some(Bytes::from_static(data)),
        acl: Acl::open(),
        czxid: 1,
        mzxid: 2,
        pzxid: 3,
        ctime: 4,
        mtime: 5,
        version: 6,
        cversion: 7,
        aversion: 8,
        owner,
    }
}

/// A dataDir with one snapshot of transaction 16.
fn zookeeper_dir(nodes: &[NodeRecord], sessions: &[(i64, i32)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(FOLDER)).unwrap();
    let mut bytes = Vec::new();
    snapshot::write(&mut bytes, 16, sessions, nodes).unwrap();
    fs::write(dir.path().join(FOLDER).join("snapshot.10"), bytes).unwrap();
    dir
}

/// The bytes of a transaction of session 5, with the digest of the tree if wanted.
fn entry(zxid: i64, kind: i32, body: &[u8], digest: Option<i64>) -> Bytes {
    let mut bytes = BytesMut::new();
    5_i64.encode(&mut bytes);
    1_i32.encode(&mut bytes);
    zxid.encode(&mut bytes);
    1000_i64.encode(&mut bytes);
    kind.encode(&mut bytes);
    bytes.put_slice(body);
    if let Some(sum) = digest {
        2_i32.encode(&mut bytes);
        sum.encode(&mut bytes);
    }
    bytes.freeze()
}

fn log_file(dir: &Path, name: &str, entries: &[Bytes]) {
    let mut file = BytesMut::new();
    file.put_slice(b"ZKLG");
    file.put_i32(2);
    file.put_i64(0);
    for entry in entries {
        file.put_i64(i64::from(adler2::adler32_slice(entry)));
        entry.encode(&mut file);
        file.put_u8(b'B');
    }
    file.put_bytes(0, 100);
    fs::write(dir.join(FOLDER).join(name), file).unwrap();
}

fn create(path: &str, ephemeral: bool, parent_cversion: Option<i32>) -> Bytes {
    let mut body = BytesMut::new();
    path.to_owned().encode(&mut body);
    Some(Bytes::from_static(b"data")).encode(&mut body);
    Acl::open().encode(&mut body);
    ephemeral.encode(&mut body);
    if let Some(cversion) = parent_cversion {
        cversion.encode(&mut body);
    }
    body.freeze()
}

/// One of each kind, to be damaged.
pub(super) fn transactions() -> Vec<Bytes> {
    let text = |path: &str| path.to_owned().to_bytes();
    let data = |path: &str| [&text(path)[..], &[0, 0, 0, 1, 7], &[0, 0, 0, 3]].concat();
    let acl = |path: &str| [&text(path)[..], &Acl::open().to_bytes(), &[0, 0, 0, 1]].concat();
    let mut part = BytesMut::new();
    1_i32.encode(&mut part);
    1_i32.encode(&mut part);
    create("/a/new", false, Some(2)).encode(&mut part);
    let ttl = {
        let with_flag = create("/ttl", false, Some(3));
        // The flag of the ephemeral ones is not there, and a time is.
        let end = with_flag.len();
        [
            &with_flag[..end - 5],
            &with_flag[end - 4..],
            &[0, 0, 0, 0, 0, 0, 3, 232],
        ]
        .concat()
    };
    vec![
        entry(17, -10, &[0, 0, 23, 112], Some(1)),
        entry(17, -11, &vec!["/e".to_owned()].to_bytes(), Some(2)),
        entry(17, 1, &create("/a/x", true, Some(2)), None),
        entry(17, 15, &create("/a", false, Some(9)), Some(3)),
        entry(17, 21, &ttl, None),
        entry(17, 2, &text("/a/b"), None),
        entry(17, 5, &data("/a"), None),
        entry(17, 7, &acl("/a"), None),
        entry(17, 14, &part, Some(4)),
    ]
}

fn imported(dir: &Path) -> (State, Imported) {
    let to = tempfile::tempdir().unwrap();
    let imported = import(dir, None, to.path()).unwrap();
    (open(to.path()), imported)
}

fn open(dir: &Path) -> State {
    let options = Options {
        data_dir: dir.to_owned(),
        log_dir: dir.to_owned(),
        preallocate: 0,
        snap_count: 1000,
        retain: 3,
        sync: false,
    };
    Storage::open(options).unwrap().1
}

#[test]
fn a_snapshot_and_what_comes_behind_it() {
    let nodes = [
        record("/", b"", 0),
        record("/a", b"x", 0),
        record("/e", b"", 5),
    ];
    let dir = zookeeper_dir(&nodes, &[(5, 6000), (6, 7000)]);
    log_file(
        dir.path(),
        "log.f",
        &[
            entry(15, 1, &create("/before", false, Some(1)), None),
            // In the snapshot already, but not all that it did.
            entry(17, 1, &create("/a", false, Some(9)), None),
            entry(18, 1, &create("/mine", true, Some(10)), None),
            entry(19, -1, &(-101_i32).to_bytes(), Some(0)),
        ],
    );
    let text = |path: &str| path.to_owned().to_bytes();
    log_file(
        dir.path(),
        "log.14",
        &[
            entry(20, 2, &text("/not-there"), None),
            entry(21, -10, &8000_i32.to_bytes(), None),
        ],
    );
    let (state, report) = imported(dir.path());
    assert_eq!((state.zxid, report.replayed), (21, 5));
    assert_eq!(report.snapshot_zxid, Some(16));
    // The digest of 19 was made up.
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    let root = state.tree.get("/").unwrap().stat();
    let children = root.num_children;
    assert_eq!((root.pzxid, root.cversion + children), (20, 20));
    assert!(state.tree.get("/before").is_none());
    assert_eq!(state.tree.get("/a").unwrap().stat().version, 6);
    let mine = state.tree.get("/mine").unwrap().stat();
    assert_eq!(
        (mine.ephemeral_owner, mine.czxid, mine.ctime),
        (5, 18, 1000)
    );
    let sessions: Vec<_> = state.sessions.into_iter().collect();
    assert_eq!(sessions, [(5, 8000), (6, 7000)]);
    assert_eq!(state.imported.len(), 2);
    // The nodes that old versions do not have.
    assert!(state.tree.get("/zookeeper/config").is_some());
}

#[test]
fn a_session_that_nobody_knows_ends_with_its_nodes() {
    let nodes = [record("/", b"", 0), record("/e", b"", 5)];
    let dir = zookeeper_dir(&nodes, &[]);
    let (state, report) = imported(dir.path());
    assert!(state.tree.get("/e").is_none());
    assert_eq!(state.tree.get("/").unwrap().pzxid(), 16);
    assert_eq!(report.sessions, 0);
}

#[test]
fn missing_transactions_are_named() {
    let dir = zookeeper_dir(&[record("/", b"", 0)], &[]);
    let late = |zxid| entry(zxid, 1, &create(&format!("/{zxid}"), false, Some(8)), None);
    // A new leader counts from the next 2^32 on.
    log_file(
        dir.path(),
        "log.11",
        &[late(17), late(19), late((1 << 32) + 1)],
    );
    let (state, report) = imported(dir.path());
    assert_eq!(state.zxid, (1 << 32) + 1);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    assert!(warning.contains("0x11 and 0x13"), "{warning}");
}

#[test]
fn the_transactions_of_all_versions_are_understood() {
    let kind_of = |bytes: Bytes| log::parse(bytes).unwrap().txn;
    let Txn::Create(old) = kind_of(entry(1, 1, &create("/a", true, None), None)) else {
        panic!("a creation");
    };
    assert_eq!((old.kind, old.parent_cversion), (Kind::Ephemeral, -1));
    let paths = vec!["/a".to_owned(), "/b".to_owned()];
    let closed = |paths: &[&str]| Txn::CloseSession {
        paths: paths.iter().map(ToString::to_string).collect(),
    };
    let table = [
        (entry(1, -11, &[], None), closed(&[])),
        (entry(1, -11, &[], Some(77)), closed(&[])),
        (
            entry(1, -11, &paths.to_bytes(), None),
            closed(&["/a", "/b"]),
        ),
        (
            entry(1, -11, &paths.to_bytes(), Some(7)),
            closed(&["/a", "/b"]),
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(kind_of(bytes), expected);
    }
    assert!(log::parse(entry(1, 99, &[], None)).is_err());
}

#[test]
fn a_multi_of_which_one_part_failed_does_nothing() {
    let part = |kind: i32, body: &[u8]| {
        let mut bytes = BytesMut::new();
        kind.encode(&mut bytes);
        Bytes::copy_from_slice(body).encode(&mut bytes);
        bytes
    };
    let multi = |parts: &[BytesMut]| {
        let mut body = BytesMut::new();
        body.put_i32(i32::try_from(parts.len()).unwrap());
        parts.iter().for_each(|part| body.put_slice(part));
        log::parse(entry(1, 14, &body, Some(1))).unwrap().txn
    };
    let good = part(1, &create("/a", false, Some(1)));
    let failed = part(-1, &(-101_i32).to_bytes());
    assert_eq!(multi(&[good.clone(), failed]), Txn::Nothing);
    assert!(matches!(multi(&[good]), Txn::Multi(parts) if parts.len() == 1));
}

#[test]
fn what_is_exported_is_imported_again() {
    let nodes = [
        record("/", b"", 0),
        record("/a", b"x", 0),
        record("/a/b", b"", i64::MIN),
        record("/t", b"", (0xff << 56) | 1000),
        record("/e", b"", 5),
    ];
    let first = zookeeper_dir(&nodes, &[(5, 6000)]);
    let (ours, theirs, again) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    import(first.path(), None, ours.path()).unwrap();
    let exported = export(ours.path(), None, theirs.path()).unwrap();
    assert_eq!((exported.zxid, exported.resumable), (16, 1));
    let refused = export(ours.path(), None, theirs.path()).unwrap_err();
    assert!(matches!(refused, Error::Occupied { .. }), "{refused}");
    let report = import(theirs.path(), None, again.path()).unwrap();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    let nodes = |dir: &Path| {
        let state = open(dir);
        let nodes: Vec<_> = crate::storage::nodes::sorted(&state.tree).collect();
        nodes
    };
    assert_eq!(nodes(ours.path()), nodes(again.path()));
    let refused = import(first.path(), None, again.path()).unwrap_err();
    assert!(matches!(refused, Error::Occupied { .. }), "{refused}");
}

/// Every byte of a snapshot is damaged in turn, and the file cut behind it.
#[test]
fn a_damaged_snapshot_is_refused() {
    let nodes = [
        record("/", b"", 0),
        record("/a", b"x", 0),
        record("/e", b"", 5),
    ];
    let dir = zookeeper_dir(&nodes, &[(5, 6000)]);
    let path = dir.path().join(FOLDER).join("snapshot.10");
    let whole = fs::read(&path).unwrap();
    let mut good_cuts = 0;
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        assert!(snapshot::read(&path).is_err(), "{position}");
        fs::write(&path, &whole[..position]).unwrap();
        good_cuts += usize::from(snapshot::read(&path).is_ok());
    }
    // Older versions end behind the first or the second seal.
    assert_eq!(good_cuts, 2);
}

#[test]
fn a_damaged_log_ends_or_is_refused() {
    let dir = zookeeper_dir(&[record("/", b"", 0)], &[]);
    let create = entry(17, 1, &create("/b", false, Some(9)), None);
    let delete = entry(18, 2, &"/b".to_owned().to_bytes(), None);
    log_file(dir.path(), "log.11", &[create.clone(), delete.clone()]);
    let path = dir.path().join(FOLDER).join("log.11");
    let whole = fs::read(&path).unwrap();
    let entries = [log::parse(create).unwrap(), log::parse(delete).unwrap()];
    let read = || {
        let mut reader = log::LogReader::open(&path)?;
        let mut found = Vec::new();
        while let Some(entry) = reader
            .as_mut()
            .map(log::LogReader::next)
            .transpose()?
            .flatten()
        {
            found.push(entry);
        }
        Ok::<_, Error>(found)
    };
    assert_eq!(read().unwrap(), entries);
    for position in 0..whole.len() - 100 {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        if let Ok(found) = read() {
            // As ZooKeeper: an entry without its end is one that a crash cut. The
            // number of the database is of no interest.
            assert!(entries.starts_with(&found), "{position}");
        }
        fs::write(&path, &whole[..position]).unwrap();
        assert!(entries.starts_with(&read().unwrap()), "{position}");
    }
}
