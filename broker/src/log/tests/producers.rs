use super::*;

pub(super) fn sequenced(id: i64, epoch: i16, sequence: i32, count: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).producer(id, epoch, sequence);
    for _ in 0..count {
        assert!(builder.push(NOW, Some(b"k"), Some(b"v"), &[]));
    }
    builder.build().unwrap()
}

fn try_append(log: &mut Log, bytes: Bytes) -> Result<AppendInfo, AppendError> {
    log.append_as_leader(bytes, 0, AppendOrigin::Client, NOW)
}

fn check_after_two_batches(log: &mut Log) {
    let again = try_append(log, sequenced(7, 1, 3, 2)).unwrap();
    assert!(again.duplicate);
    assert_eq!((again.first_offset, again.last_offset), (3, 4));
    assert!(matches!(
        try_append(log, sequenced(7, 1, 6, 1)),
        Err(AppendError::OutOfOrderSequence {
            sequence: 6,
            last_sequence: 4,
            ..
        })
    ));
    assert!(matches!(
        try_append(log, sequenced(7, 0, 5, 1)),
        Err(AppendError::InvalidProducerEpoch {
            epoch: 0,
            last_epoch: 1,
            ..
        })
    ));
    assert!(matches!(
        try_append(log, sequenced(7, 2, 5, 1)),
        Err(AppendError::OutOfOrderSequence { .. })
    ));
    assert_eq!(log.log_end_offset(), 5);
}

#[test]
fn retries_are_recognised_and_gaps_refused_also_after_a_restart() {
    let (dir, mut log) = new_log(&LogConfig::default());
    try_append(&mut log, sequenced(7, 1, 0, 3)).unwrap();
    try_append(&mut log, sequenced(7, 1, 3, 2)).unwrap();
    check_after_two_batches(&mut log);

    // As after kill -9: no snapshot, everything from the log.
    drop(log);
    let mut log = open(dir.path(), &LogConfig::default());
    check_after_two_batches(&mut log);

    log.close(NOW).unwrap();
    let mut log = open_clean(dir.path(), &LogConfig::default());
    check_after_two_batches(&mut log);
    try_append(&mut log, sequenced(7, 2, 0, 1)).unwrap();
}

/// A broker that was stopped in an orderly way knows one batch of a producer by
/// its snapshot; the producer had more under way and sends the first again.
#[test]
fn all_batches_under_way_are_recognised_after_an_orderly_restart() {
    let config = LogConfig::default();
    let (dir, mut log) = new_log(&config);
    for (sequence, count) in [(0, 1), (1, 3), (4, 1), (5, 2), (7, 1), (8, 1)] {
        try_append(&mut log, sequenced(7, 1, sequence, count)).unwrap();
        try_append(&mut log, sequenced(8, 0, sequence, count)).unwrap();
    }
    let end = log.log_end_offset();
    log.close(NOW).unwrap();
    let mut log = open_clean(dir.path(), &config);
    for (sequence, count, first) in [(1, 3, 2), (4, 1, 8), (5, 2, 10), (7, 1, 14), (8, 1, 16)] {
        let again = try_append(&mut log, sequenced(7, 1, sequence, count)).unwrap();
        assert!(again.duplicate, "{sequence}");
        assert_eq!(again.first_offset, first, "{sequence}");
    }
    // The sixth, others than were sent, another epoch, and a gap.
    for (epoch, sequence, count) in [(1, 0, 1), (1, 1, 2), (1, 4, 3), (1, 10, 1)] {
        let refused = try_append(&mut log, sequenced(7, epoch, sequence, count));
        assert!(
            matches!(refused, Err(AppendError::OutOfOrderSequence { .. })),
            "{sequence}: {refused:?}"
        );
    }
    assert_eq!(log.log_end_offset(), end);
    try_append(&mut log, sequenced(7, 1, 9, 1)).unwrap();
    assert!(
        try_append(&mut log, sequenced(7, 1, 4, 1))
            .unwrap()
            .duplicate
    );
    assert!(
        try_append(&mut log, sequenced(7, 1, 1, 3)).is_err(),
        "it is the sixth now"
    );
}

#[test]
fn five_batches_are_remembered_and_sequences_wrap() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    try_append(&mut log, sequenced(1, 0, i32::MAX - 1, 1)).unwrap();
    try_append(&mut log, sequenced(1, 0, i32::MAX, 3)).unwrap();
    for sequence in 2..6 {
        try_append(&mut log, sequenced(1, 0, sequence, 1)).unwrap();
    }
    let wrapped = try_append(&mut log, sequenced(1, 0, i32::MAX, 3)).unwrap();
    assert!(wrapped.duplicate);
    assert_eq!((wrapped.first_offset, wrapped.last_offset), (1, 3));
    let forgotten = try_append(&mut log, sequenced(1, 0, i32::MAX - 1, 1));
    assert!(matches!(
        forgotten,
        Err(AppendError::OutOfOrderSequence { .. })
    ));
}

#[test]
fn silent_producers_expire() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    try_append(&mut log, sequenced(1, 0, 0, 1)).unwrap();
    log.remove_expired_producers(NOW + 86_399_999);
    assert!(
        try_append(&mut log, sequenced(1, 0, 0, 1))
            .unwrap()
            .duplicate
    );
    log.remove_expired_producers(NOW + 86_400_000);
    assert!(
        !try_append(&mut log, sequenced(1, 0, 9, 1))
            .unwrap()
            .duplicate
    );
}

