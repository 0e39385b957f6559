//! A data directory through crashes, damage and the years.

mod disks;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use common::zk::Acl;

use super::*;
use crate::txn::{Create, Txn};

fn options(dir: &Path) -> Options {
    Options {
        data_dir: dir.to_owned(),
        log_dir: dir.to_owned(),
        preallocate: 64 << 20,
        snap_count: 1_000_000,
        retain: 3,
        sync: true,
    }
}

fn open(dir: &Path) -> (Storage, State) {
    let (storage, state, _) = Storage::open(options(dir)).unwrap();
    (storage, state)
}

/// The creation of `/n<zxid>`.
fn entry(zxid: i64) -> Entry {
    Entry {
        zxid,
        session: 1,
        cxid: 2,
        time_ms: 3,
        txn: Txn::Create(Create {
            path: format!("/n{zxid}"),
            data: Some(Bytes::from_static(b"data")),
            acl: Acl::open(),
            owner: 0,
            parent_cversion: i32::try_from(zxid).unwrap(),
            with_stat: false,
        }),
    }
}

/// Appends the transactions in batches of two and returns where each begins.
fn fill(dir: &Path, count: i64) -> Vec<u64> {
    let (mut storage, state) = open(dir);
    let mut ends = vec![storage.log.len()];
    let mut zxid = state.zxid;
    while zxid < count {
        storage.append(&[entry(zxid + 1), entry(zxid + 2)]).unwrap();
        zxid += 2;
        ends.push(storage.log.len());
    }
    ends
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join(FOLDER).join("log.0000000000000001")
}

fn files(dir: &Path, prefix: &str) -> Vec<String> {
    let names = fs::read_dir(dir.join(FOLDER)).unwrap();
    let names = names.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|n| n.starts_with(prefix)).collect();
    names.sort();
    names
}

#[test]
fn what_was_appended_is_there_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 6);
    let (storage, state) = open(dir.path());
    assert_eq!(state.zxid, 6);
    assert!(state.tree.get("/n6").is_some());
    storage.close().unwrap();
    // It goes on in the same file, also behind the mark of an orderly end.
    fill(dir.path(), 8);
    let (_, state) = open(dir.path());
    assert_eq!(state.zxid, 8);
    assert_eq!(files(dir.path(), "log."), ["log.0000000000000001"]);
}

#[test]
fn the_secret_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (first, state) = open(dir.path());
    let secret = state.secret;
    drop(first);
    assert_eq!(open(dir.path()).1.secret, secret);
}

#[test]
fn a_tail_cut_anywhere_costs_only_the_last_batch() {
    let dir = tempfile::tempdir().unwrap();
    let ends = fill(dir.path(), 6);
    let file = log_file(dir.path());
    let whole = fs::read(&file).unwrap();
    let (before, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    for cut in before..end {
        let mut torn = whole.clone();
        // A cut file, and one whose unwritten end is still the zeros of its allocation.
        torn.truncate(usize::try_from(cut).unwrap());
        if cut % 2 == 0 {
            torn.resize(whole.len(), 0);
        }
        let end = usize::try_from(end).unwrap();
        if torn.get(..end) == Some(&whole[..end]) {
            // What was cut off were zeros.
            continue;
        }
        fs::write(&file, &torn).unwrap();
        let (storage, state, recovered) = Storage::open(options(dir.path())).unwrap();
        assert_eq!(state.zxid, 4, "cut at {cut}");
        assert_eq!(recovered.cut > 0, cut > before, "cut at {cut}");
        drop(storage);
        assert_eq!(fs::metadata(&file).unwrap().len(), before);
    }
}

#[test]
fn a_flipped_bit_before_the_tail_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let ends = fill(dir.path(), 6);
    let file = log_file(dir.path());
    let whole = fs::read(&file).unwrap();
    let last_batch = usize::try_from(ends[ends.len() - 2]).unwrap();
    for position in 0..last_batch {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&file, &flipped).unwrap();
        match Storage::open(options(dir.path())) {
            Err(Error::LogDamaged { path, offset, .. }) => {
                assert_eq!(path, file);
                assert!(offset as usize <= position, "{position}");
            }
            Ok((_, state, _)) => panic!("{position}: zxid {}", state.zxid),
            Err(other) => panic!("{position}: {other}"),
        }
    }
}

