use super::*;

pub(super) fn sequenced(id: i64, epoch: i16, sequence: i32, count: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None).producer(id, epoch, sequence);
    for _ in 0..count {
        assert!(builder.push(NOW, Some(b"k"), Some(b"v"), &[]));
    }
    builder.build().unwrap()
}

pub(super) fn try_append(log: &mut Log, bytes: Bytes) -> Result<AppendInfo, AppendError> {
    log.append_as_leader(bytes, 0, AppendOrigin::Client, NOW)
}

/// Appends the marker that ends a transaction.
fn end(
    log: &mut Log,
    id: i64,
    epoch: i16,
    coordinator_epoch: i32,
    commit: bool,
) -> Result<AppendInfo, AppendError> {
    let marker = EndTxnMarker {
        commit,
        coordinator_epoch,
        timestamp: NOW,
    };
    let batch = marker.batch(id, epoch).unwrap();
    log.append_as_leader(batch, 0, AppendOrigin::Coordinator, NOW)
}

fn transactional(id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None)
        .producer(id, epoch, sequence)
        .transactional();
    assert!(builder.push(NOW, Some(b"k"), Some(b"v"), &[]));
    builder.build().unwrap()
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
    end(&mut log, 9, 0, 5, true).unwrap();
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
    let end = |log: &mut Log, id: i64, commit: bool| end(log, id, 0, 5, commit).unwrap();
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

/// A reader of a little hears of the transactions in it, not of all that a large
/// segment holds.
#[test]
fn aborted_transactions_behind_what_was_read_are_left_out() {
    let config = LogConfig {
        index_interval_bytes: 200,
        ..LogConfig::default()
    };
    let (_dir, mut log) = new_log(&config);
    for round in 0..100 {
        append(&mut log, transactional(9, 0, round));
        end(&mut log, 9, 0, 1, round % 2 == 0).unwrap();
    }
    let bound = log.last_stable_offset(log.log_end_offset());
    let aborted = |offset: Offset, max_bytes: usize| {
        let bounds = ReadBounds {
            max_bytes,
            upper_bound: bound,
            at_least_one_batch: true,
        };
        let read = log.read(offset, bounds).unwrap();
        log.aborted_transactions_of(&read, bound).unwrap()
    };
    assert_eq!(aborted(0, usize::MAX).len(), 50);
    let few = aborted(40, 1_000);
    assert!((3..8).contains(&few.len()), "{few:?}");
    assert_eq!(few[0].first_offset, 42);
}

/// A coordinator that was replaced, or that speaks for a producer which has
/// been, must not end what came after it (KIP-98).
#[test]
fn markers_of_old_epochs_are_fenced() {
    let (dir, mut log) = new_log(&LogConfig::default());
    append(&mut log, transactional(9, 3, 0));
    let check = |log: &mut Log| {
        assert!(matches!(
            end(log, 9, 2, 7, false),
            Err(AppendError::InvalidProducerEpoch {
                epoch: 2,
                last_epoch: 3,
                ..
            })
        ));
        let fenced = end(log, 9, 3, 6, false);
        assert!(matches!(
            fenced,
            Err(AppendError::CoordinatorFenced {
                producer_id: 9,
                epoch: 6,
                last_epoch: 7,
            })
        ));
    };
    end(&mut log, 9, 3, 7, true).unwrap();
    append(&mut log, transactional(9, 3, 1));
    check(&mut log);
    log.close(NOW).unwrap();
    drop(log);
    let mut log = open_clean(dir.path(), &LogConfig::default());
    check(&mut log);
    assert_eq!(log.first_unstable_offset(Offset::MAX), Some(2));
    // The abort of a timed out transaction comes with a newer producer epoch.
    end(&mut log, 9, 4, 7, false).unwrap();
    assert_eq!(log.first_unstable_offset(Offset::MAX), None);
    assert_eq!(log.aborted_transactions(0, 9).unwrap().len(), 1);
    let late = try_append(&mut log, transactional(9, 3, 2));
    assert!(matches!(
        late,
        Err(AppendError::InvalidProducerEpoch { .. })
    ));
    // A marker without a transaction changes nothing but what is known.
    end(&mut log, 9, 4, 8, false).unwrap();
    assert_eq!(log.aborted_transactions(0, 9).unwrap().len(), 1);
    let known = log.active_producers();
    assert_eq!((known[0].epoch, known[0].coordinator_epoch), (4, 8));
}

