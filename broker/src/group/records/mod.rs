//! What `__consumer_offsets` holds, byte for byte as Kafka writes it.
//!
//! Keys begin with a version that also names the kind: 0 and 1 are offsets,
//! 2 is a group's metadata. A record without a value is a tombstone.
//!
//! **Invariant:** bytes from the log never panic and never make the reader
//! allocate more than they brought.

pub(super) mod batch;
mod group;
mod offset;

use bytes::Bytes;

use super::offsets::Commit;
use crate::model::{MetadataVersion, TopicPartition};
use crate::state_log::fields::{self, Reader, Writer};
pub(super) use group::{GroupValue, MemberValue};

const OFFSET_KEY_VERSION: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;

/// Why a record cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Fields(#[from] fields::Error),
    #[error("the record has no key")]
    NoKey,
    #[error("value version {0} is not known")]
    UnknownValueVersion(i16),
    #[error("the records are too large for one batch")]
    BatchTooLarge,
    #[error("the batch that holds the record is damaged")]
    DamagedBatch,
}

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
    pub(super) fn encode(&self, version: MetadataVersion) -> Result<(Bytes, Option<Bytes>), Error> {
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
        Ok((key.finish(), value))
    }

    /// Reads a record; `None` for a kind of record that this version of the
    /// format does not know, which is skipped.
    pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, Error> {
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

#[cfg(test)]
mod tests;
