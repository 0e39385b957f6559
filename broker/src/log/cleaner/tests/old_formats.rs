//! Logs that hold message formats 0 and 1, as an old broker left them.

use std::time::Duration;

use super::*;
use crate::record::legacy::rewrite;
use crate::record::{Batch, Header, MAGIC};

const CODECS: [Compression; 4] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
];

/// Records at `offset` and behind it as one entry, or one for each.
fn entries(magic: i8, codec: Compression, offset: i64, pairs: &[(&str, Option<&str>)]) -> Bytes {
    let form = Header {
        magic,
        attributes: i16::from(codec.id()),
        ..*Batch::only(keyed(&[("k", None)])).unwrap().header()
    };
    let record = |(offset, (key, value)): (i64, &(&str, Option<&str>))| Record {
        offset,
        timestamp: if magic == 0 { -1 } else { NOW + offset },
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    };
    let records: Vec<_> = (offset..).zip(pairs).map(record).collect();
    rewrite(&form, &records).unwrap()
}

/// Ten rounds over four keys, three records in an entry.
fn fill_old(log: &LogHandle, magic: i8, codec: Compression) {
    let mut offset = 0;
    for round in 0..10 {
        let values: Vec<_> = (0..12)
            .map(|n| format!("{round}-{n}-{}", "v".repeat(20)))
            .collect();
        for (index, values) in values.chunks(3).enumerate() {
            let keys: Vec<_> = (0..3)
                .map(|n| format!("key-{}", (3 * index + n) % 4))
                .collect();
            let pairs = keys.iter().zip(values);
            let pairs: Vec<_> = pairs
                .map(|(key, value)| (&key[..], Some(&value[..])))
                .collect();
            let bytes = entries(magic, codec, offset, &pairs);
            offset += 3;
            log.write().append_as_follower(bytes, NOW).unwrap();
        }
    }
}

#[test]
fn old_formats_are_compacted_in_their_own_format_and_codec() {
    for (magic, codec) in [0, 1]
        .into_iter()
        .flat_map(|m| CODECS.map(|codec| (m, codec)))
    {
        let fixture = Fixture::new(|_| {});
        let log = fixture.log();
        fill_old(&log, magic, codec);
        // New batches behind the old entries, in the same log.
        fill(&log, 10, 4);
        let before = all_records(&log.read());
        assert!(fixture.clean() > 0);
        let after = all_records(&log.read());
        assert!(
            after.len() < before.len() / 2,
            "{} of {}",
            after.len(),
            before.len()
        );
        assert_eq!(last_of_each(&after), last_of_each(&before));
        assert!(
            after.iter().all(|record| before.contains(record)),
            "{magic} {codec}"
        );
        let old: Vec<_> = all_batches(&log.read())
            .into_iter()
            .filter(|batch| batch.header().magic != MAGIC)
            .collect();
        let own = |batch: &Batch| (batch.header().magic, batch.header().compression());
        assert!(old.iter().all(|batch| own(batch) == (magic, codec)));
        drop(log);
        let reopened = fixture.reopen();
        assert_eq!(all_records(&reopened.log().read()), after);
    }
}

#[test]
fn what_is_left_of_a_wrapper_keeps_its_offsets_and_ends_with_its_last_record() {
    for magic in [0, 1] {
        let fixture = Fixture::new(|config| config.min_cleanable_dirty_ratio = 0.0);
        let log = fixture.log();
        let first = [("a", Some("1")), ("b", Some("1")), ("c", Some("1"))];
        let bytes = entries(magic, Compression::Gzip, 0, &first);
        log.write().append_as_follower(bytes, NOW).unwrap();
        let second = entries(magic, Compression::Gzip, 3, &[("c", Some("2"))]);
        log.write().append_as_follower(second, NOW).unwrap();
        fill(&log, 60, 2);
        fixture.clean();
        let batches = all_batches(&log.read());
        let left = &batches[0];
        // As in Kafka the wrapper ends with what is left, not where it ended.
        assert_eq!(left.header().last_offset(), 1);
        let records: Vec<_> = left.records(1000).unwrap().map(Result::unwrap).collect();
        let places: Vec<_> = records.iter().map(|record| record.offset).collect();
        assert_eq!(places, [0, 1]);
        if magic == 1 {
            assert_eq!(left.header().max_timestamp, NOW + 1);
            assert_eq!(records[1].timestamp, NOW + 1);
        }
    }
}

#[test]
fn tombstones_of_old_formats_go_by_the_age_of_their_segment() {
    for magic in [0, 1] {
        let fixture = Fixture::new(|config| config.delete_retention_ms = 60_000);
        let log = fixture.log();
        let pairs = [("gone", None), ("stays", Some("v"))];
        let bytes = entries(magic, Compression::None, 0, &pairs);
        log.write().append_as_follower(bytes, NOW).unwrap();
        fill(&log, 40, 2);
        fixture.clean();
        let has_tombstone = |log: &LogHandle| {
            all_records(&log.read())
                .iter()
                .any(|record| record.offset == 0)
        };
        // Nothing was clean before, so there is no horizon yet.
        assert!(has_tombstone(&log));
        // A pass later the last clean segment is young: the tombstone stays.
        fill(&log, 40, 2);
        fixture.clean();
        assert!(has_tombstone(&log));
        // The segment with it was last written long before the clean ones.
        let path = log.read().dir().join(format!("{:020}.log", 0));
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        let long_ago = written - Duration::from_secs(3600);
        file.set_modified(long_ago).unwrap();
        let alone = log.read().segment_count();
        fill(&log, 40, 2);
        assert!(log.read().segment_count() > alone);
        fixture.clean();
        assert!(!has_tombstone(&log));
        assert!(
            all_records(&log.read())
                .iter()
                .any(|record| record.offset == 1)
        );
    }
}
