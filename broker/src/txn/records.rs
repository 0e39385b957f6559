//! What `__transaction_state` holds, byte for byte as Kafka writes it.
//!
//! A key is a version (0) and the transactional id; a value is a version and the
//! id's metadata, or nothing: a tombstone. Version 0 of the value is written, as
//! by every broker of a cluster without `transaction.version`; version 1, which
//! newer clusters write, differs in the encoding alone and is read, too.
//!
//! **Invariant:** bytes from the log never panic and never make the reader
//! allocate more than they brought.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::state::{Metadata, NO_EPOCH, NO_PRODUCER_ID, State};
use crate::model::{TopicName, TopicPartition};
use crate::record::{BatchBuilder, Compression};
use crate::state_log::fields::{self, Reader, Writer};
use crate::state_log::records::{self, Error, KeyValue, StateRecord};

const KEY_VERSION: i16 = 0;
/// The version that is written.
const VALUE_VERSION: i16 = 0;
/// From here on, the value is flexible.
const VALUE_VERSION_FLEXIBLE: i16 = 1;
/// The smallest topic of a value: an empty name and no partitions, flexible.
const TOPIC_SIZE_MIN: usize = 3;
const PARTITION_SIZE: usize = 4;

/// One record of the internal topic; `None` as metadata is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) transactional_id: String,
    pub(super) metadata: Option<Metadata>,
}

impl Record {
    /// Key and value.
    pub(super) fn encode(&self) -> Result<KeyValue, Error> {
        let mut key = Writer::default();
        key.i16(KEY_VERSION);
        key.string(&self.transactional_id)?;
        let value = self.metadata.as_ref().map(encode_value).transpose()?;
        let key = key.finish();
        Ok(KeyValue { key, value })
    }
}

impl StateRecord for Record {
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, Error> {
        let mut key = Reader::new(key);
        if key.i16()? != KEY_VERSION {
            return Ok(None);
        }
        Ok(Some(Self {
            transactional_id: key.string()?,
            metadata: value.map(decode_value).transpose()?,
        }))
    }
}

/// Makes one batch. Kafka never compresses them.
pub(super) fn encode(records: &[Record], now_ms: i64) -> Result<Bytes, Error> {
    let builder = BatchBuilder::new(Compression::None);
    let records: Result<Vec<_>, _> = records.iter().map(Record::encode).collect();
    records::encode(builder, now_ms, &records?)
}

fn encode_value(metadata: &Metadata) -> Result<Vec<u8>, Error> {
    let mut out = Writer::default();
    out.i16(VALUE_VERSION);
    out.i64(metadata.producer_id);
    out.i16(metadata.producer_epoch);
    out.i32(metadata.timeout_ms);
    out.i8(metadata.state.id());
    match metadata.state {
        State::Empty => out.i32(-1),
        _ => encode_partitions(&mut out, &metadata.partitions)?,
    }
    out.i64(metadata.updated_ms);
    out.i64(metadata.started_ms);
    Ok(out.finish())
}

fn encode_partitions(
    out: &mut Writer,
    partitions: &BTreeSet<TopicPartition>,
) -> Result<(), fields::Error> {
    let mut topics: Vec<(&TopicName, Vec<i32>)> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.last_mut() {
            Some((last, indexes)) if *last == topic => indexes.push(*partition),
            _ => topics.push((topic, vec![*partition])),
        }
    }
    out.count(topics.len())?;
    for (topic, indexes) in topics {
        out.string(topic.as_str())?;
        out.count(indexes.len())?;
        for index in indexes {
            out.i32(index);
        }
    }
    Ok(())
}

fn decode_value(value: &[u8]) -> Result<Metadata, Error> {
    let mut value = Reader::new(value);
    match value.i16()? {
        VALUE_VERSION => {}
        VALUE_VERSION_FLEXIBLE => value.become_flexible(),
        version => return Err(Error::UnknownValueVersion(version)),
    }
    let (producer_id, producer_epoch) = (value.i64()?, value.i16()?);
    let timeout_ms = value.i32()?;
    let id = value.i8()?;
    let state = State::from_id(id).ok_or(fields::Error::UnknownValue(id))?;
    let partitions = decode_partitions(&mut value)?;
    let (updated_ms, started_ms) = (value.i64()?, value.i64()?);
    value.tagged_fields()?;
    Ok(Metadata {
        producer_id,
        last_producer_id: NO_PRODUCER_ID,
        producer_epoch,
        last_producer_epoch: NO_EPOCH,
        timeout_ms,
        state,
        partitions,
        started_ms,
        updated_ms,
    })
}

fn decode_partitions(value: &mut Reader<'_>) -> Result<BTreeSet<TopicPartition>, fields::Error> {
    let mut partitions = BTreeSet::new();
    for _ in 0..value.nullable_count(TOPIC_SIZE_MIN)?.unwrap_or(0) {
        let topic = value.topic()?;
        for _ in 0..value.count(PARTITION_SIZE)? {
            partitions.insert(TopicPartition::new(topic.clone(), value.i32()?));
        }
        value.tagged_fields()?;
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests;