#[test]
fn after_an_orderly_end_a_flipped_bit_in_the_last_batch_is_damage_too() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 6);
    let (storage, _) = open(dir.path());
    let last_byte = usize::try_from(storage.log.len()).unwrap() - 1;
    storage.close().unwrap();
    let file = log_file(dir.path());
    let mut flipped = fs::read(&file).unwrap();
    flipped[last_byte] ^= 4;
    fs::write(&file, &flipped).unwrap();
    let error = Storage::open(options(dir.path())).unwrap_err();
    assert!(matches!(error, Error::LogDamaged { .. }), "{error}");
}

#[test]
fn a_flipped_bit_in_an_acknowledged_batch_is_damage_also_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let ends = fill(dir.path(), 6);
    let file = log_file(dir.path());
    let whole = fs::read(&file).unwrap();
    let batch = ends[ends.len() - 2]..ends[ends.len() - 1];
    for position in batch.map(|at| usize::try_from(at).unwrap()) {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&file, &flipped).unwrap();
        let error = Storage::open(options(dir.path())).unwrap_err();
        assert!(
            matches!(error, Error::LogDamaged { zxid: 4, .. }),
            "{position}: {error}"
        );
        assert!(error.to_string().contains("transaction 0x4"), "{error}");
    }
}

#[test]
fn snapshots_are_taken_logs_rolled_and_old_files_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, mut state) = open(dir.path());
    for round in 0..5 {
        let batch = [entry(round * 2 + 1), entry(round * 2 + 2)];
        storage.append(&batch).unwrap();
        for entry in &batch {
            state.apply(entry).unwrap();
        }
        storage.snapshot(None).unwrap();
    }
    storage.snapshotter.finish();
    storage.close().unwrap();
    let expected = [
        "snapshot.0000000000000006",
        "snapshot.0000000000000008",
        "snapshot.000000000000000a",
    ];
    assert_eq!(files(dir.path(), "snapshot."), expected);
    let expected = [
        "log.0000000000000007",
        "log.0000000000000009",
        "log.000000000000000b",
    ];
    assert_eq!(files(dir.path(), "log."), expected);

    // With the newest snapshot damaged the one before it and the logs do.
    let newest = dir.path().join(FOLDER).join("snapshot.000000000000000a");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    let (_, state, recovered) = Storage::open(options(dir.path())).unwrap();
    assert_eq!((state.zxid, recovered.snapshot_zxid), (10, 8));
    assert!(state.tree.get("/n10").is_some());
}

#[test]
fn every_flipped_bit_of_a_snapshot_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut state, end) = (State::fresh(crate::session::Secret::for_tests()), 3);
    (1..=end).for_each(|zxid| drop(state.apply(&entry(zxid)).unwrap()));
    let path = snapshot::write(dir.path(), &state).unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(snapshot::read(&path).unwrap().zxid, end);
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 1 << (position % 8);
        fs::write(&path, &flipped).unwrap();
        assert!(snapshot::read(&path).is_err(), "{position}");
        fs::write(&path, &whole[..position]).unwrap();
        assert!(snapshot::read(&path).is_err(), "{position}");
    }
}

#[test]
fn a_snapshot_merges_what_happened_since_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, mut state) = open(dir.path());
    let mut commit = |storage: &mut Storage, session, txn: Txn| {
        let entry = Entry {
            zxid: state.zxid + 1,
            session,
            cxid: 0,
            time_ms: 1000 + state.zxid,
            txn,
        };
        storage.append(std::slice::from_ref(&entry)).unwrap();
        state.apply(&entry).unwrap();
    };
    let create = |path: &str, owner, parent_cversion| {
        Txn::Create(Create {
            path: path.into(),
            data: Some(Bytes::from(path.to_owned())),
            acl: Acl::open(),
            owner,
            parent_cversion,
            with_stat: false,
        })
    };
    let delete = |path: &str| Txn::Delete { path: path.into() };
    let set = |path: &str, version| Txn::SetData {
        path: path.into(),
        data: None,
        version,
    };
    // Many nodes that nobody touches again, so that whole chunks are copied.
    for n in 0..600 {
        commit(&mut storage, 1, create(&format!("/bulk{n:04}"), 0, n + 2));
    }
    commit(&mut storage, 5, Txn::CreateSession { timeout_ms: 6000 });
    commit(&mut storage, 5, create("/gone", 5, 1000));
    commit(&mut storage, 1, create("/a", 0, 1001));
    commit(&mut storage, 1, create("/a/b", 0, 1));
    storage.snapshot(None).unwrap();
    commit(&mut storage, 1, create("/a/b/c", 0, 1));
    commit(&mut storage, 1, create("/a/b/d", 0, 2));
    commit(&mut storage, 1, delete("/a/b/c"));
    commit(&mut storage, 1, set("/bulk0300", 1));
    commit(&mut storage, 1, delete("/bulk0301"));
    commit(&mut storage, 1, create("/bulk0300a", 0, 1002));
    commit(&mut storage, 1, create("/zz", 0, 1003));
    let ephemerals = vec!["/gone".to_owned()];
    commit(&mut storage, 5, Txn::CloseSession { ephemerals });
    let last = Txn::Multi(vec![
        create("/m", 0, 1004),
        set("/m", 1),
        delete("/bulk0000"),
    ]);
    commit(&mut storage, 1, last);
    storage.snapshot(None).unwrap();
    storage.snapshotter.finish();
    let name = snapshot::file_name(state.zxid);
    let merged = snapshot::read(&dir.path().join(FOLDER).join(name)).unwrap();
    let records = |state: &State| nodes::sorted(&state.tree).collect::<Vec<_>>();
    assert_eq!(records(&merged), records(&state));
    assert_eq!(merged.sessions, state.sessions);
    assert_eq!(merged.zxid, state.zxid);
}

