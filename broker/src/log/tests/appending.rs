use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::storage::SegmentFile;
use super::*;
use crate::record::TimestampType;

fn refused(log: &mut Log, bytes: Bytes) -> AppendError {
    let before = log.log_end_offset();
    let refused = log.append_as_leader(bytes, 0, AppendOrigin::Client, NOW);
    assert_eq!(log.log_end_offset(), before);
    refused.unwrap_err()
}

#[test]
fn offsets_and_epoch_are_given_by_the_leader() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    let first = append(&mut log, batch(3, 10, NOW));
    assert_eq!((first.first_offset, first.last_offset), (0, 2));
    let second = log
        .append_as_leader(batch(2, 10, NOW), 5, AppendOrigin::Client, NOW)
        .unwrap();
    assert_eq!((second.first_offset, second.last_offset), (3, 4));
    assert_eq!(second.log_append_time, -1);
    let batches = all_batches(&log);
    assert_eq!(batches[1].header().partition_leader_epoch, 5);
    assert_eq!(log.latest_epoch(), Some(5));
    assert_eq!(log.end_offset_for(0).map(|e| e.end_offset), Some(3));
    assert_eq!(log.log_end_offset(), 5);
}

#[test]
fn bad_batches_are_refused_and_leave_nothing() {
    let config = LogConfig {
        max_message_bytes: 500,
        ..LogConfig::default()
    };
    let (_dir, mut log) = new_log(&config);
    let good = batch(2, 10, NOW);
    let with = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        Bytes::from(bytes)
    };
    assert!(matches!(
        refused(&mut log, with(70, 9)),
        AppendError::Corrupt(_)
    ));
    assert!(matches!(
        refused(&mut log, with(16, 1)),
        AppendError::UnsupportedMagic(1)
    ));
    assert!(matches!(
        refused(&mut log, with(16, 3)),
        AppendError::Corrupt(_)
    ));
    assert!(matches!(
        refused(&mut log, good.slice(..good.len() - 1)),
        AppendError::InvalidRecord(_)
    ));
    assert!(matches!(
        refused(&mut log, with(22, 7)),
        AppendError::UnsupportedCompression(7)
    ));
    assert!(matches!(
        refused(&mut log, with(7, 1)),
        AppendError::InvalidRecord(_)
    ));
    let two = Bytes::from([&good[..], &good[..]].concat());
    assert!(matches!(
        refused(&mut log, two),
        AppendError::InvalidRecord(_)
    ));
    assert!(matches!(
        refused(&mut log, Bytes::new()),
        AppendError::InvalidRecord(_)
    ));
    let large = batch(1, 600, NOW);
    assert!(matches!(
        refused(&mut log, large),
        AppendError::TooLarge { .. }
    ));
    let mut control = BatchBuilder::new(Compression::None).control();
    assert!(control.push(NOW, Some(b"\0\0\0\x01"), Some(b"\0\0\0\0\0\0"), &[]));
    let control = control.build().unwrap();
    assert!(matches!(
        refused(&mut log, control),
        AppendError::InvalidRecord(_)
    ));
    append(&mut log, good);
    assert_eq!(all_records(&log).len(), 2);
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let (_dir, mut log) = new_log(&small());
    let refusal = refused(&mut log, batch(1, 3000, NOW));
    assert!(matches!(refusal, AppendError::LargerThanSegment { .. }));
}

