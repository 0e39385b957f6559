//! When a segment is full: each condition of Kafka's `LogSegment.shouldRoll`
//! at its very edge, and what preallocated files look like.

use super::*;

const FAR: i64 = i32::MAX as i64;

/// One record at an offset and a time; the same size whatever they are.
fn record(offset: Offset, time: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).base_offset(offset, 0);
    assert!(builder.push(time, Some(b"key"), Some(&[b'v'; 50]), &[]));
    builder.build().unwrap()
}

struct Case {
    what: &'static str,
    config: fn(&mut LogConfig),
    /// Offset and time of each record, and what the clock says at its append.
    records: &'static [(Offset, i64, i64)],
    segments: &'static [Offset],
}

const CASES: &[Case] = &[
    Case {
        what: "three batches fit, the fourth does not",
        config: |config| config.segment_bytes = 3 * record(0, NOW).len() as i32,
        records: &[(0, NOW, NOW), (1, NOW, NOW), (2, NOW, NOW), (3, NOW, NOW)],
        segments: &[0, 3],
    },
    Case {
        what: "a byte less, and the third does not",
        config: |config| config.segment_bytes = 3 * record(0, NOW).len() as i32 - 1,
        records: &[(0, NOW, NOW), (1, NOW, NOW), (2, NOW, NOW), (3, NOW, NOW)],
        segments: &[0, 2],
    },
    Case {
        what: "room for one entry by time, as one more is for the roll",
        config: |config| (config.segment_index_bytes, config.index_interval_bytes) = (24, 0),
        // The first batch of a segment gets no entry.
        records: &[
            (0, NOW, NOW),
            (1, NOW + 1, NOW),
            (2, NOW + 2, NOW),
            (3, NOW + 3, NOW),
            (4, NOW + 4, NOW),
        ],
        segments: &[0, 2, 4],
    },
    Case {
        what: "entries by offset fill up also where times do not grow",
        config: |config| (config.segment_index_bytes, config.index_interval_bytes) = (36, 0),
        records: &[
            (0, NOW, NOW),
            (1, NOW, NOW),
            (2, NOW, NOW),
            (3, NOW, NOW),
            (4, NOW, NOW),
            (5, NOW, NOW),
        ],
        segments: &[0, 5],
    },
    Case {
        what: "the largest relative offset fits",
        config: |_| {},
        records: &[(0, NOW, NOW), (FAR, NOW, NOW)],
        segments: &[0],
    },
    Case {
        what: "the next one does not",
        config: |_| {},
        records: &[(0, NOW, NOW), (FAR + 1, NOW, NOW)],
        segments: &[0, FAR + 1],
    },
    Case {
        what: "segment.ms counts from the first batch's time, and must be over",
        config: |config| config.segment_ms = 1000,
        records: &[(0, 5000, NOW), (1, 6000, NOW), (2, 6001, NOW)],
        segments: &[0, 2],
    },
    Case {
        what: "the clock is not asked where records have times",
        config: |config| config.segment_ms = 1000,
        records: &[(0, 5000, NOW), (1, 5000, NOW + 5000)],
        segments: &[0],
    },
    Case {
        what: "without times it counts from the segment's creation",
        config: |config| config.segment_ms = 1000,
        records: &[(0, -1, NOW), (1, -1, NOW + 1000), (2, -1, NOW + 1001)],
        segments: &[0, 2],
    },
    Case {
        what: "an empty segment does not roll by time",
        config: |config| config.segment_ms = 1000,
        records: &[(0, -1, NOW + 9000)],
        segments: &[0],
    },
];

#[test]
fn segments_roll_at_kafkas_edges() {
    for case in CASES {
        let mut config = LogConfig::default();
        (case.config)(&mut config);
        let (_dir, mut log) = new_log(&config);
        for &(offset, time, now_ms) in case.records {
            log.append_as_follower(record(offset, time), now_ms)
                .unwrap();
        }
        let segments: Vec<_> = log.segments.keys().copied().collect();
        assert_eq!(segments, case.segments, "{}", case.what);
        assert_eq!(all_records(&log).len(), case.records.len());
    }
}

#[test]
fn a_jitter_rolls_earlier_but_not_before_its_bound() {
    let config = LogConfig {
        segment_ms: 1000,
        segment_jitter_ms: 400,
        ..LogConfig::default()
    };
    let rolls_after = |waited: i64| {
        let (_dir, mut log) = new_log(&config);
        log.append_as_follower(record(0, 5000), NOW).unwrap();
        log.append_as_follower(record(1, 5000 + waited), NOW)
            .unwrap();
        log.segment_count() == 2
    };
    assert!(!rolls_after(600));
    assert!(rolls_after(1001));
}

#[test]
fn a_preallocated_segment_has_its_full_size_until_it_is_closed() {
    let config = LogConfig {
        segment_bytes: 1000,
        preallocate: true,
        ..LogConfig::default()
    };
    let (dir, mut log) = new_log(&config);
    let length = |base: Offset| {
        let path = dir.path().join(format!("{base:020}.log"));
        std::fs::metadata(path).unwrap().len()
    };
    assert_eq!((length(0), log.size()), (1000, 0));
    let size = record(0, NOW).len() as u64;
    for offset in 0..10 {
        log.append_as_follower(record(offset, NOW), NOW).unwrap();
    }
    let last = *log.segments.last_key_value().unwrap().0;
    assert!(last > 0);
    assert_eq!(length(0), size * last as u64);
    assert_eq!(length(last), 1000);
    assert_eq!(all_records(&log).len(), 10);
    // After a crash the zeros are cut, and are no damage inside the log.
    drop(log);
    let mut log = open(dir.path(), &config);
    assert_eq!((log.log_end_offset(), all_records(&log).len()), (10, 10));
    assert!(
        log.recovery()
            .damage
            .as_ref()
            .is_none_or(|damage| !damage.inside_the_log)
    );
    assert_eq!(append(&mut log, batch(1, 1, NOW)).first_offset, 10);
    log.close(NOW).unwrap();
    let active = *log.segments.last_key_value().unwrap().0;
    assert_eq!(length(active), log.segments[&active].size());
    drop(log);
    let log = open_clean(dir.path(), &config);
    assert_eq!(log.recovery(), &Recovery::default());
    assert_eq!(log.log_end_offset(), 11);
}
