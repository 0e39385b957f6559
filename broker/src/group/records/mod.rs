//! What `__consumer_offsets` holds, byte for byte as Kafka writes it.
//!
//! Keys begin with a version that also names the kind: 0 and 1 are offsets,
//! 2 is a group's metadata. A record without a value is a tombstone.
//!
//! **Invariant:** bytes from the log never panic and never make the reader
//! allocate more than they brought.

mod group;
mod offset;

use bytes::Bytes;

use super::Config;
use super::api::Transaction;
use super::offsets::Commit;
use crate::model::{MetadataVersion, TopicPartition};
use crate::record::BatchBuilder;
use crate::state_log::fields::{Reader, Writer};
use crate::state_log::records::{self, Error, KeyValue, StateRecord};
pub(super) use group::{GroupValue, MemberValue};

const OFFSET_KEY_VERSION: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;

/// The sequence of a coordinator's batches, which nobody checks.
const BASE_SEQUENCE: i32 = 0;

/// One record of the internal topic; `None` as content is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    Offset {
        group_id: String,
        partition: TopicPartition,
        commit: Option<Commit>,
    },
    Group {
        group_id: String,
        value: Option<GroupValue>,
    },
}

impl Record {
    /// Key and value as every broker of a cluster that speaks `version` reads
    /// them.
    pub(super) fn encode(&self, version: MetadataVersion) -> Result<KeyValue, Error> {
        let mut key = Writer::default();
        let value = match self {
            Self::Offset {
                group_id,
                partition,
                commit,
            } => {
                key.i16(OFFSET_KEY_VERSION);
                key.string(group_id)?;
                key.string(partition.topic.as_str())?;
                key.i32(partition.partition);
                let encode = |commit| offset::encode(commit, version.offset_commit_version());
                commit.as_ref().map(encode).transpose()?
            }
            Self::Group { group_id, value } => {
                key.i16(GROUP_KEY_VERSION);
                key.string(group_id)?;
                let encode = |value| group::encode(value, version.group_metadata_version());
                value.as_ref().map(encode).transpose()?
            }
        };
        let key = key.finish();
        Ok(KeyValue { key, value })
    }
}

impl StateRecord for Record {
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, Error> {
        let mut key = Reader::new(key);
        match key.i16()? {
            0..=OFFSET_KEY_VERSION => {
                let group_id = key.string()?;
                let topic = key.topic()?;
                let partition = TopicPartition::new(topic, key.i32()?);
                let commit = value.map(offset::decode).transpose()?;
                Ok(Some(Self::Offset {
                    group_id,
                    partition,
                    commit,
                }))
            }
            GROUP_KEY_VERSION => {
                let group_id = key.string()?;
                let value = value.map(group::decode).transpose()?;
                Ok(Some(Self::Group { group_id, value }))
            }
            _ => Ok(None),
        }
    }
}

/// Makes one batch: inside a producer's transaction, or of no producer.
pub(super) fn encode(
    records: &[KeyValue],
    transaction: Option<Transaction>,
    now_ms: i64,
    config: &Config,
) -> Result<Bytes, Error> {
    let mut builder = BatchBuilder::new(config.topic_compression);
    if let Some(transaction) = transaction {
        let (id, epoch) = (transaction.producer_id, transaction.producer_epoch);
        builder = builder.producer(id, epoch, BASE_SEQUENCE).transactional();
    }
    records::encode(builder, now_ms, records)
}

#[cfg(test)]
mod tests;
