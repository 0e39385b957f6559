//! Made-up files of ZooKeeper's: refused or imported, but no panic.
//!
//! The environment of `storage::damage` makes this longer, too.

use std::fs;

use bytes::Bytes;

use super::{image, import, log, snapshot};
use crate::storage::damage::{Random, rounds};
use crate::storage::snapshot::NodeRecord;

fn nodes() -> Vec<NodeRecord> {
    let paths = ["/", "/a", "/a/b", "/e", "/zookeeper", "/zookeeper/quota"];
    let record = |path: &&str| NodeRecord {
        path: (*path).to_owned(),
        data: Some(Bytes::from_static(b"data")),
        acl: common::zk::Acl::open(),
        czxid: 1,
        mzxid: 1,
        pzxid: 1,
        ctime: 1,
        mtime: 1,
        version: 0,
        cversion: 1,
        aversion: 0,
        owner: if *path == "/e" { 5 } else { 0 },
    };
    paths.iter().map(record).collect()
}

#[test]
fn made_up_snapshots_do_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut whole = Vec::new();
    snapshot::write(&mut whole, 16, &[(5, 6000)], &nodes()).unwrap();
    let (seed, mut random) = Random::from_environment();
    for round in 0..rounds(150) {
        let mut bytes = whole.clone();
        random.damage(&mut bytes);
        for name in ["snapshot.10", "snapshot.10.gz", "snapshot.10.snappy"] {
            let path = dir.path().join(name);
            fs::write(&path, &bytes).unwrap();
            let read = std::panic::catch_unwind(|| snapshot::read(&path).is_ok());
            assert!(read.is_ok(), "{name}, seed {seed}, round {round}");
        }
    }
}

#[test]
fn made_up_transactions_do_not_panic() {
    let (seed, mut random) = Random::from_environment();
    let seeds = super::tests::transactions();
    for bytes in &seeds {
        log::parse(bytes.clone()).unwrap();
    }
    for round in 0..rounds(4000) {
        let mut bytes = seeds[random.below(seeds.len())].to_vec();
        random.damage(&mut bytes);
        let work = std::panic::AssertUnwindSafe(|| {
            let mut image = image::Image::default();
            for record in nodes() {
                image
                    .load(record.path.clone(), snapshot::foreign(&record))
                    .unwrap();
            }
            if let Ok(entry) = log::parse(Bytes::from(bytes)) {
                let place = import::Place::of(&entry);
                let _ = import::apply(&mut image, place, entry.txn);
            }
        });
        let outcome = std::panic::catch_unwind(work);
        assert!(outcome.is_ok(), "seed {seed}, round {round}");
    }
}
