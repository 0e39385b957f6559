//! Measurements and material for other tools; run by hand, in release:
//! `cargo test --release -p broker log::tests::bench -- --ignored --nocapture`.

use super::*;

fn measure(name: &str, records: i64, size: usize, rounds: u32) {
    let (_dir, mut log) = new_log(&LogConfig::default());
    let bytes = batch(records, size, NOW);
    let clock = common::clock::system();
    for _ in 0..rounds / 10 {
        append(&mut log, bytes.clone());
    }
    let start = clock.monotonic();
    for _ in 0..rounds {
        append(&mut log, bytes.clone());
    }
    let seconds = (clock.monotonic() - start).as_secs_f64();
    let megabytes = f64::from(rounds) * bytes.len() as f64 / 1e6;
    println!(
        "{name}: {:.0} MB/s, {:.2} us per append, {:.0} records/s",
        megabytes / seconds,
        seconds * 1e6 / f64::from(rounds),
        f64::from(rounds) * records as f64 / seconds
    );
}

#[test]
#[ignore = "a measurement"]
fn append_throughput() {
    for _ in 0..3 {
        measure("1 KB x 1000", 1000, 1000, 1000);
        measure("100 B x 10", 10, 100, 200_000);
    }
}

/// What it costs that a client's compressed records are looked at.
#[test]
#[ignore = "a measurement"]
fn validation_of_compressed_batches() {
    for (records, size, rounds) in [(1000, 100, 2000), (10, 100, 50_000)] {
        for codec in [1, 2, 3, 4].map(|id| Compression::from_id(id).unwrap()) {
            let mut builder = BatchBuilder::new(codec);
            for index in 0..records {
                let text = format!(
                    "{{\"user\": {}, \"page\": \"/items/{index}\"}}",
                    index * 7919
                );
                let value = text.repeat(4);
                assert!(builder.push(NOW, None, Some(&value.as_bytes()[..size]), &[]));
            }
            let batch = Batch::only(builder.build().unwrap()).unwrap();
            let clock = common::clock::system();
            let start = clock.monotonic();
            for _ in 0..rounds {
                batch.walk(1 << 24, |_| {}).unwrap();
            }
            let seconds = (clock.monotonic() - start).as_secs_f64();
            println!(
                "{codec}, {records} x {size} B: {:.1} us per batch of {} bytes, {:.2} s per GB of records",
                seconds * 1e6 / f64::from(rounds),
                batch.bytes().len(),
                seconds * 1e9 / (f64::from(rounds) * (records * size) as f64),
            );
        }
    }
}

/// Leaves a clean and an unclean directory for Kafka's `DumpLogSegments`.
#[test]
#[ignore = "needs LOG_TEST_DIR"]
fn leave_a_log_for_other_tools() {
    let root = std::path::PathBuf::from(std::env::var("LOG_TEST_DIR").unwrap());
    for name in ["clean-0", "active-0"] {
        let mut log = open(
            &root.join(name),
            &LogConfig {
                segment_bytes: 20_000,
                segment_index_bytes: 4096,
                index_interval_bytes: 500,
                ..LogConfig::default()
            },
        );
        for index in 0..200_u8 {
            let codec = Compression::from_id(index % 5).unwrap();
            let mut builder =
                BatchBuilder::new(codec).producer(i64::from(index % 3), 0, i32::from(index / 3));
            assert!(builder.push(
                NOW + i64::from(index),
                Some(&[b'k', index]),
                Some(&[b'v'; 300]),
                &[]
            ));
            let epoch = i32::from(index / 50);
            let bytes = builder.build().unwrap();
            log.append_as_leader(bytes, epoch, AppendOrigin::Client, NOW)
                .unwrap();
        }
        if name == "clean-0" {
            log.close(NOW).unwrap();
        }
    }
}

/// Appends to a directory that Kafka closed, and closes it for Kafka.
#[test]
#[ignore = "needs LOG_TEST_DIR, the log directory of broker 1 of a real Kafka"]
fn continue_the_directory_of_a_real_kafka() {
    let dir = std::path::PathBuf::from(std::env::var("LOG_TEST_DIR").unwrap());
    let text = std::fs::read_to_string(dir.join("meta.properties")).unwrap();
    let cluster_id = text.lines().find_map(|l| l.strip_prefix("cluster.id="));
    let config = ManagerConfig {
        identity: Identity {
            cluster_id: cluster_id.unwrap().to_owned(),
            broker_id: 1,
        },
        recovery_threads_per_dir: 1,
        producer_expiration_ms: 86_400_000,
        defaults: LogConfig::default(),
        on_dir_failure: FailureHook::default(),
        boot_id: None,
    };
    let manager = Manager::open(
        LockedDirs::acquire(&[dir]).unwrap(),
        config,
        Arc::new(Disk),
        NOW,
        &|_| LogConfig {
            segment_bytes: 100_000,
            ..LogConfig::default()
        },
    );
    let manager = manager.unwrap();
    let log = manager.get(&partition()).unwrap();
    assert_eq!(log.read().recovery().damage, None);
    println!("{:?}", log.read().recovery());
    let now = common::clock::system().wall_ms();
    let epoch = log.read().latest_epoch().unwrap_or(0);
    for index in 0..500 {
        let bytes = batch(2, 300, now + index);
        let mut log = log.write();
        log.append_as_leader(bytes, epoch, AppendOrigin::Client, now)
            .unwrap();
    }
    let end = log.read().log_end_offset();
    manager
        .checkpoint_high_watermarks(&[(partition(), end)].into())
        .unwrap();
    manager.shutdown_cleanly(-1, now).unwrap();
}