/// After a cut below what was committed, an end that is written again is not
/// known to be replicated.
#[test]
fn a_cut_takes_back_what_was_replicated() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    append(&mut log, batch(3, 1, NOW)); // 0 to 2
    append(&mut log, transactional(9, 0, 0)); // 3
    append(&mut log, batch(3, 1, NOW)); // 4 to 6
    end(&mut log, 9, 0, 1, true).unwrap(); // 7
    assert_eq!(log.last_stable_offset(8), 8);
    assert!(log.truncate_to(7, NOW).unwrap());
    assert_eq!(log.last_stable_offset(5), 3);
    end(&mut log, 9, 0, 1, true).unwrap();
    append(&mut log, batch(1, 1, NOW));
    assert_eq!(log.last_stable_offset(5), 3);
    assert_eq!(log.last_stable_offset(8), 8);
}

fn first_of_transaction(
    log: &mut Log,
    sequence: i32,
    guard: Option<VerificationGuard>,
) -> Result<AppendInfo, AppendError> {
    let verification = Verification::Required(guard);
    let batch = transactional(9, 0, sequence);
    log.append_verified(batch, 0, AppendOrigin::Client, verification, NOW)
}

/// A transaction of which its coordinator knows nothing would never end here
/// (KIP-890).
#[test]
fn a_transaction_begins_only_with_the_guard_that_was_given() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    let refused = |result| matches!(result, Err(AppendError::NotVerified { producer_id: 9 }));
    assert!(refused(first_of_transaction(&mut log, 0, None)));
    let guard = log.begin_verification(9, 0, 0, NOW);
    assert!(guard.is_some());
    assert_eq!(log.begin_verification(9, 0, 0, NOW), guard, "one for all");
    first_of_transaction(&mut log, 0, guard).unwrap();
    // While the transaction is open nothing is asked any more.
    assert_eq!(log.begin_verification(9, 0, 1, NOW), None);
    first_of_transaction(&mut log, 1, None).unwrap();
    end(&mut log, 9, 0, 1, true).unwrap();
    // A retry is one also after the end, but what is new must be verified.
    assert!(first_of_transaction(&mut log, 1, None).unwrap().duplicate);
    assert!(refused(first_of_transaction(&mut log, 2, guard)));
    // A marker in between takes the guard away: its transaction is over.
    let stale = log.begin_verification(9, 0, 2, NOW);
    end(&mut log, 9, 0, 1, false).unwrap();
    assert!(refused(first_of_transaction(&mut log, 2, stale)));
    let fresh = log.begin_verification(9, 0, 2, NOW);
    assert_ne!(fresh, stale);
    assert!(refused(first_of_transaction(&mut log, 2, stale)));
    first_of_transaction(&mut log, 2, fresh).unwrap();
    assert_eq!(log.first_unstable_offset(Offset::MAX), Some(4));
}

/// The first of two batches could not be verified for now: the second must not
/// come into the log before it.
#[test]
fn a_later_sequence_does_not_overtake_while_verifying() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    assert!(log.begin_verification(9, 0, 0, NOW).is_some());
    let guard = log.begin_verification(9, 0, 1, NOW);
    let overtaking = first_of_transaction(&mut log, 1, guard);
    assert!(matches!(
        overtaking,
        Err(AppendError::OutOfOrderSequence {
            sequence: 1,
            last_sequence: 0,
            ..
        })
    ));
    first_of_transaction(&mut log, 0, guard).unwrap();
    first_of_transaction(&mut log, 1, None).unwrap();
    // A new epoch begins anew, and what nobody came back for is forgotten.
    assert!(log.begin_verification(8, 0, 5, NOW).is_some());
    let of_next_epoch = log.begin_verification(8, 1, 7, NOW);
    log.remove_expired_producers(NOW + 86_400_000);
    assert_ne!(log.begin_verification(8, 1, 7, NOW), of_next_epoch);
}