#[test]
fn compacted_topics_want_keys_and_bounded_topics_recent_records() {
    let mut builder = BatchBuilder::new(Compression::Gzip);
    assert!(builder.push(NOW, None, Some(b"v"), &[]));
    let keyless = builder.build().unwrap();
    let (_dir, mut log) = new_log(&LogConfig {
        compact: true,
        ..LogConfig::default()
    });
    assert!(matches!(
        refused(&mut log, keyless),
        AppendError::InvalidRecords(faults) if faults == [RecordFault::WithoutKey { index: 0 }]
    ));
    append(&mut log, batch(1, 1, NOW));

    let (_dir, mut log) = new_log(&LogConfig {
        message_timestamp_before_max_ms: 1000,
        message_timestamp_after_max_ms: 500,
        ..LogConfig::default()
    });
    for time in [NOW - 1002, NOW + 501] {
        let refusal = refused(&mut log, batch(2, 1, time));
        let AppendError::InvalidRecords(faults) = refusal else {
            panic!("{refusal}");
        };
        let (earliest, latest) = (NOW - 1000, NOW + 500);
        let fault = |index| RecordFault::Timestamp {
            index,
            timestamp: time + i64::from(index),
            earliest,
            latest,
        };
        assert_eq!(faults, [fault(0), fault(1)], "every record is named");
    }
    append(&mut log, batch(1, 1, NOW - 1000));
    append(&mut log, batch(1, 1, NOW + 500));
}

#[test]
fn the_topic_decides_on_time_and_codec() {
    let (_dir, mut log) = new_log(&LogConfig {
        message_timestamp_type: TimestampType::LogAppendTime,
        compression_type: Some(Compression::Zstd),
        ..LogConfig::default()
    });
    let info = append(&mut log, batch(4, 100, 17));
    assert_eq!(info.log_append_time, NOW);
    let batches = all_batches(&log);
    assert_eq!(batches[0].header().compression(), Compression::Zstd);
    assert!(all_records(&log).iter().all(|r| r.timestamp == NOW));
    assert_eq!(all_records(&log).len(), 4);
}

/// A batch whose records a producer claims to be stamped by the broker.
fn stamped(codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(codec).log_append_time(NOW - 5);
    assert!(builder.push(1, None, Some(b"v"), &[]));
    builder.build().unwrap()
}

#[test]
fn a_stamp_of_the_producers_is_its_records_time_or_refused() {
    for codec in [Compression::None, Compression::Lz4] {
        let (_dir, mut log) = new_log(&LogConfig::default());
        append(&mut log, stamped(codec));
        let batches = all_batches(&log);
        batches[0].check_crc().unwrap();
        let header = batches[0].header();
        assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
        assert_eq!(header.max_timestamp, NOW - 5);
        let (_dir, mut log) = new_log(&LogConfig {
            message_timestamp_type: TimestampType::LogAppendTime,
            ..LogConfig::default()
        });
        assert!(matches!(
            refused(&mut log, stamped(codec)),
            AppendError::InvalidRecords(faults)
                if faults == [RecordFault::StampedByProducer { index: 0 }]
        ));
    }
}

#[test]
fn what_a_header_says_of_plain_records_must_be_so() {
    const COUNT_AT: usize = 57;
    const LAST_DELTA_AT: usize = 23;
    const MAX_TIMESTAMP_AT: usize = 35;
    let (_dir, mut log) = new_log(&LogConfig::default());
    let good = batch(3, 10, NOW);
    let forged = |at: usize, bytes: &[u8]| {
        let mut batch = good.to_vec();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        let crc = common::checksum::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    };
    for count in [2_i32, 4] {
        let mut wrong = forged(COUNT_AT, &count.to_be_bytes());
        wrong[LAST_DELTA_AT..LAST_DELTA_AT + 4].copy_from_slice(&(count - 1).to_be_bytes());
        let crc = common::checksum::crc32c(&wrong[21..]);
        wrong[17..21].copy_from_slice(&crc.to_be_bytes());
        let refusal = refused(&mut log, wrong.into());
        assert!(
            matches!(refusal, AppendError::InvalidRecord(_)),
            "{refusal}"
        );
    }
    // The largest time is put right: searches by time rely on it.
    append(
        &mut log,
        forged(MAX_TIMESTAMP_AT, &1_i64.to_be_bytes()).into(),
    );
    let batches = all_batches(&log);
    batches[0].check_crc().unwrap();
    let latest = all_records(&log)
        .iter()
        .map(|record| record.timestamp)
        .max();
    assert_eq!(Some(batches[0].header().max_timestamp), latest);
}

