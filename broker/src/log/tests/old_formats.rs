//! Directories that Apache Kafka 1.1.1 wrote with `message.format.version`
//! 0.9.0 and 0.10.0: one producer for each codec, three records each, then a
//! tombstone and a record without a key.

use std::fs;

use super::kafka::write_files;
use super::*;
use crate::record::legacy::{Format, down_convert};
use crate::record::{Batches, MAGIC};

const DUMPS: [(i8, &str); 2] = [
    (0, include_str!("kafka-1.1.1-format-0.hex")),
    (1, include_str!("kafka-1.1.1-format-1.hex")),
];
const CODECS: [&str; 4] = ["none", "gzip", "snappy", "lz4"];
const COUNT: i64 = 14;
const TIME: i64 = 1_700_000_000_000;

fn written(dump: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_files(dir.path(), dump);
    dir
}

/// What the producers sent: offset, time, key and value.
fn expected(magic: i8) -> Vec<Record> {
    let time = |time| if magic == 0 { -1 } else { time };
    let record = |offset, timestamp, key: Option<&str>, value: Option<String>| Record {
        offset,
        timestamp: time(timestamp),
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        value: value.map(Bytes::from),
        headers: Vec::new(),
    };
    let mut records = Vec::new();
    for (place, codec) in (0..).zip(CODECS) {
        for number in 1..=3 {
            let key = format!("key{number}");
            let value = format!("value-{codec}-{number}-{}", "a".repeat(29));
            let offset = 3 * place + number - 1;
            let at = TIME + 100 * place + 10 * number;
            records.push(record(offset, at, Some(&key), Some(value)));
        }
    }
    records.push(record(12, TIME + 1000, Some("key1"), None));
    records.push(record(13, TIME + 1001, None, Some("nokey".to_owned())));
    records
}

fn check(log: &Log, magic: i8) {
    assert_eq!(log.log_end_offset(), COUNT);
    assert_eq!(log.latest_epoch(), None);
    assert_eq!(all_records(log), expected(magic));
    let formats: Vec<_> = all_batches(log).iter().map(|b| b.header().magic).collect();
    // Three plain ones, three wrappers, two plain ones.
    assert_eq!(formats, [magic; 8]);
}

#[test]
fn directories_of_an_old_kafka_open_and_are_read() {
    for (magic, dump) in DUMPS {
        let dir = written(dump);
        let log = open_clean(dir.path(), &LogConfig::default());
        assert_eq!(log.recovery(), &Recovery::default());
        check(&log, magic);
        // A reader may ask for the middle of a wrapper, and gets all of it.
        let read = log.read(7, EVERYTHING).unwrap();
        let bytes = read.slice.unwrap().read().unwrap();
        let first = Batches::strict(bytes).next().unwrap().unwrap();
        assert_eq!(
            first.records(1000).unwrap().next().unwrap().unwrap().offset,
            6
        );
    }
}

#[test]
fn recovery_of_old_formats_arrives_at_the_same_records_and_times() {
    for (magic, dump) in DUMPS {
        let dir = written(dump);
        let of_kafka = fs::read(dir.path().join("00000000000000000000.timeindex")).unwrap();
        for suffix in ["index", "timeindex"] {
            fs::remove_file(dir.path().join(format!("00000000000000000000.{suffix}"))).unwrap();
        }
        let config = LogConfig {
            index_interval_bytes: 200,
            ..LogConfig::default()
        };
        let mut log = open(dir.path(), &config);
        assert_eq!(log.recovery().segments_scanned, 1);
        assert_eq!(log.recovery().damage, None);
        check(&log, magic);
        log.close(NOW).unwrap();
        let ours = fs::read(dir.path().join("00000000000000000000.timeindex")).unwrap();
        // The last entry is the largest time's; how dense the others are
        // depends on how the records were appended.
        assert_eq!(ours.last_chunk::<12>(), of_kafka.last_chunk::<12>());
    }
}

#[test]
fn a_cut_at_every_byte_of_old_formats_leaves_whole_entries() {
    for (magic, dump) in DUMPS {
        let dir = written(dump);
        let path = dir.path().join("00000000000000000000.log");
        let full = fs::read(&path).unwrap();
        let ends: Vec<(usize, i64)> = {
            let log = open_clean(dir.path(), &LogConfig::default());
            let sizes = all_batches(&log).into_iter().scan(0, |end, batch| {
                *end += batch.bytes().len();
                Some((*end, batch.header().next_offset()))
            });
            sizes.collect()
        };
        for length in 0..=full.len() {
            let copy = tempfile::tempdir().unwrap();
            let file = copy.path().join("00000000000000000000.log");
            fs::write(&file, &full[..length]).unwrap();
            let mut log = open(copy.path(), &LogConfig::default());
            let whole = ends.iter().rev().find(|(end, _)| *end <= length);
            let end = whole.map_or(0, |(_, next)| *next);
            assert_eq!(log.log_end_offset(), end, "format {magic}, cut at {length}");
            assert_eq!(all_records(&log), expected(magic)[..end as usize]);
            assert_eq!(append(&mut log, batch(1, 1, NOW)).first_offset, end);
        }
    }
}

