use proptest::prelude::*;

use super::*;

#[test]
fn a_read_stays_below_its_bound_and_begins_at_a_batch() {
    let (_dir, mut log) = new_log(&small());
    for index in 0..30 {
        append(&mut log, batch(3, 60, NOW + index));
    }
    for offset in 0..90 {
        for upper_bound in [0, 1, 2, 3, 44, 45, 46, 89, 90, 1000] {
            let bounds = ReadBounds {
                upper_bound,
                ..EVERYTHING
            };
            let read = log.read(offset, bounds).unwrap();
            let whole_below = upper_bound.min(90) / 3 * 3;
            let Some(slice) = read.slice else {
                assert!(offset >= whole_below, "{offset} {upper_bound}");
                continue;
            };
            let batches = crate::record::Batches::strict(slice.read().unwrap());
            let headers: Vec<_> = batches.map(|b| *b.unwrap().header()).collect();
            assert_eq!(headers[0].base_offset, offset / 3 * 3);
            assert!(headers.iter().all(|h| h.last_offset() < upper_bound));
        }
    }
    assert!(log.read(90, EVERYTHING).unwrap().slice.is_none());
    for offset in [-1, 91] {
        let refused = log.read(offset, EVERYTHING).unwrap_err();
        assert!(matches!(refused, ReadError::OutOfRange { .. }));
    }
}

#[test]
fn the_first_batch_comes_whole_or_not_at_all() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    append(&mut log, batch(1, 500, NOW));
    append(&mut log, batch(1, 500, NOW));
    let size = all_batches(&log)[0].bytes().len();
    let read = |max_bytes, at_least_one_batch| {
        let bounds = ReadBounds {
            max_bytes,
            at_least_one_batch,
            ..EVERYTHING
        };
        log.read(0, bounds).unwrap()
    };
    assert!(read(10, false).slice.is_none());
    assert_eq!(read(10, false).first_batch_size, size);
    assert_eq!(read(10, true).slice.unwrap().length, size);
    assert_eq!(read(size + 7, false).slice.unwrap().length, size + 7);
}

#[test]
fn offsets_by_time_follow_the_special_names() {
    let (_dir, mut log) = new_log(&small());
    assert_eq!(log.offset_for_time(MAX_TIMESTAMP).unwrap(), None);
    for time in [100, 300, 200, 300] {
        append(&mut log, batch(2, 10, time));
    }
    let offset = |timestamp| log.offset_for_time(timestamp).unwrap().map(|t| t.offset);
    assert_eq!(offset(EARLIEST_TIMESTAMP), Some(0));
    assert_eq!(offset(LATEST_TIMESTAMP), Some(8));
    assert_eq!(offset(MAX_TIMESTAMP), Some(3));
    assert_eq!(offset(0), Some(0));
    assert_eq!(offset(101), Some(1));
    assert_eq!(offset(102), Some(2));
    assert_eq!(offset(302), None);
}

#[test]
fn retention_by_age_size_and_request_spares_what_is_not_committed() {
    let mut config = small();
    config.retention_ms = 1000;
    let (dir, mut log) = new_log(&config);
    for index in 0..40 {
        append(&mut log, batch(2, 100, NOW + index));
    }
    let segments = log.segment_count();
    assert!(segments > 3);
    assert_eq!(log.delete_old_segments(NOW + 5000, 0).unwrap(), 0);
    let second = *log.segments.keys().nth(1).unwrap();
    assert_eq!(log.delete_old_segments(NOW + 5000, second).unwrap(), 1);
    assert_eq!(log.log_start_offset(), second);
    assert!(log.read(second - 1, EVERYTHING).is_err());
    let deleted = || {
        let files = std::fs::read_dir(dir.path()).unwrap();
        files
            .filter(|f| {
                f.as_ref()
                    .unwrap()
                    .path()
                    .extension()
                    .is_some_and(|e| e == "deleted")
            })
            .count()
    };
    assert!(deleted() >= 3);
    log.delete_due_files(NOW + 5000 + config.file_delete_delay_ms - 1)
        .unwrap();
    assert!(deleted() >= 3);
    log.delete_due_files(NOW + 5000 + config.file_delete_delay_ms)
        .unwrap();
    assert_eq!(deleted(), 0);

    // Too old as a whole: an empty segment remains and offsets go on.
    let left = log.segment_count();
    assert_eq!(log.delete_old_segments(NOW + 9000, 80).unwrap(), left);
    assert_eq!((log.segment_count(), log.size()), (1, 0));
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (80, 80));
    assert_eq!(append(&mut log, batch(1, 1, NOW)).first_offset, 80);

    config.retention_ms = -1;
    config.retention_bytes = 3000;
    let (_dir, mut log) = new_log(&config);
    for index in 0..40 {
        append(&mut log, batch(2, 100, NOW + index));
    }
    assert!(log.delete_old_segments(NOW, 80).unwrap() > 0);
    assert!(log.size() >= 3000 && log.size() < 3000 + 2000);
    let third = *log.segments.keys().nth(1).unwrap();
    log.maybe_increment_log_start_offset(third + 1).unwrap();
    assert_eq!(log.delete_old_segments(NOW, 80).unwrap(), 1);
    assert_eq!(log.log_start_offset(), third + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn lookups_agree_with_a_walk_through_all_records(
        batches in proptest::collection::vec((1_i64..5, 1_usize..200, 0_i64..5000), 1..60),
        probes in proptest::collection::vec(0_i64..5200, 1..20),
        reopen in any::<bool>(),
    ) {
        let (dir, mut log) = new_log(&small());
        for (count, size, time) in batches {
            append(&mut log, batch(count, size, time));
        }
        if reopen {
            log.close(NOW).unwrap();
            log = open_clean(dir.path(), &small());
        }
        let records = all_records(&log);
        prop_assert_eq!(records.len() as i64, log.log_end_offset());
        for probe in probes {
            let expected = records.iter().find(|r| r.timestamp >= probe).map(|r| (r.timestamp, r.offset));
            let found = log.offset_for_time(probe).unwrap().map(|t| (t.timestamp, t.offset));
            prop_assert_eq!(found, expected);
            let offset = probe % log.log_end_offset();
            let read = log.read(offset, EVERYTHING).unwrap();
            let first = Batch::split_from(&mut read.slice.unwrap().read().unwrap()).unwrap();
            prop_assert!(first.header().base_offset <= offset && offset <= first.header().last_offset());
        }
        let largest = records.iter().map(|r| r.timestamp).max().unwrap();
        let expected = records.iter().find(|r| r.timestamp == largest).map(|r| r.offset);
        prop_assert_eq!(log.offset_for_time(MAX_TIMESTAMP).unwrap().map(|t| t.offset), expected);
    }
}