/// Fills a small file system until appends fail, frees it, goes on.
#[test]
#[ignore = "needs LOG_TEST_DIR on a file system of a few MB"]
fn a_full_disk_is_an_error_and_passes() {
    let root = std::path::PathBuf::from(std::env::var("LOG_TEST_DIR").unwrap());
    let ballast = root.join("ballast");
    std::fs::write(&ballast, vec![1; 1 << 20]).unwrap();
    let config = LogConfig {
        segment_bytes: 1 << 20,
        index_interval_bytes: 0,
        ..LogConfig::default()
    };
    let mut log = open(&root.join("orders-0"), &config);
    let mut appended = 0;
    let mut failures = 0;
    while failures < 100 {
        let bytes = batch(1, 300, NOW);
        match log.append_as_leader(bytes, 0, AppendOrigin::Client, NOW) {
            Ok(_) => appended += 1,
            Err(AppendError::Storage(_)) => failures += 1,
            Err(other) => panic!("{other}"),
        }
        assert_eq!(log.log_end_offset(), appended);
    }
    assert_eq!(all_records(&log).len() as i64, appended);
    std::fs::remove_file(ballast).unwrap();
    for _ in 0..100 {
        append(&mut log, batch(1, 300, NOW));
    }
    drop(log);
    let log = open(&root.join("orders-0"), &config);
    assert_eq!(log.recovery().damage, None);
    assert_eq!(all_records(&log).len() as i64, appended + 100);
    println!("{appended} appended before the disk was full");
}

/// The cost of many partitions: time to create, close and load them, memory,
/// descriptors and maps. `LOG_TEST_COUNT` says how many.
#[test]
#[ignore = "a measurement"]
fn many_partitions() {
    let count = std::env::var("LOG_TEST_COUNT").map_or(10_000, |count| count.parse().unwrap());
    let root = tempfile::tempdir().unwrap();
    let clock = common::clock::system();
    let open = || {
        let config = ManagerConfig {
            identity: Identity {
                cluster_id: "7a9JoY5vSPWT-0NdQcaWWA".to_owned(),
                broker_id: 1,
            },
            recovery_threads_per_dir: 1,
            producer_expiration_ms: 86_400_000,
            defaults: LogConfig::default(),
            on_dir_failure: FailureHook::default(),
            boot_id: None,
        };
        let dirs = LockedDirs::acquire(&[root.path().to_owned()]).unwrap();
        Manager::open(dirs, config, Arc::new(Disk), NOW, &|_| LogConfig::default()).unwrap()
    };
    let show = |what: &str, since: std::time::Duration| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let rss = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let fds = std::fs::read_dir("/proc/self/fd").unwrap().count();
        let took = clock.monotonic() - since;
        println!(
            "{what}: {took:.2?}, {rss}, {fds} descriptors, {} maps",
            maps.lines().count()
        );
    };
    let id = |index| TopicPartition::new(TopicName::new("many").unwrap(), index);
    let start = clock.monotonic();
    show("empty", start);
    let manager = open();
    for index in 0..count {
        let topic_id = Some(TopicId::from_u128(77));
        manager
            .get_or_create(&id(index), topic_id, LogConfig::default(), NOW)
            .unwrap();
    }
    show("created", start);
    let start = clock.monotonic();
    for (_, log) in manager.all() {
        for _ in 0..50 {
            append(&mut log.write(), batch(1, 100, NOW));
        }
    }
    show("written", start);
    let start = clock.monotonic();
    for _ in 0..10 {
        manager.flush_dirty(NOW);
    }
    show("ten rounds of maintenance", start);
    let start = clock.monotonic();
    manager.shutdown_cleanly(1, NOW).unwrap();
    drop(manager);
    show("closed", start);
    let start = clock.monotonic();
    let manager = open();
    show("loaded after a clean shutdown", start);
    drop(manager);
    let start = clock.monotonic();
    let manager = open();
    show("loaded after a crash", start);
    assert_eq!(manager.all().len(), usize::try_from(count).unwrap());
}
