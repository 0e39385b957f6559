//! Tests that damage files at random, and that make up files of their own.
//!
//! `STORAGE_ROUNDS=10000 cargo test -p coordinator damage` is the long form;
//! `STORAGE_SEED` repeats a run, whose seed a failure names.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::checksum::crc32c;
use common::zk::Acl;

use super::*;
use crate::txn::{Create, Txn};

/// A small generator, so that a seed means the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn from_environment() -> (u64, Self) {
        let seed = number("STORAGE_SEED", 1);
        (seed, Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// Changes, drops, doubles or invents a few bytes.
    pub(super) fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                bytes.push(0);
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfb, 0xfe, 0xff][self.below(7)],
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..(at + 1 + self.below(8)).min(bytes.len()))),
                4 => {
                    let end = (at + 1 + self.below(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                _ => drop(bytes.splice(at..at, [0xff; 4])),
            }
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(super) fn rounds(default: u64) -> u64 {
    number("STORAGE_ROUNDS", default)
}

fn txn(zxid: i64) -> Txn {
    match zxid % 4 {
        0 => Txn::SetData {
            path: format!("/n{}", zxid - 1),
            data: Some(Bytes::from(vec![7; 100])),
            version: 1,
        },
        1 if zxid > 8 => Txn::Delete {
            path: format!("/n{}", zxid - 6),
        },
        2 => Txn::Error { code: -101 },
        _ => Txn::Create(Create {
            path: format!("/n{zxid}"),
            data: Some(Bytes::from_static(b"some data")),
            acl: Acl::open(),
            owner: 0,
            parent_cversion: i32::try_from(zxid).unwrap(),
            with_stat: false,
        }),
    }
}

fn entry(zxid: i64) -> Entry {
    Entry {
        zxid,
        session: 1,
        cxid: 2,
        time_ms: 3,
        txn: txn(zxid),
    }
}

/// A directory as a killed daemon leaves it: two snapshots and the logs around them.
fn killed(dir: &Path) -> PathBuf {
    let options = Options {
        data_dir: dir.to_owned(),
        log_dir: dir.to_owned(),
        preallocate: 0,
        snap_count: 1000,
        retain: 3,
        sync: false,
    };
    let (mut storage, _, _) = Storage::open(options).unwrap();
    for zxid in (1..=60).step_by(2) {
        storage.append(&[entry(zxid), entry(zxid + 1)]).unwrap();
        if zxid == 19 || zxid == 39 {
            storage.snapshot(None).unwrap();
        }
    }
    storage.snapshotter.finish();
    dir.join(FOLDER)
}

fn nodes_of(folder: &Path) -> Result<(i64, Vec<snapshot::NodeRecord>), Error> {
    let (state, _) = recovery::load(folder, folder)?;
    Ok((state.zxid, nodes::sorted(&state.tree).collect()))
}

/// A flipped bit is found, or it is in a file that the start can do without: then
/// the state is the same to the last node. It is never served.
#[test]
fn flipped_bits_are_found_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let folder = killed(dir.path());
    let truth = nodes_of(&folder).unwrap();
    assert_eq!(truth.0, 60);
    let files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name != LOCK_FILE))
        .collect();
    let (seed, mut random) = Random::from_environment();
    let (mut found, mut harmless) = (0, 0);
    for round in 0..rounds(200) {
        let path = &files[random.below(files.len())];
        let whole = fs::read(path).unwrap();
        // Not the zeros that were only reserved.
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap_or(0) + 1;
        let mut flipped = whole.clone();
        let at = random.below(used);
        flipped[at] ^= 1 << random.below(8);
        fs::write(path, &flipped).unwrap();
        match nodes_of(&folder) {
            Err(_) => found += 1,
            Ok(state) => {
                harmless += 1;
                let place = format!("{} at {at}, seed {seed}, round {round}", path.display());
                assert!(state == truth, "served: {place}");
            }
        }
        fs::write(path, &whole).unwrap();
    }
    assert!(found > 0 && harmless > 0, "{found} {harmless}");
}

/// The last file of the log, cut anywhere: no batch that was written whole is lost.
#[test]
fn a_log_cut_anywhere_loses_only_what_is_behind_the_cut() {
    let dir = tempfile::tempdir().unwrap();
    let folder = killed(dir.path());
    let log = folder.join("log.0000000000000029");
    let whole = fs::read(&log).unwrap();
    let mut ends = vec![(24_u64, 40)];
    let mut reader = log::LogReader::open(&log).unwrap().unwrap();
    while let log::Next::Batch(_) = reader.next().unwrap() {
        ends.push((reader.offset, reader.next_zxid - 1));
    }
    for cut in 0..usize::try_from(reader.offset).unwrap() {
        fs::write(&log, &whole[..cut]).unwrap();
        let complete = ends.iter().rev().find(|(end, _)| *end <= cut as u64);
        let expected = complete.map_or(40, |(_, zxid)| *zxid);
        assert_eq!(nodes_of(&folder).unwrap().0, expected, "cut at {cut}");
    }
}

/// Chunks and batches with the right checksum and the wrong content, as somebody
/// may make them who wants to do harm: refused, or a state, but no panic.
#[test]
fn made_up_content_does_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    let folder = killed(dir.path());
    let (seed, mut random) = Random::from_environment();
    let snapshot = folder.join("snapshot.0000000000000028");
    let log = folder.join("log.0000000000000029");
    // Where the first payload of each begins, and where its length and checksum are.
    let places = [(&snapshot, 12, 4, 20), (&log, 24 + 8, 24 + 4, 24 + 24)];
    for round in 0..rounds(200) {
        let (path, length_at, crc_at, payload_at) = places[random.below(2)];
        let is_log = path == &log;
        let whole = fs::read(path).unwrap();
        let crc_at = if is_log { crc_at } else { length_at + 4 };
        let mut bytes = whole.clone();
        let mut payload_at = payload_at;
        let (mut length_at, mut crc_at) = (length_at, crc_at);
        // Of the snapshot the nodes, too.
        if !is_log && random.below(3) > 0 {
            let head = u32::from_be_bytes(bytes[length_at..length_at + 4].try_into().unwrap());
            length_at += 8 + head as usize;
            (crc_at, payload_at) = (length_at + 4, length_at + 8);
        }
        let length = u32::from_be_bytes(bytes[length_at..length_at + 4].try_into().unwrap());
        let end = payload_at + length as usize;
        let mut payload = bytes[payload_at..end].to_vec();
        random.damage(&mut payload);
        let new_length = u32::try_from(payload.len()).unwrap();
        bytes.splice(payload_at..end, payload.iter().copied());
        bytes[length_at..length_at + 4].copy_from_slice(&new_length.to_be_bytes());
        let covered = match is_log {
            true => length_at..payload_at + payload.len(),
            false => payload_at..payload_at + payload.len(),
        };
        let crc = crc32c(&bytes[covered]);
        bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
        fs::write(path, &bytes).unwrap();
        let outcome = std::panic::catch_unwind(|| drop(nodes_of(&folder)));
        assert!(
            outcome.is_ok(),
            "{}, seed {seed}, round {round}",
            path.display()
        );
        fs::write(path, &whole).unwrap();
    }
}
