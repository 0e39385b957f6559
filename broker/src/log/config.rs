//! The configuration of one partition's log: Kafka's topic keys, typed.

mod values;

use std::collections::BTreeMap;

use super::Throttled;
use crate::record::{self, Compression, TimestampType};
use values::{
    boolean, cleanup_policy, compression, gzip_level, int, level, long, ratio, throttled,
    timestamp_type, version,
};

/// A topic key or value that Kafka refuses, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Unknown topic config name: {0}")]
    UnknownName(String),
    #[error("Invalid value {value} for configuration {name}: Not a number of type {kind}")]
    NotANumber {
        name: &'static str,
        value: String,
        kind: &'static str,
    },
    #[error(
        "Invalid value {value} for configuration {name}: Expected value to be either true or false"
    )]
    NotABoolean { name: &'static str, value: String },
    #[error("Invalid value {value} for configuration {name}: Value must be at least {least}")]
    TooSmall {
        name: &'static str,
        value: String,
        least: i64,
    },
    #[error("Invalid value {value} for configuration {name}: Value must be no more than {most}")]
    TooLarge {
        name: &'static str,
        value: String,
        most: i64,
    },
    #[error("Invalid value {value} for configuration {name}: String must be one of: {allowed}")]
    NotOneOf {
        name: &'static str,
        value: String,
        allowed: &'static str,
    },
    #[error(
        "Invalid value {value} for configuration {name}: Value must be between 1 and 9 or equal to -1"
    )]
    NotALevel { name: &'static str, value: String },
    #[error(
        "Invalid value {value} for configuration {name}: Version {value} is not a valid version"
    )]
    NotAVersion { name: &'static str, value: String },
    #[error(
        "Invalid value [{value}] for configuration {name}: {name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    )]
    NotReplicas { name: &'static str, value: String },
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    RemoteStorage,
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )]
    CompactionLags { min: i64, max: i64 },
}

/// How the log treats one partition. The fields are named after the keys.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub max_message_bytes: i32,
    pub index_interval_bytes: i32,
    pub file_delete_delay_ms: i64,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    pub unclean_leader_election_enable: bool,
    pub min_insync_replicas: i32,
    /// `None` keeps the producer's codec.
    pub compression_type: Option<Compression>,
    /// Of those codecs that have levels; lz4 of the library in use has none.
    pub compression_gzip_level: i32,
    pub compression_zstd_level: i32,
    pub preallocate: bool,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub message_downconversion_enable: bool,
    /// Followers of these wait for the throttle of this broker.
    pub leader_throttled: Throttled,
    /// These wait for it themselves.
    pub follower_throttled: Throttled,
}

impl Default for LogConfig {
    fn default() -> Self {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_bytes: -1,
            retention_ms: 7 * DAY_MS,
            max_message_bytes: (1 << 20) + 12,
            index_interval_bytes: 4096,
            file_delete_delay_ms: 60_000,
            delete_retention_ms: DAY_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            compact: false,
            delete: true,
            unclean_leader_election_enable: false,
            min_insync_replicas: 1,
            compression_type: None,
            compression_gzip_level: record::GZIP_LEVEL_DEFAULT,
            compression_zstd_level: record::ZSTD_LEVEL_DEFAULT,
            preallocate: false,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: i64::MAX,
            message_downconversion_enable: true,
            leader_throttled: Throttled::None,
            follower_throttled: Throttled::None,
        }
    }
}

/// Records of one batch may take this many times `max.message.bytes` when
/// they are decompressed: a bomb is refused, not held.
const EXPANSION_MAX: usize = 64;
const EXPANSION_FLOOR: usize = 16 << 20;
const EXPANSION_CEILING: usize = 1 << 30;

impl LogConfig {
    /// Bound on the records of one batch without their compression.
    #[must_use]
    pub fn decompressed_bytes_max(&self) -> usize {
        let size_max = usize::try_from(self.max_message_bytes).unwrap_or(0);
        size_max
            .saturating_mul(EXPANSION_MAX)
            .clamp(EXPANSION_FLOOR, EXPANSION_CEILING)
    }

    /// How hard the records of this topic are compressed with `codec`.
    #[must_use]
    pub fn level_of(&self, codec: Compression) -> i32 {
        match codec {
            Compression::Gzip => self.compression_gzip_level,
            Compression::Zstd => self.compression_zstd_level,
            Compression::None | Compression::Snappy | Compression::Lz4 => 0,
        }
    }

