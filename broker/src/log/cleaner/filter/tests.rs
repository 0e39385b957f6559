use super::*;
use crate::record::Compression;

const NOW: i64 = 1_700_000_000_000;
const RETENTION: i64 = 1000;

/// A batch at `base_offset` with a record for each key; `-key` is a tombstone
/// and `` has no key.
fn batch(base_offset: i64, keys: &[&str], adapt: impl Fn(BatchBuilder) -> BatchBuilder) -> Batch {
    let builder = BatchBuilder::new(Compression::None).base_offset(base_offset, 3);
    let mut builder = adapt(builder);
    for (index, name) in (0..).zip(keys) {
        let tombstone = name.strip_prefix('-');
        let key = Some(tombstone.unwrap_or(name)).filter(|key| !key.is_empty());
        let value = tombstone.is_none().then_some(&b"value"[..]);
        assert!(builder.push(NOW + index, key.map(str::as_bytes), value, &[]));
    }
    Batch::only(builder.build().unwrap()).unwrap()
}

fn marker(base_offset: i64, producer_id: i64, commit: bool) -> Batch {
    let builder = BatchBuilder::new(Compression::None);
    let mut builder = builder
        .base_offset(base_offset, 3)
        .producer(producer_id, 0, -1)
        .transactional()
        .control();
    let key = [0, 0, 0, u8::from(commit)];
    assert!(builder.push(NOW, Some(&key), Some(&[0, 0, 0, 0, 0, 5]), &[]));
    Batch::only(builder.build().unwrap()).unwrap()
}

fn map(offsets: &[(&str, Offset)], latest: Offset) -> OffsetMap {
    let mut map = OffsetMap::new(1 << 16, 0.9, 1000);
    for (key, offset) in offsets {
        map.put(key.as_bytes(), *offset).unwrap();
    }
    map.set_latest_offset(latest);
    map
}

fn filter_at(
    now_ms: i64,
    map: &OffsetMap,
    last_records: &LastRecords,
    transactions: &mut CleanedTransactions,
    batch: &Batch,
) -> Option<Batch> {
    let rules = Rules {
        map,
        last_records,
        now_ms,
        delete_retention_ms: RETENTION,
        keeps_old_tombstones: true,
    };
    let filtered = rules.filter(batch, transactions).unwrap();
    let kept = filtered.batch.map(|bytes| Batch::only(bytes).unwrap());
    if let Some(kept) = &kept {
        kept.check_crc().unwrap();
        let (old, new) = (batch.header(), kept.header());
        assert_eq!(new.base_offset, old.base_offset);
        assert_eq!(new.last_offset(), old.last_offset());
        assert_eq!(new.last_sequence(), old.last_sequence());
        assert_eq!(new.partition_leader_epoch, old.partition_leader_epoch);
    }
    kept
}

fn filter(map: &OffsetMap, batch: &Batch) -> Option<Batch> {
    let mut transactions = CleanedTransactions::default();
    filter_at(NOW, map, &LastRecords::new(), &mut transactions, batch)
}

fn offsets(batch: &Batch) -> Vec<Offset> {
    let records = batch.records(1 << 20).unwrap();
    records.map(|record| record.unwrap().offset).collect()
}

#[test]
fn the_last_record_of_each_key_stays() {
    let latest = map(&[("a", 12), ("b", 11), ("c", 99)], 99);
    let whole = batch(11, &["b", "a"], |b| b);
    assert_eq!(filter(&latest, &whole).unwrap().bytes(), whole.bytes());
    let mixed = filter(&latest, &batch(10, &["a", "b", "a", "", "c"], |b| b)).unwrap();
    assert_eq!(offsets(&mixed), [11, 12]);
    assert_eq!(mixed.header().max_timestamp, NOW + 2);
    assert!(filter(&latest, &batch(10, &["c", "", "c"], |b| b)).is_none());
    // What the pass has not looked at stays, and so does an unknown key.
    let behind = batch(98, &["a", "", "c"], |b| b);
    assert_eq!(offsets(&filter(&latest, &behind).unwrap()), [98, 100]);
    assert!(filter(&map(&[], 5), &batch(3, &["x"], |b| b)).is_some());
}

#[test]
fn every_codec_and_kind_of_time_survives_a_rewrite() {
    let latest = map(&[("a", 12), ("b", 11)], 99);
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let mut builder = BatchBuilder::new(codec)
            .base_offset(10, 3)
            .log_append_time(NOW + 70);
        for key in ["a", "b", "a"] {
            assert!(builder.push(NOW, Some(key.as_bytes()), Some(b"v"), &[]));
        }
        let original = Batch::only(builder.build().unwrap()).unwrap();
        let kept = filter(&latest, &original).unwrap();
        assert_eq!(kept.header().compression(), codec);
        assert_eq!(kept.header().max_timestamp, NOW + 70);
        assert_eq!(kept.header().timestamp_type(), TimestampType::LogAppendTime);
        let record = kept.records(1000).unwrap().next().unwrap().unwrap();
        assert_eq!((record.offset, record.timestamp), (11, NOW + 70));
    }
}