#[test]
fn truncation_takes_the_sequence_back() {
    let (_dir, mut log) = new_log(&small());
    for sequence in 0..60 {
        try_append(&mut log, sequenced(1, 0, sequence, 1)).unwrap();
    }
    assert!(log.segment_count() > 2);
    assert!(log.truncate_to(31, NOW).unwrap());
    assert!(
        try_append(&mut log, sequenced(1, 0, 30, 1))
            .unwrap()
            .duplicate
    );
    assert_eq!(
        try_append(&mut log, sequenced(1, 0, 31, 1))
            .unwrap()
            .first_offset,
        31
    );
    log.truncate_fully_and_start_at(100, NOW).unwrap();
    assert_eq!(
        try_append(&mut log, sequenced(1, 0, 5, 1))
            .unwrap()
            .first_offset,
        100
    );
}

#[test]
fn an_open_transaction_holds_the_stable_offset_until_its_marker() {
    let (dir, mut log) = new_log(&LogConfig::default());
    append(&mut log, batch(2, 1, NOW));
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(9, 0, 0)
        .transactional();
    assert!(builder.push(NOW, Some(b"k"), Some(b"v"), &[]));
    append(&mut log, builder.build().unwrap());
    assert_eq!(log.first_unstable_offset(Offset::MAX), Some(2));
    drop(log);
    let mut log = open(dir.path(), &LogConfig::default());
    assert_eq!(log.first_unstable_offset(Offset::MAX), Some(2));
    let refused = try_append(&mut log, sequenced(9, 0, 1, 1));
    assert!(matches!(
        refused,
        Err(AppendError::InvalidTxnState { producer_id: 9 })
    ));
    let mut marker = BatchBuilder::new(Compression::None)
        .producer(9, 0, -1)
        .transactional()
        .control();
    assert!(marker.push(NOW, Some(b"\0\0\0\x01"), Some(b"\0\0\0\0\0\x05"), &[]));
    log.append_as_leader(marker.build().unwrap(), 0, AppendOrigin::Coordinator, NOW)
        .unwrap();
    assert_eq!(log.first_unstable_offset(Offset::MAX), None);
    drop(log);
    let log = open(dir.path(), &LogConfig::default());
    assert_eq!(log.first_unstable_offset(Offset::MAX), None);
}

#[test]
fn readers_of_committed_records_learn_what_was_aborted() {
    let (dir, mut log) = new_log(&LogConfig::default());
    let data = |id: i64, sequence: i32| {
        let builder = BatchBuilder::new(Compression::None);
        let mut builder = builder.producer(id, 0, sequence).transactional();
        assert!(builder.push(NOW, Some(b"k"), Some(b"v"), &[]));
        builder.build().unwrap()
    };
    let end = |log: &mut Log, id: i64, commit: bool| {
        let builder = BatchBuilder::new(Compression::None);
        let mut builder = builder.producer(id, 0, -1).transactional().control();
        let key = [0, 0, 0, u8::from(commit)];
        assert!(builder.push(NOW, Some(&key), Some(b"\0\0\0\0\0\x05"), &[]));
        let bytes = builder.build().unwrap();
        log.append_as_leader(bytes, 0, AppendOrigin::Coordinator, NOW)
            .unwrap();
    };
    append(&mut log, data(1, 0)); // 0
    append(&mut log, data(2, 0)); // 1
    append(&mut log, data(3, 0)); // 2
    end(&mut log, 2, false); // 3
    end(&mut log, 1, true); // 4
    append(&mut log, data(3, 1)); // 5
    let expected = AbortedTransaction {
        producer_id: 2,
        first_offset: 1,
        last_offset: 3,
        last_stable_offset: 0,
    };
    let check = |log: &Log| {
        assert_eq!(log.aborted_transactions(0, 6).unwrap(), [expected]);
        assert_eq!(log.aborted_transactions(0, 1).unwrap(), []);
        assert_eq!(log.aborted_transactions(4, 6).unwrap(), []);
        assert_eq!(
            log.last_stable_offset(6),
            2,
            "the third transaction is open"
        );
    };
    // The ends of the others must be replicated to count.
    for (high_watermark, stable) in [(0, 0), (3, 0), (4, 0), (5, 2), (6, 2)] {
        let found = log.last_stable_offset(high_watermark);
        assert_eq!(found, stable, "high watermark {high_watermark}");
    }
    check(&log);
    log.close(NOW).unwrap();
    let index = dir.path().join("00000000000000000000.txnindex");
    let written = std::fs::read(&index).unwrap();
    drop(log);
    check(&open_clean(dir.path(), &LogConfig::default()));
    // After a crash the index is made anew, also where it was torn.
    std::fs::write(&index, &written[..20]).unwrap();
    let mut log = open(dir.path(), &LogConfig::default());
    check(&log);
    log.close(NOW).unwrap();
    assert_eq!(std::fs::read(&index).unwrap(), written);
    // A clean start trusts what it finds, unless it cannot be right.
    std::fs::write(&index, &written[..20]).unwrap();
    check(&open_clean(dir.path(), &LogConfig::default()));
    // A cut of the log cuts the index.
    let mut log = open_clean(dir.path(), &LogConfig::default());
    log.truncate_to(3, NOW).unwrap();
    assert_eq!(log.aborted_transactions(0, 6).unwrap(), []);
    assert_eq!(log.last_stable_offset(3), 0);
}