    /// The broker's `defaults` with a topic's own keys on top.
    pub fn from_overrides(
        defaults: &Self,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        let mut config = defaults.clone();
        if let Some(value) = overrides.get("message.timestamp.difference.max.ms") {
            let value = long("message.timestamp.difference.max.ms", value, 0)?;
            config.message_timestamp_before_max_ms = value;
            config.message_timestamp_after_max_ms = value;
        }
        for (name, value) in overrides {
            config.set(name, value)?;
        }
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(Error::CompactionLags {
                min: config.min_compaction_lag_ms,
                max: config.max_compaction_lag_ms,
            });
        }
        Ok(config)
    }

    /// The longest time that a segment may grow: what must be compacted soon
    /// must be rolled soon.
    #[must_use]
    pub fn segment_ms_max(&self) -> i64 {
        match self.compact && self.max_compaction_lag_ms > 0 {
            true => self.segment_ms.min(self.max_compaction_lag_ms),
            false => self.segment_ms,
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "segment.bytes" => self.segment_bytes = int("segment.bytes", value, 14)?,
            "segment.ms" => self.segment_ms = long("segment.ms", value, 1)?,
            "segment.jitter.ms" => self.segment_jitter_ms = long("segment.jitter.ms", value, 0)?,
            "segment.index.bytes" => {
                self.segment_index_bytes = int("segment.index.bytes", value, 4)?;
            }
            "flush.messages" => self.flush_messages = long("flush.messages", value, 1)?,
            "flush.ms" => self.flush_ms = long("flush.ms", value, 0)?,
            "retention.bytes" => {
                self.retention_bytes = long("retention.bytes", value, i64::MIN)?;
            }
            "retention.ms" => self.retention_ms = long("retention.ms", value, -1)?,
            "max.message.bytes" => self.max_message_bytes = int("max.message.bytes", value, 0)?,
            "index.interval.bytes" => {
                self.index_interval_bytes = int("index.interval.bytes", value, 0)?;
            }
            "file.delete.delay.ms" => {
                self.file_delete_delay_ms = long("file.delete.delay.ms", value, 0)?;
            }
            "delete.retention.ms" => {
                self.delete_retention_ms = long("delete.retention.ms", value, 0)?;
            }
            "min.compaction.lag.ms" => {
                self.min_compaction_lag_ms = long("min.compaction.lag.ms", value, 0)?;
            }
            "max.compaction.lag.ms" => {
                self.max_compaction_lag_ms = long("max.compaction.lag.ms", value, 1)?;
            }
            "min.insync.replicas" => {
                self.min_insync_replicas = int("min.insync.replicas", value, 1)?;
            }
            "message.timestamp.before.max.ms" => {
                let limit = long("message.timestamp.before.max.ms", value, 0)?;
                if limit != i64::MAX {
                    self.message_timestamp_before_max_ms = limit;
                }
            }
            "message.timestamp.after.max.ms" => {
                let limit = long("message.timestamp.after.max.ms", value, 0)?;
                if limit != i64::MAX {
                    self.message_timestamp_after_max_ms = limit;
                }
            }
            _ => return self.set_other(name, value),
        }
        Ok(())
    }

    fn set_other(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "min.cleanable.dirty.ratio" => self.min_cleanable_dirty_ratio = ratio(value)?,
            "cleanup.policy" => (self.compact, self.delete) = cleanup_policy(value)?,
            "compression.type" => self.compression_type = compression(value)?,
            "message.timestamp.type" => self.message_timestamp_type = timestamp_type(value)?,
            "compression.gzip.level" => self.compression_gzip_level = gzip_level(value)?,
            "compression.zstd.level" => {
                self.compression_zstd_level = level("compression.zstd.level", value, -131_072, 22)?;
            }
            "preallocate" => self.preallocate = boolean("preallocate", value)?,
            "unclean.leader.election.enable" => {
                self.unclean_leader_election_enable =
                    boolean("unclean.leader.election.enable", value)?;
            }
            "message.downconversion.enable" => {
                self.message_downconversion_enable =
                    boolean("message.downconversion.enable", value)?;
            }
            "leader.replication.throttled.replicas" => {
                self.leader_throttled = throttled("leader.replication.throttled.replicas", value)?;
            }
            "follower.replication.throttled.replicas" => {
                self.follower_throttled =
                    throttled("follower.replication.throttled.replicas", value)?;
            }
            // Taken before the loop, so that the keys that replace it win.
            "message.timestamp.difference.max.ms" => {}
            name => return check_without_effect(name, value),
        }
        Ok(())
    }
}

/// Topic keys that do not concern the log must be legal all the same.
fn check_without_effect(name: &str, value: &str) -> Result<(), Error> {
    match name {
        "compression.lz4.level" => level("compression.lz4.level", value, 1, 17).map(drop),
        "local.retention.ms" => long("local.retention.ms", value, -2).map(drop),
        "local.retention.bytes" => long("local.retention.bytes", value, -2).map(drop),
        "remote.storage.enable" => match boolean("remote.storage.enable", value)? {
            true => Err(Error::RemoteStorage),
            false => Ok(()),
        },
        "remote.log.copy.disable" => boolean("remote.log.copy.disable", value).map(drop),
        "remote.log.delete.on.disable" => boolean("remote.log.delete.on.disable", value).map(drop),
        "message.format.version" => version("message.format.version", value),
        name => Err(Error::UnknownName(name.to_owned())),
    }
}

#[cfg(test)]
mod tests;
