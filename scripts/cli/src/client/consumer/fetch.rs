//! Reads from the leaders: requests by leader, and records out of the answers.
//!
//! **Invariant:** a record before the position is not delivered, and neither is
//! one of a control batch or, when committed records only are read, one of a
//! transaction that was aborted.

use std::collections::{BTreeMap, BTreeSet};

use broker::record::{Batch, Batches, EndTxnMarker, TimestampType};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest};

use super::settings::ConsumerSettings;
use super::{ConsumerRecord, TopicPartition};
use crate::client::metadata::wire_name;

/// A batch may not grow beyond this when decompressed.
const DECOMPRESSED_MAX: usize = i32::MAX as usize;

/// Asks one leader for what follows the positions.
pub(super) fn request(
    settings: &ConsumerSettings,
    wait_ms: i32,
    positions: &[(TopicPartition, i64)],
) -> FetchRequest {
    let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in positions {
        let partition = FetchPartition::default()
            .with_partition(*partition)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(settings.partition_bytes_max);
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partitions)| {
            FetchTopic::default()
                .with_topic(wire_name(topic))
                .with_partitions(partitions)
        })
        .collect();
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(settings.fetch_bytes_min)
        .with_max_bytes(settings.fetch_bytes_max)
        .with_isolation_level(settings.isolation_level)
        .with_topics(topics)
}

/// The records of an answer, and where to read on.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) records: Vec<ConsumerRecord>,
    pub(super) next_offset: i64,
}

/// Takes the records out of one partition's answer.
pub(super) fn read(
    topic: &str,
    data: &PartitionData,
    from: i64,
    isolation_level: i8,
) -> Result<Read, broker::record::Error> {
    let mut read = Read {
        records: Vec::new(),
        next_offset: from,
    };
    let aborted = data.aborted_transactions.as_deref().unwrap_or_default();
    let mut aborted = (isolation_level == 1).then(|| Aborted::new(aborted));
    let bytes = data.records.clone().unwrap_or_default();
    for batch in Batches::tolerant(bytes) {
        let batch = batch?;
        batch.check_crc()?;
        let next_offset = batch.header().next_offset();
        let is_aborted = match &mut aborted {
            Some(aborted) => aborted.covers(&batch)?,
            None => false,
        };
        if !is_aborted && !batch.header().is_control() {
            take_records(topic, data.partition_index, &batch, &mut read)?;
        }
        read.next_offset = read.next_offset.max(next_offset);
    }
    Ok(read)
}

fn take_records(
    topic: &str,
    partition: i32,
    batch: &Batch,
    read: &mut Read,
) -> Result<(), broker::record::Error> {
    let header = batch.header();
    let is_append_time = header.timestamp_type() == TimestampType::LogAppendTime;
    for record in batch.records(DECOMPRESSED_MAX)? {
        let record = record?;
        if record.offset < read.next_offset {
            continue;
        }
        read.records.push(ConsumerRecord {
            topic: topic.to_owned(),
            partition,
            is_append_time,
            leader_epoch: header.partition_leader_epoch,
            record,
        });
    }
    Ok(())
}

/// Follows, batch by batch, which producers are in a transaction that was aborted.
struct Aborted {
    /// Those that begin later, the nearest last.
    ahead: Vec<(i64, i64)>,
    producers: BTreeSet<i64>,
}

impl Aborted {
    fn new(transactions: &[AbortedTransaction]) -> Self {
        let mut ahead: Vec<(i64, i64)> = transactions
            .iter()
            .map(|transaction| (transaction.first_offset, transaction.producer_id.0))
            .collect();
        ahead.sort_by(|a, b| b.cmp(a));
        Self {
            ahead,
            producers: BTreeSet::new(),
        }
    }

    fn covers(&mut self, batch: &Batch) -> Result<bool, broker::record::Error> {
        let header = batch.header();
        let last_offset = header.last_offset();
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first <= last_offset) {
            self.producers.insert(producer);
        }
        if header.is_control() {
            for record in batch.records(DECOMPRESSED_MAX)? {
                let marker = EndTxnMarker::from_record(&record?)?;
                if marker.is_some_and(|marker| !marker.commit) {
                    self.producers.remove(&header.producer_id);
                }
            }
        }
        Ok(header.is_transactional() && self.producers.contains(&header.producer_id))
    }
}

#[cfg(test)]
mod tests {
    use broker::record::{BatchBuilder, Compression, RecordHeader};
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::ProducerId;

    use super::*;

    fn transactional(base: i64, producer: i64, values: &[&str]) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None)
            .base_offset(base, 5)
            .producer(producer, 0, 0)
            .transactional();
        for value in values {
            assert!(builder.push(1, None, Some(value.as_bytes()), &[]));
        }
        builder.build().unwrap()
    }

    fn marker(base: i64, producer: i64, key_type: u8) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None)
            .base_offset(base, 5)
            .producer(producer, 0, -1)
            .transactional()
            .control();
        let key = [0, 0, 0, key_type];
        let value = [0, 0, 0, 0, 0, 0];
        assert!(builder.push(1, Some(&key), Some(&value), &[] as &[RecordHeader]));
        builder.build().unwrap()
    }

    fn offsets(isolation_level: i8, from: i64) -> (Vec<i64>, i64) {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&transactional(0, 1, &["a", "b"]));
        bytes.extend_from_slice(&transactional(2, 2, &["c"]));
        bytes.extend_from_slice(&marker(3, 1, 0));
        bytes.extend_from_slice(&transactional(4, 1, &["d"]));
        bytes.extend_from_slice(&marker(5, 1, 1));
        bytes.extend_from_slice(&marker(6, 2, 1));
        bytes.extend_from_slice(&transactional(7, 1, &["cut off"])[..20]);
        let aborted = AbortedTransaction::default()
            .with_producer_id(ProducerId(1))
            .with_first_offset(0);
        let data = PartitionData::default()
            .with_records(Some(bytes.freeze()))
            .with_aborted_transactions(Some(vec![aborted]));
        let read = read("t", &data, from, isolation_level).unwrap();
        let offsets = read
            .records
            .iter()
            .map(|record| record.record.offset)
            .collect();
        (offsets, read.next_offset)
    }

    #[test]
    fn aborted_and_control_records_are_left_out() {
        assert_eq!(offsets(0, 0), (vec![0, 1, 2, 4], 7));
        assert_eq!(offsets(1, 0), (vec![2, 4], 7));
        assert_eq!(offsets(0, 1), (vec![1, 2, 4], 7));
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let mut bytes = BytesMut::from(&transactional(0, 1, &["abc"])[..]);
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        let data = PartitionData::default().with_records(Some(bytes.freeze()));
        assert!(read("t", &data, 0, 0).is_err());
    }
}