#[test]
fn a_tombstone_goes_once_its_horizon_has_passed() {
    let latest = map(&[("a", 10), ("b", 11)], 99);
    let none = LastRecords::new();
    let mut transactions = CleanedTransactions::default();
    let mut at = |now, batch: &Batch| filter_at(now, &latest, &none, &mut transactions, batch);
    let first = at(NOW, &batch(10, &["-a", "b"], |b| b)).unwrap();
    assert_eq!(first.header().delete_horizon_ms(), Some(NOW + RETENTION));
    assert_eq!(offsets(&first), [10, 11]);
    let times = first.records(1000).unwrap().map(|r| r.unwrap().timestamp);
    assert_eq!(times.collect::<Vec<_>>(), [NOW, NOW + 1]);
    let second = at(NOW + RETENTION - 1, &first).unwrap();
    assert_eq!(second.bytes(), first.bytes(), "the horizon is not moved");
    let third = at(NOW + RETENTION, &second).unwrap();
    assert_eq!(offsets(&third), [11]);
    assert_eq!(third.header().delete_horizon_ms(), Some(NOW + RETENTION));
}

#[test]
fn a_producers_last_batch_stays_without_records() {
    let latest = map(&[("a", 99)], 99);
    let by = |b: BatchBuilder| b.producer(7, 2, 40);
    let last = batch(10, &["a", "a"], by);
    let data_offset = |offset| LastRecord {
        data_offset: Some(offset),
        epoch: 2,
    };
    for (known, stays) in [
        (LastRecords::from([(7, data_offset(11))]), true),
        (LastRecords::from([(7, data_offset(50))]), false),
        (LastRecords::new(), false),
    ] {
        let mut transactions = CleanedTransactions::default();
        let kept = filter_at(NOW, &latest, &known, &mut transactions, &last);
        assert_eq!(kept.is_some(), stays, "{known:?}");
        let Some(kept) = kept else { continue };
        assert_eq!(kept.header().record_count, 0);
        assert_eq!(kept.header().producer_id, 7);
        assert_eq!(kept.header().base_sequence, 40);
        assert_eq!(kept.header().max_timestamp, last.header().max_timestamp);
        let again = filter_at(NOW, &latest, &known, &mut transactions, &kept).unwrap();
        assert_eq!(again.bytes(), kept.bytes());
    }
}

fn aborted(producer_id: i64, first_offset: Offset, last_offset: Offset) -> AbortedTransaction {
    AbortedTransaction {
        producer_id,
        first_offset,
        last_offset,
        last_stable_offset: last_offset + 1,
    }
}

#[test]
fn aborted_records_go_and_their_marker_outlives_them() {
    let latest = map(&[("a", 10)], 99);
    let none = LastRecords::new();
    let data = batch(10, &["a"], |b| b.producer(7, 0, 0).transactional());
    let abort = marker(11, 7, false);
    let rules = |now_ms| Rules {
        map: &latest,
        last_records: &none,
        now_ms,
        delete_retention_ms: RETENTION,
        keeps_old_tombstones: true,
    };
    // The records are still there: they go, the marker and its entry stay.
    let mut transactions = CleanedTransactions::default();
    transactions.add_aborted([aborted(7, 10, 11)].into_iter());
    assert!(
        rules(NOW)
            .filter(&data, &mut transactions)
            .unwrap()
            .batch
            .is_none()
    );
    let kept = rules(NOW).filter(&abort, &mut transactions).unwrap();
    assert_eq!(kept.aborted, Some(aborted(7, 10, 11)));
    let abort = Batch::only(kept.batch.unwrap()).unwrap();
    assert_eq!(abort.header().delete_horizon_ms(), None);
    // The next pass finds none: the horizon is set, and then it goes too.
    let pass = |now_ms, batch: &Batch| {
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted([aborted(7, 10, 11)].into_iter());
        let filtered = rules(now_ms).filter(batch, &mut transactions).unwrap();
        assert_eq!(filtered.aborted, None);
        filtered.batch.map(|bytes| Batch::only(bytes).unwrap())
    };
    let abort = pass(NOW, &abort).unwrap();
    assert_eq!(abort.header().delete_horizon_ms(), Some(NOW + RETENTION));
    let abort = pass(NOW + RETENTION - 1, &abort).unwrap();
    assert_eq!(pass(NOW + RETENTION, &abort).map(|_| ()), None);
}

#[test]
fn a_commit_marker_stays_while_its_transaction_has_batches() {
    let latest = map(&[("a", 10)], 99);
    let data = batch(10, &["a"], |b| b.producer(7, 0, 0).transactional());
    let commit = marker(11, 7, true);
    let mut transactions = CleanedTransactions::default();
    let none = LastRecords::new();
    let mut at = |batch: &Batch| filter_at(NOW, &latest, &none, &mut transactions, batch);
    assert_eq!(at(&data).unwrap().bytes(), data.bytes());
    assert_eq!(at(&commit).unwrap().bytes(), commit.bytes());
    // A second one has nothing before it: it gets its horizon.
    let lonely = at(&marker(12, 7, true)).unwrap();
    assert_eq!(lonely.header().delete_horizon_ms(), Some(NOW + RETENTION));
}

#[test]
fn a_marker_that_stands_for_its_producer_stays_empty() {
    let latest = map(&[], 99);
    let last = LastRecord {
        data_offset: None,
        epoch: 0,
    };
    let known = LastRecords::from([(7, last)]);
    let mut transactions = CleanedTransactions::default();
    let mut at = |now, batch: &Batch| filter_at(now, &latest, &known, &mut transactions, batch);
    let lonely = at(NOW, &marker(12, 7, true)).unwrap();
    let empty = at(NOW + RETENTION, &lonely).unwrap();
    assert_eq!(empty.header().record_count, 0);
    assert!(empty.header().is_control());
    assert!(at(NOW + 2 * RETENTION, &empty).is_some());
}