#[test]
fn a_newest_snapshot_that_cannot_be_replaced_by_older_files_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 4);
    let (mut storage, _) = open(dir.path());
    storage.snapshot(None).unwrap();
    storage.snapshotter.finish();
    drop(storage);
    let newest = dir.path().join(FOLDER).join("snapshot.0000000000000004");
    let mut bytes = fs::read(&newest).unwrap();
    bytes[40] ^= 1;
    fs::write(&newest, bytes).unwrap();
    for log in files(dir.path(), "log.") {
        fs::remove_file(dir.path().join(FOLDER).join(log)).unwrap();
    }
    let error = Storage::open(options(dir.path())).unwrap_err();
    let lost = matches!(
        error,
        Error::Lost {
            found: 0,
            newest: 4,
            ..
        }
    );
    assert!(lost, "{error}");
}

#[test]
fn missing_files_are_not_taken_for_an_empty_state() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 2);
    let snapshot = dir.path().join(FOLDER).join("snapshot.0000000000000000");
    fs::remove_file(snapshot).unwrap();
    let error = Storage::open(options(dir.path())).unwrap_err();
    assert!(matches!(error, Error::NoSnapshot { .. }), "{error}");
}

#[test]
fn a_directory_serves_one_daemon_and_no_zookeeper() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    let error = Storage::open(options(dir.path())).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");

    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("version-2")).unwrap();
    let error = Storage::open(options(other.path())).unwrap_err();
    assert!(matches!(error, Error::ZooKeeperData { .. }), "{error}");
}

#[test]
fn golden_bytes_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open(dir.path());
    storage.append(&[entry(1)]).unwrap();
    let end = usize::try_from(storage.log.len()).unwrap();
    let bytes = fs::read(log_file(dir.path())).unwrap();
    let hex: String = bytes[..end].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "4f44524b544c4f47", // magic
            "00000001",         // version
            "0000000000000001", // first zxid
            "b277ca57",         // checksum of the header
            "b07ca5ed",         // marker
            "e62d1606",         // checksum of the batch
            "00000022",         // length
            "0000000000000001", // first zxid
            "00000001",         // entries
            "01",               // one entry: its zxid, session, number and time
            "02020406",
            "03032f6e31",                     // a creation of /n1
            "010464617461",                   // with data
            "013e05776f726c6406616e796f6e65", // open to the world
            "00",                             // no owner
            "02",                             // the parent's first child
            "00",                             // no stat wanted
        )
    );
}

#[test]
fn golden_bytes_of_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = State::fresh(crate::session::Secret::for_tests());
    state.apply(&entry(1)).unwrap();
    state.sessions.insert(5, 6000);
    let path = snapshot::write(dir.path(), &state).unwrap();
    let bytes = fs::read(path).unwrap();
    let hex: String = bytes[..60].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        concat!(
            "4f44524b54534e50", // magic
            "00000001",         // version
            "00000027",         // length of the first chunk
            "4dbeaadd",         // its checksum
            "0002",             // the head, at zxid 1
            "0707070707070707070707070707070707070707070707070707070707070707",
            "010afbe02e", // one session, 5, with 6000 ms
            "00",
        )
    );
    assert_eq!(
        (bytes.len(), common::checksum::crc32c(&bytes)),
        (265, 632_322_014)
    );
}