#[test]
fn flipped_bits_of_old_formats_are_never_served() {
    for (magic, dump) in DUMPS {
        let expected = expected(magic);
        let dir = written(dump);
        let full = fs::read(dir.path().join("00000000000000000000.log")).unwrap();
        for at in 0..full.len() {
            let copy = tempfile::tempdir().unwrap();
            let mut bytes = full.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(copy.path().join("00000000000000000000.log"), bytes).unwrap();
            let mut log = open(copy.path(), &LogConfig::default());
            // An entry's offset lies outside its checksum, as in Kafka.
            for (got, wanted) in all_records(&log).iter().zip(&expected) {
                assert_eq!(
                    (&got.key, &got.value),
                    (&wanted.key, &wanted.value),
                    "byte {at}"
                );
            }
            append(&mut log, batch(1, 1, NOW));
        }
    }
}

#[test]
fn new_records_follow_old_ones_and_a_truncation_cuts_between_entries() {
    for (magic, dump) in DUMPS {
        let dir = written(dump);
        let mut log = open_clean(dir.path(), &LogConfig::default());
        assert_eq!(append(&mut log, batch(2, 5, NOW)).first_offset, COUNT);
        assert_eq!(log.latest_epoch(), Some(0));
        drop(log);
        let mut log = open(dir.path(), &LogConfig::default());
        assert_eq!(all_records(&log)[..14], expected(magic));
        assert_eq!(log.log_end_offset(), COUNT + 2);
        assert_eq!(log.end_offset_for(0).unwrap().end_offset, COUNT + 2);
        // The epoch of new records says nothing about those before it.
        let earliest = log.offset_for_time(EARLIEST_TIMESTAMP).unwrap().unwrap();
        assert_eq!((earliest.offset, earliest.leader_epoch), (0, None));
        log.truncate_to(7, NOW).unwrap();
        assert_eq!(log.log_end_offset(), 7);
        assert_eq!(all_records(&log), expected(magic)[..6]);
    }
}

#[test]
fn times_are_found_in_format_1_and_never_in_format_0() {
    for (magic, dump) in DUMPS {
        let dir = written(dump);
        let mut log = open_clean(dir.path(), &LogConfig::default());
        for record in expected(magic) {
            let asked = record.timestamp.max(TIME);
            let found = log.offset_for_time(asked).unwrap();
            assert_eq!(
                found.map(|f| f.offset),
                (magic == 1).then_some(record.offset)
            );
        }
        let latest = log.offset_for_time(MAX_TIMESTAMP).unwrap();
        assert_eq!(
            latest.map(|f| (f.offset, f.leader_epoch)),
            (magic == 1).then_some((13, None))
        );
        // Deleted records are gone also in the middle of a wrapper.
        log.maybe_increment_log_start_offset(7).unwrap();
        let found = log.offset_for_time(TIME).unwrap();
        assert_eq!(found.map(|f| f.offset), (magic == 1).then_some(7));
    }
}

#[test]
fn a_follower_takes_old_entries_and_rolls_before_them() {
    for (magic, dump) in DUMPS {
        let source = written(dump);
        let bytes = fs::read(source.path().join("00000000000000000000.log")).unwrap();
        let (_dir, mut log) = new_log(&small());
        append(&mut log, batch(3, 400, NOW));
        log.truncate_fully_and_start_at(0, NOW).unwrap();
        let info = log
            .append_as_follower(Bytes::from(bytes), NOW)
            .unwrap()
            .unwrap();
        assert_eq!(info.last_offset, COUNT - 1);
        check(&log, magic);
        // A wrapper that opens a segment: its first offset must belong to it.
        let wrapper = all_batches(&log)[4].bytes().clone();
        let (_dir, mut log) = new_log(&LogConfig {
            segment_bytes: 300,
            ..small()
        });
        log.truncate_fully_and_start_at(4, NOW).unwrap();
        let mut filler = BatchBuilder::new(Compression::None).base_offset(5, 0);
        assert!(filler.push(NOW, None, Some(&[b'v'; 150]), &[]));
        let filler = filler.build().unwrap();
        log.append_as_follower(filler, NOW).unwrap();
        log.append_as_follower(wrapper, NOW).unwrap();
        assert_eq!(log.segment_count(), 2);
        let records = all_records(&log);
        assert_eq!(records[1..], expected(magic)[6..9]);
        let read = log.read(6, EVERYTHING).unwrap();
        assert!(read.slice.is_some());
    }
}

#[test]
fn old_entries_go_to_old_readers_as_they_are_and_format_1_comes_down() {
    for (magic, dump) in DUMPS {
        let dir = written(dump);
        let bytes = fs::read(dir.path().join("00000000000000000000.log")).unwrap();
        let bytes = Bytes::from(bytes);
        for format in [Format::V0, Format::V1] {
            let down = down_convert(bytes.clone(), format, 0, 1 << 20).unwrap();
            let is_kept = format as i8 >= magic;
            assert_eq!(down.set == bytes, is_kept);
            let records: Vec<_> = Batches::strict(Bytes::from(down.set))
                .flat_map(|entry| entry.unwrap().records(1 << 20).unwrap())
                .map(Result::unwrap)
                .collect();
            assert_eq!(records, self::expected(magic.min(format as i8)));
        }
    }
}

#[test]
fn producers_cannot_append_an_old_entry_as_a_batch() {
    let dir = written(DUMPS[1].1);
    let log = open_clean(dir.path(), &LogConfig::default());
    let entry = all_batches(&log)[0].bytes().clone();
    assert_ne!(all_batches(&log)[0].header().magic, MAGIC);
    let (_dir, mut log) = new_log(&LogConfig::default());
    let refused = log.append_as_leader(entry, 0, AppendOrigin::Client, NOW);
    assert!(matches!(refused, Err(AppendError::UnsupportedMagic(1))));
    assert_eq!(log.log_end_offset(), 0);
}