#[test]
fn segments_roll_by_size_age_and_offset_range() {
    let (dir, mut log) = new_log(&small());
    for index in 0..40 {
        append(&mut log, batch(2, 100, NOW + index));
    }
    assert!(log.segment_count() > 3);
    for segment in log.segments.values().rev().skip(1) {
        let index = std::fs::metadata(segment.path("index")).unwrap().len();
        assert!(index > 0 && index < 1200 && index % 8 == 0);
        assert!(std::fs::metadata(segment.path("timeindex")).unwrap().len() % 12 == 0);
    }
    let active = log.segments.values().next_back().unwrap();
    // Its first entries are in memory until somebody syncs them.
    active.write_pending().unwrap();
    let length = std::fs::metadata(active.path("index")).unwrap().len();
    assert_eq!(length, active.index_sizes()[0] as u64);
    let mut snapshots = std::fs::read_dir(dir.path()).unwrap();
    assert!(snapshots.any(|f| {
        f.unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "snapshot")
    }));

    let before = log.segment_count();
    append(&mut log, batch(1, 1, NOW + small().segment_ms * 2));
    assert_eq!(log.segment_count(), before + 1);

    // A follower may jump further than a segment's relative offsets reach.
    let mut far = BatchBuilder::new(Compression::None).base_offset(1 << 33, 1);
    assert!(far.push(NOW, Some(b"k"), None, &[]));
    log.append_as_follower(far.build().unwrap(), NOW).unwrap();
    assert_eq!(log.log_end_offset(), (1 << 33) + 1);
    assert!(log.segments.contains_key(&(1 << 33)));
}

#[test]
fn followers_take_offsets_as_they_are_and_refuse_old_ones() {
    let (_dir, mut leader) = new_log(&LogConfig::default());
    for index in 0..5 {
        append(&mut leader, batch(2, 50, NOW + index));
    }
    let bytes = leader
        .read(0, EVERYTHING)
        .unwrap()
        .slice
        .unwrap()
        .read()
        .unwrap();
    let (_dir, mut follower) = new_log(&LogConfig::default());
    // A cut-off last batch is what a bounded fetch brings.
    let cut = bytes.slice(..bytes.len() - 5);
    let info = follower.append_as_follower(cut, NOW).unwrap().unwrap();
    assert_eq!((info.first_offset, info.last_offset), (0, 7));
    let again = follower.append_as_follower(bytes.clone(), NOW).unwrap_err();
    assert!(matches!(
        again,
        AppendError::UnexpectedOffset {
            first_offset: 0,
            ..
        }
    ));
    let rest = leader
        .read(8, EVERYTHING)
        .unwrap()
        .slice
        .unwrap()
        .read()
        .unwrap();
    follower.append_as_follower(rest, NOW).unwrap();
    let copied = follower
        .read(0, EVERYTHING)
        .unwrap()
        .slice
        .unwrap()
        .read()
        .unwrap();
    assert_eq!(copied, bytes);
    assert_eq!(
        follower.append_as_follower(Bytes::new(), NOW).unwrap(),
        None
    );
}

#[derive(Debug, Default)]
struct Faults {
    write: AtomicBool,
    sync: AtomicBool,
}

#[derive(Debug)]
struct FaultyDisk(Arc<Faults>);

#[derive(Debug)]
struct FaultyFile(Arc<dyn SegmentFile>, Arc<Faults>);

impl Storage for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(FaultyFile(
            Disk.create(path)?,
            Arc::clone(&self.0),
        )))
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(FaultyFile(Disk.open(path)?, Arc::clone(&self.0))))
    }
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        Disk.replace(path, content)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Disk.sync_dir(dir)
    }
}

impl SegmentFile for FaultyFile {
    fn write_at(&self, position: u64, parts: &[&[u8]]) -> io::Result<()> {
        if self.1.write.load(Ordering::SeqCst) {
            // Half of it arrives, as on a full disk.
            self.0.write_at(position, &parts[..1])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write_at(position, parts)
    }
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(position, buffer)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.0.allocate(length)
    }
    fn sync(&self) -> io::Result<()> {
        if self.1.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("EIO"));
        }
        self.0.sync()
    }
    fn as_file(&self) -> Option<&std::fs::File> {
        self.0.as_file()
    }
}

