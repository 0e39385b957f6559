//! Module tests on temporary directories.

mod appending;
mod bench;
mod compressed;
mod flips;
mod kafka;
mod managing;
mod moving;
mod old_formats;
mod producers;
mod reading;
mod repairing;
mod rolling;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::model::TopicName;
use crate::record::{Batch, BatchBuilder, Compression, EndTxnMarker, Record};

pub(super) const NOW: i64 = 1_700_000_000_000;
pub(super) const EVERYTHING: ReadBounds = ReadBounds {
    max_bytes: usize::MAX,
    upper_bound: Offset::MAX,
    at_least_one_batch: true,
};

pub(super) fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("orders").unwrap(), 0)
}

/// Small segments and a dense index, so that little data shows much.
pub(super) fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 2000,
        segment_index_bytes: 1200,
        index_interval_bytes: 150,
        ..LogConfig::default()
    }
}

pub(super) fn params(dir: &Path, config: &LogConfig) -> OpenParams {
    OpenParams {
        partition: partition(),
        dir: dir.to_owned(),
        config: config.clone(),
        log_start_offset: 0,
        recovery_point: 0,
        clean_shutdown: false,
        producer_expiration_ms: 86_400_000,
        home: None,
    }
}

pub(crate) fn open(dir: &Path, config: &LogConfig) -> Log {
    Log::open(params(dir, config), Arc::new(Disk), NOW).unwrap()
}

pub(super) fn open_clean(dir: &Path, config: &LogConfig) -> Log {
    let mut params = params(dir, config);
    params.clean_shutdown = true;
    Log::open(params, Arc::new(Disk), NOW).unwrap()
}

pub(super) fn new_log(config: &LogConfig) -> (TempDir, Log) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), config);
    (dir, log)
}

/// A batch of `count` records, the first at `time`, one millisecond apart.
pub(super) fn batch(count: i64, size: usize, time: i64) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for index in 0..count {
        assert!(builder.push(time + index, Some(b"key"), Some(&vec![b'v'; size]), &[]));
    }
    builder.build().unwrap()
}

pub(super) fn append(log: &mut Log, bytes: Bytes) -> AppendInfo {
    log.append_as_leader(bytes, 0, AppendOrigin::Client, NOW)
        .unwrap()
}

/// Every batch that readers see, checked.
pub(super) fn all_batches(log: &Log) -> Vec<Batch> {
    let mut batches = Vec::new();
    let mut offset = log.log_start_offset();
    while let Some(slice) = log.read(offset, EVERYTHING).unwrap().slice {
        for batch in crate::record::Batches::strict(slice.read().unwrap()) {
            let batch = batch.unwrap();
            batch.check_crc().unwrap();
            assert!(batch.header().last_offset() >= offset);
            offset = batch.header().next_offset();
            batches.push(batch);
        }
    }
    batches
}

pub(super) fn all_records(log: &Log) -> Vec<Record> {
    let batches = all_batches(log).into_iter();
    batches
        .flat_map(|batch| batch.records(1 << 20).unwrap())
        .map(Result::unwrap)
        .collect()
}
