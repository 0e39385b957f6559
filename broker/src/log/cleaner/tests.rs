//! Whole cleanings on temporary directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::clock::ManualClock;
use tempfile::TempDir;

use super::super::tests::{NOW, all_batches, all_records, append, small};
use super::super::{
    AppendOrigin, Disk, FailureHook, Identity, LockedDirs, Log, LogConfig, ManagerConfig,
    OpenParams,
};
use super::*;
use crate::model::TopicName;
use crate::record::{BatchBuilder, Compression, Record};

mod interrupted;
mod old_formats;

const DIRTY_ALWAYS: LogConfigChange = |config| config.min_cleanable_dirty_ratio = 0.0;
type LogConfigChange = fn(&mut LogConfig);

struct Fixture {
    dir: TempDir,
    clock: Arc<ManualClock>,
    config: LogConfig,
    manager: Arc<Manager>,
}

fn id() -> TopicPartition {
    TopicPartition::new(TopicName::new("table").unwrap(), 0)
}

fn manager(dir: &Path, config: &LogConfig) -> Arc<Manager> {
    let settings = ManagerConfig {
        identity: Identity {
            cluster_id: "7a9JoY5vSPWT-0NdQcaWWA".to_owned(),
            broker_id: 1,
        },
        recovery_threads_per_dir: 1,
        producer_expiration_ms: 86_400_000,
        defaults: config.clone(),
        on_dir_failure: FailureHook::default(),
        boot_id: None,
    };
    let dirs = LockedDirs::acquire(&[dir.to_owned()]).unwrap();
    let config_of = |_: &str| config.clone();
    Arc::new(Manager::open(dirs, settings, Arc::new(Disk), NOW, &config_of).unwrap())
}