#[test]
fn a_full_disk_passes_but_a_failed_fsync_stays() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let storage = Arc::new(FaultyDisk(Arc::clone(&faults)));
    let config = LogConfig {
        flush_messages: 4,
        ..LogConfig::default()
    };
    let mut log = Log::open(params(dir.path(), &config), storage, NOW).unwrap();
    append(&mut log, batch(1, 10, NOW));
    faults.write.store(true, Ordering::SeqCst);
    assert!(matches!(
        refused(&mut log, batch(1, 10, NOW)),
        AppendError::Storage(_)
    ));
    assert_eq!(all_records(&log).len(), 1);
    faults.write.store(false, Ordering::SeqCst);
    assert_eq!(append(&mut log, batch(1, 10, NOW)).first_offset, 1);
    assert_eq!(log.recovery_point(), 0);

    faults.sync.store(true, Ordering::SeqCst);
    let failed = log.append_as_leader(batch(2, 10, NOW), 0, AppendOrigin::Client, NOW);
    assert!(matches!(failed, Err(AppendError::Storage(_))));
    faults.sync.store(false, Ordering::SeqCst);
    assert!(matches!(
        refused(&mut log, batch(1, 1, NOW)),
        AppendError::Storage(Error::Failed { .. })
    ));
    assert!(log.flush(NOW).is_err());
    assert_eq!(log.recovery_point(), 0);
}

#[test]
fn flushing_moves_the_recovery_point() {
    let (_dir, mut log) = new_log(&LogConfig {
        flush_messages: 3,
        flush_ms: 1000,
        ..LogConfig::default()
    });
    append(&mut log, batch(2, 10, NOW));
    assert_eq!(log.recovery_point(), 0);
    append(&mut log, batch(1, 10, NOW));
    assert_eq!(log.recovery_point(), 3);
    append(&mut log, batch(1, 10, NOW));
    assert!(!log.needs_flush(NOW + 999));
    assert!(log.needs_flush(NOW + 1000));
    let plan = log.flush_plan().unwrap().unwrap();
    append(&mut log, batch(1, 10, NOW));
    let result = plan.run();
    log.complete_flush(&plan, result, NOW + 1000).unwrap();
    assert_eq!(log.recovery_point(), 4);
    log.flush(NOW).unwrap();
    assert_eq!(log.recovery_point(), 5);
    assert!(log.flush_plan().unwrap().is_none());
}

/// A full disk breaks no sequence: what came behind the refused batch is refused
/// for the same reason, so that the producer keeps its epoch.
#[test]
fn what_comes_after_a_batch_without_room_is_refused_alike() {
    use super::producers::sequenced;
    let dir = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let storage = Arc::new(FaultyDisk(Arc::clone(&faults)));
    let params = params(dir.path(), &LogConfig::default());
    let mut log = Log::open(params, storage, NOW).unwrap();
    let mut send =
        |sequence| log.append_as_leader(sequenced(7, 0, sequence, 1), 0, AppendOrigin::Client, NOW);
    send(0).unwrap();
    faults.write.store(true, Ordering::SeqCst);
    let no_room = |sent: Result<AppendInfo, AppendError>| {
        let error = sent.unwrap_err();
        let AppendError::Storage(Error::Io { source, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    };
    no_room(send(1));
    no_room(send(2));
    faults.write.store(false, Ordering::SeqCst);
    no_room(send(3));
    send(1).unwrap();
    send(2).unwrap();
    send(3).unwrap();
    // A producer that gave a batch up hears of the gap.
    faults.write.store(true, Ordering::SeqCst);
    no_room(send(4));
    faults.write.store(false, Ordering::SeqCst);
    for _ in 0..4 {
        no_room(send(5));
    }
    assert!(matches!(
        send(5),
        Err(AppendError::OutOfOrderSequence { .. })
    ));
}
