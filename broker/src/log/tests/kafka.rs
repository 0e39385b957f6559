//! Files that Apache Kafka 3.9.1 wrote in ZooKeeper mode: five producers with
//! the console producer, one for each codec, three records each.

use super::*;

const FIXTURE: &str = include_str!("kafka-3.9.1.hex");

/// Writes the files that a dump in hexadecimal digits names.
pub(super) fn write_files(dir: &Path, dump: &str) {
    let mut file = None;
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for line in dump.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            files.push((name.to_owned(), Vec::new()));
            file = Some(files.len() - 1);
            continue;
        }
        let bytes = (0..line.len()).step_by(2);
        let bytes = bytes.map(|i| u8::from_str_radix(&line[i..i + 2], 16).unwrap());
        files[file.unwrap()].1.extend(bytes);
    }
    for (name, bytes) in files {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
}

fn write_fixture(dir: &Path) {
    write_files(dir, FIXTURE);
    std::fs::write(dir.join("00000000000000000000.index"), b"").unwrap();
    std::fs::write(dir.join("leader-epoch-checkpoint"), "0\n1\n0 0\n").unwrap();
    let metadata = "version: 0\ntopic_id: BKqUN7WwS_qPnSwtA2hi3A";
    std::fs::write(dir.join("partition.metadata"), metadata).unwrap();
}

fn check(log: &Log) {
    assert_eq!(log.log_end_offset(), 15);
    assert!(log.topic_id().is_some());
    assert_eq!(log.latest_epoch(), Some(0));
    let codecs: Vec<_> = all_batches(log)
        .iter()
        .map(|b| b.header().compression().name())
        .collect();
    assert_eq!(codecs, ["none", "gzip", "snappy", "lz4", "zstd"]);
    for (index, record) in all_records(log).into_iter().enumerate() {
        let (codec, number) = (codecs[index / 3], index % 3 + 1);
        let value = format!("value-{codec}-{number}-{}", "a".repeat(29));
        assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
        assert_eq!(
            record.key.as_deref(),
            Some(format!("key{number}").as_bytes())
        );
    }
    let last = log.offset_for_time(MAX_TIMESTAMP).unwrap().unwrap();
    // The last two records share the largest timestamp.
    assert_eq!(last.offset, 13);
}

/// The fixture's last batch as its producer would send it again.
fn retry(log: &Log) -> Bytes {
    let batch = all_batches(log).pop().unwrap();
    let mut bytes = batch.header_at(0, -1).to_vec();
    bytes.extend_from_slice(&batch.body());
    Bytes::from(bytes)
}

#[test]
fn a_clean_directory_of_kafka_opens_and_knows_its_producers() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let mut log = open_clean(dir.path(), &LogConfig::default());
    assert_eq!(log.recovery(), &Recovery::default());
    check(&log);
    let bytes = retry(&log);
    let again = append(&mut log, bytes);
    assert!(again.duplicate);
    assert_eq!((again.first_offset, again.last_offset), (12, 14));
}

#[test]
fn recovery_arrives_at_kafkas_own_files() {
    let dir = tempfile::tempdir().unwrap();
    write_fixture(dir.path());
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let names = [
        "00000000000000000000.timeindex",
        "00000000000000000015.snapshot",
    ];
    let of_kafka = names.map(read);
    for name in names {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    let mut log = open(dir.path(), &LogConfig::default());
    check(&log);
    log.close(NOW).unwrap();
    assert_eq!(names.map(read), of_kafka);
    let mut log = open_clean(dir.path(), &LogConfig::default());
    let bytes = retry(&log);
    assert!(append(&mut log, bytes).duplicate);
}