impl Fixture {
    fn new(change: impl Fn(&mut LogConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = LogConfig {
            compact: true,
            delete: false,
            ..small()
        };
        DIRTY_ALWAYS(&mut config);
        change(&mut config);
        Self {
            manager: manager(dir.path(), &config),
            clock: Arc::new(ManualClock::new()),
            dir,
            config,
        }
    }

    fn log(&self) -> LogHandle {
        self.manager
            .get_or_create(&id(), None, self.config.clone(), NOW)
            .unwrap()
    }

    fn cleaner(&self, dedupe_buffer_bytes: u64) -> Cleaner {
        let config = Config {
            threads: 1,
            dedupe_buffer_bytes,
            dedupe_buffer_load_factor: 0.9,
            io_buffer_bytes: 1000,
            io_bytes_per_second_max: f64::MAX,
        };
        Cleaner::new(config, Arc::clone(&self.manager), self.clock.clone())
    }

    /// Cleans until nothing is due; returns how often.
    fn clean(&self) -> usize {
        let cleaner = self.cleaner(1 << 20);
        let mut count = 0;
        while cleaner.clean_filthiest(&|_| Some(Offset::MAX)) {
            count += 1;
            // With a ratio of 0 even a clean log would be due for ever.
            if self.checkpoint() == Some(self.log().read().active_base_offset()) {
                break;
            }
        }
        assert_eq!(cleaner.uncleanable(), []);
        count
    }

    fn checkpoint(&self) -> Option<Offset> {
        let text = std::fs::read_to_string(self.checkpoint_file()).ok()?;
        let line = text.lines().nth(2)?;
        line.strip_prefix("table 0 ")?.parse().ok()
    }

    fn checkpoint_file(&self) -> PathBuf {
        self.dir.path().join("cleaner-offset-checkpoint")
    }

    fn reopen(mut self) -> Self {
        self.manager.shutdown_cleanly(-1, NOW).unwrap();
        let (dir, config) = (self.dir.path().to_owned(), self.config.clone());
        // The directory's lock goes with the old manager.
        let lender = tempfile::tempdir().unwrap();
        self.manager = manager(lender.path(), &config);
        self.manager = manager(&dir, &config);
        self
    }
}

fn keyed(pairs: &[(&str, Option<&str>)]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for (key, value) in pairs {
        let value = value.map(str::as_bytes);
        assert!(builder.push(NOW, Some(key.as_bytes()), value, &[]));
    }
    builder.build().unwrap()
}

/// `rounds` times a record for each of `keys` keys, two in a batch.
fn fill(log: &LogHandle, rounds: usize, keys: usize) {
    for round in 0..rounds {
        for key in (0..keys).step_by(2) {
            let names = [format!("key-{key}"), format!("key-{}", key + 1)];
            let value = format!("{round}-{}", "v".repeat(20));
            let pairs = names.iter().map(|name| (&name[..], Some(&value[..])));
            append(&mut log.write(), keyed(&pairs.collect::<Vec<_>>()));
        }
    }
}

/// The last record of each key among `records`.
fn last_of_each(records: &[Record]) -> BTreeMap<Bytes, Record> {
    let keyed = records.iter();
    keyed
        .map(|record| (record.key.clone().unwrap(), record.clone()))
        .collect()
}

fn names(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_last_value_of_each_key_stays_where_it_was() {
    let fixture = Fixture::new(|_| {});
    let log = fixture.log();
    fill(&log, 20, 10);
    let before = all_records(&log.read());
    let (segments, active) = {
        let log = log.read();
        (log.segment_count(), log.active_base_offset())
    };
    assert!(segments > 5);
    assert_eq!(fixture.clean(), 1);
    let after = all_records(&log.read());
    assert_eq!(last_of_each(&after), last_of_each(&before));
    assert!(after.is_sorted_by(|a, b| a.offset < b.offset));
    assert!(after.len() < before.len() / 3, "{} records", after.len());
    assert!(after.iter().all(|record| before.contains(record)));
    assert_eq!(log.read().log_end_offset(), 200);
    assert_eq!(fixture.checkpoint(), Some(active));
    log.write().roll(NOW).unwrap();
    fixture.clean();
    let (after, active) = {
        let log = log.read();
        assert!(log.segment_count() <= segments / 2, "small ones are merged");
        (all_records(&log), log.active_base_offset())
    };
    assert_eq!(last_of_each(&after), last_of_each(&before));
    let text = std::fs::read_to_string(fixture.checkpoint_file()).unwrap();
    assert_eq!(text, format!("0\n1\ntable 0 {active}\n"));
    let dir = log.read().dir().to_owned();
    assert!(
        names(&dir)
            .iter()
            .any(|name| name.ends_with(".log.deleted"))
    );
    let due = NOW + fixture.config.file_delete_delay_ms;
    log.write().delete_due_files(due).unwrap();
    for name in names(&dir) {
        assert!(!name.ends_with("ed") && !name.ends_with(".swap"), "{name}");
    }
    drop(log);
    let fixture = fixture.reopen();
    let log = fixture.log();
    assert_eq!(log.read().recovery(), &super::super::Recovery::default());
    assert_eq!(all_records(&log.read()), after);
    // Every offset is still found, at the next record that is left.
    for offset in 0..200 {
        let read = log.read().read(offset, super::super::tests::EVERYTHING);
        let batch = all_batches(&log.read());
        let first = read.unwrap().start_offset;
        let expected = batch.iter().find(|b| b.header().last_offset() >= offset);
        assert_eq!(Some(first), expected.map(|b| b.header().base_offset));
    }
}

#[test]
fn only_a_dirty_log_is_cleaned_and_only_up_to_where_it_is_stable() {
    let fixture = Fixture::new(|config| config.min_cleanable_dirty_ratio = 0.5);
    let log = fixture.log();
    fill(&log, 20, 10);
    let cleaner = fixture.cleaner(1 << 20);
    assert!(
        !cleaner.clean_filthiest(&|_| None),
        "without a high watermark"
    );
    assert!(!cleaner.clean_filthiest(&|_| Some(0)));
    assert!(cleaner.clean_filthiest(&|_| Some(100)));
    let first = fixture.checkpoint().unwrap();
    assert!(first > 0 && first <= 100, "{first}");
    let records = all_records(&log.read());
    let beyond = records.iter().filter(|record| record.offset >= 100);
    assert_eq!(beyond.count(), 100);
    assert!(cleaner.clean_filthiest(&|_| Some(200)));
    assert!(!cleaner.clean_filthiest(&|_| Some(200)), "it is clean now");
}

#[test]
fn lags_hold_a_cleaning_back_or_force_it() {
    let fixture = Fixture::new(|config| config.min_compaction_lag_ms = 60_000);
    let log = fixture.log();
    fill(&log, 20, 10);
    let cleaner = fixture.cleaner(1 << 20);
    fixture.clock.set_wall_ms(NOW + 59_999);
    assert!(!cleaner.clean_filthiest(&|_| Some(200)));
    fixture.clock.set_wall_ms(NOW + 60_000);
    assert!(cleaner.clean_filthiest(&|_| Some(200)));

    let fixture = Fixture::new(|config| {
        config.min_cleanable_dirty_ratio = 1.0;
        config.max_compaction_lag_ms = 60_000;
    });
    let log = fixture.log();
    fill(&log, 20, 10);
    let cleaner = fixture.cleaner(1 << 20);
    fixture.clock.set_wall_ms(NOW + 60_000);
    assert!(!cleaner.clean_filthiest(&|_| Some(200)));
    fixture.clock.set_wall_ms(NOW + 60_001);
    assert!(cleaner.clean_filthiest(&|_| Some(200)));
}

#[test]
fn a_small_dedupe_buffer_takes_more_passes() {
    let fixture = Fixture::new(|_| {});
    let log = fixture.log();
    fill(&log, 2, 200);
    let before = all_records(&log.read());
    let active = log.read().active_base_offset();
    let cleaner = fixture.cleaner(50 * 24);
    let mut passes = 0;
    let mut last = 0;
    while fixture.checkpoint() != Some(active) {
        assert!(cleaner.clean_filthiest(&|_| Some(Offset::MAX)));
        assert!(fixture.checkpoint().unwrap() > last, "no progress");
        last = fixture.checkpoint().unwrap();
        passes += 1;
        let now = all_records(&log.read());
        assert_eq!(last_of_each(&now), last_of_each(&before));
    }
    assert!(passes > 5, "{passes} passes");
}

#[test]
fn tombstones_and_duplicates_of_producers_survive_restarts() {
    let fixture = Fixture::new(|_| {});
    let log = fixture.log();
    let by_producer = |sequence: i32, key: &str, value: Option<&[u8]>| {
        let mut builder = BatchBuilder::new(Compression::None).producer(7, 0, sequence);
        assert!(builder.push(NOW, Some(key.as_bytes()), value, &[]));
        builder.build().unwrap()
    };
    append(&mut log.write(), by_producer(0, "key-0", Some(b"first")));
    append(&mut log.write(), by_producer(1, "key-1", None));
    fill(&log, 20, 2);
    fixture.clock.set_wall_ms(NOW);
    fixture.clean();
    let last = all_batches(&log.read())
        .into_iter()
        .find(|batch| batch.header().last_offset() == 1)
        .expect("the last batch of the producer stays");
    assert_eq!(last.header().record_count, 0);
    drop(log);
    let fixture = fixture.reopen();
    let log = fixture.log();
    let again = append(&mut log.write(), by_producer(1, "key-1", None));
    assert!(again.duplicate);
    assert_eq!(again.first_offset, 1);
    assert_eq!(
        append(&mut log.write(), by_producer(2, "k", None)).first_offset,
        42
    );
}

#[test]
fn aborted_transactions_leave_and_their_index_follows() {
    let fixture = Fixture::new(|_| {});
    let log = fixture.log();
    let data = |sequence: i32, value: &[u8]| {
        let builder = BatchBuilder::new(Compression::None);
        let mut builder = builder.producer(7, 0, sequence).transactional();
        assert!(builder.push(NOW, Some(b"key-0"), Some(value), &[]));
        builder.build().unwrap()
    };
    let end = |commit: bool| {
        let builder = BatchBuilder::new(Compression::None);
        let mut builder = builder.producer(7, 0, -1).transactional().control();
        let key = [0, 0, 0, u8::from(commit)];
        assert!(builder.push(NOW, Some(&key), Some(&[0, 0, 0, 0, 0, 5]), &[]));
        let bytes = builder.build().unwrap();
        log.write()
            .append_as_leader(bytes, 0, AppendOrigin::Coordinator, NOW)
            .unwrap();
    };
    append(&mut log.write(), data(0, b"committed"));
    end(true);
    append(&mut log.write(), data(1, b"aborted"));
    append(&mut log.write(), data(2, b"aborted"));
    end(false);
    assert_eq!(log.read().aborted_transactions(0, 100).unwrap().len(), 1);
    let filler: Vec<_> = (0..60).map(|n| format!("other-{n}")).collect();
    for name in &filler {
        append(
            &mut log.write(),
            keyed(&[(name, Some("value-of-some-length"))]),
        );
    }
    fixture.clean();
    let values: Vec<_> = all_records(&log.read())
        .into_iter()
        .filter(|record| record.key.as_deref() == Some(b"key-0"))
        .collect();
    assert_eq!(values.len(), 1);
    assert_eq!(values[0].value.as_deref(), Some(&b"committed"[..]));
    let aborted = log.read().aborted_transactions(0, 100).unwrap();
    assert_eq!((aborted[0].first_offset, aborted[0].last_offset), (2, 4));
    let dir = log.read().dir().to_owned();
    assert!(names(&dir).contains(&"00000000000000000000.txnindex".to_owned()));
    // Its last batch stays while the producer may go on. Once that is gone, the
    // next pass finds nothing of the transaction, and its entry goes.
    let later = NOW + 2 * 86_400_000;
    append(&mut log.write(), keyed(&[("other-0", Some("again"))]));
    log.write().roll(NOW).unwrap();
    fixture.clean();
    assert_eq!(log.read().aborted_transactions(0, 100).unwrap(), aborted);
    log.write().remove_expired_producers(later);
    for _ in 0..2 {
        append(&mut log.write(), keyed(&[("other-0", Some("again"))]));
        log.write().roll(NOW).unwrap();
        fixture.clean();
    }
    assert_eq!(log.read().aborted_transactions(0, 100).unwrap(), []);
}
