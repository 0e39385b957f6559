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
