//! The table of topic keys: type, default and the broker's keys behind each.

use crate::config::catalog::ValueType;

/// A topic key with the broker keys that give its default, the first that is
/// written winning. The number turns the broker key's unit into milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TopicKey {
    pub(crate) name: &'static str,
    pub(crate) value_type: ValueType,
    pub(crate) default: &'static str,
    pub(crate) synonyms: &'static [(&'static str, i64)],
}

const LONG_MAX: &str = "9223372036854775807";
pub(super) const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

const fn key(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    synonyms: &'static [(&'static str, i64)],
) -> TopicKey {
    TopicKey {
        name,
        value_type,
        default,
        synonyms,
    }
}

/// Every topic key of Kafka 3.9: clients count on the whole list.
pub(super) const KEYS: &[TopicKey] = &[
    key(
        "cleanup.policy",
        ValueType::List,
        "delete",
        &[("log.cleanup.policy", 1)],
    ),
    key(
        "compression.gzip.level",
        ValueType::Int,
        "-1",
        &[("compression.gzip.level", 1)],
    ),
    key(
        "compression.lz4.level",
        ValueType::Int,
        "9",
        &[("compression.lz4.level", 1)],
    ),
    key(
        "compression.type",
        ValueType::String,
        "producer",
        &[("compression.type", 1)],
    ),
    key(
        "compression.zstd.level",
        ValueType::Int,
        "3",
        &[("compression.zstd.level", 1)],
    ),
    key(
        "delete.retention.ms",
        ValueType::Long,
        "86400000",
        &[("log.cleaner.delete.retention.ms", 1)],
    ),
    key(
        "file.delete.delay.ms",
        ValueType::Long,
        "60000",
        &[("log.segment.delete.delay.ms", 1)],
    ),
    key(
        "flush.messages",
        ValueType::Long,
        LONG_MAX,
        &[("log.flush.interval.messages", 1)],
    ),
    key(
        "flush.ms",
        ValueType::Long,
        LONG_MAX,
        &[
            ("log.flush.interval.ms", 1),
            ("log.flush.scheduler.interval.ms", 1),
        ],
    ),
    key(
        "follower.replication.throttled.replicas",
        ValueType::List,
        "",
        &[],
    ),
    key(
        "index.interval.bytes",
        ValueType::Int,
        "4096",
        &[("log.index.interval.bytes", 1)],
    ),
    key(
        "leader.replication.throttled.replicas",
        ValueType::List,
        "",
        &[],
    ),
    key(
        "local.retention.bytes",
        ValueType::Long,
        "-2",
        &[("log.local.retention.bytes", 1)],
    ),
    key(
        "local.retention.ms",
        ValueType::Long,
        "-2",
        &[("log.local.retention.ms", 1)],
    ),
    key(
        "max.compaction.lag.ms",
        ValueType::Long,
        LONG_MAX,
        &[("log.cleaner.max.compaction.lag.ms", 1)],
    ),
    key(
        "max.message.bytes",
        ValueType::Int,
        "1048588",
        &[("message.max.bytes", 1)],
    ),
    key(
        "message.downconversion.enable",
        ValueType::Boolean,
        "true",
        &[("log.message.downconversion.enable", 1)],
    ),
    key(
        "message.format.version",
        ValueType::String,
        "3.0-IV1",
        &[("log.message.format.version", 1)],
    ),
    key(
        "message.timestamp.after.max.ms",
        ValueType::Long,
        LONG_MAX,
        &[("log.message.timestamp.after.max.ms", 1)],
    ),
    key(
        "message.timestamp.before.max.ms",
        ValueType::Long,
        LONG_MAX,
        &[("log.message.timestamp.before.max.ms", 1)],
    ),
    key(
        "message.timestamp.difference.max.ms",
        ValueType::Long,
        LONG_MAX,
        &[("log.message.timestamp.difference.max.ms", 1)],
    ),
    key(
        "message.timestamp.type",
        ValueType::String,
        "CreateTime",
        &[("log.message.timestamp.type", 1)],
    ),
    key(
        "min.cleanable.dirty.ratio",
        ValueType::Double,
        "0.5",
        &[("log.cleaner.min.cleanable.ratio", 1)],
    ),
    key(
        "min.compaction.lag.ms",
        ValueType::Long,
        "0",
        &[("log.cleaner.min.compaction.lag.ms", 1)],
    ),
    key(
        "min.insync.replicas",
        ValueType::Int,
        "1",
        &[("min.insync.replicas", 1)],
    ),
    key(
        "preallocate",
        ValueType::Boolean,
        "false",
        &[("log.preallocate", 1)],
    ),
    key("remote.log.copy.disable", ValueType::Boolean, "false", &[]),
    key(
        "remote.log.delete.on.disable",
        ValueType::Boolean,
        "false",
        &[],
    ),
    key("remote.storage.enable", ValueType::Boolean, "false", &[]),
    key(
        "retention.bytes",
        ValueType::Long,
        "-1",
        &[("log.retention.bytes", 1)],
    ),
    key(
        "retention.ms",
        ValueType::Long,
        "604800000",
        &[
            ("log.retention.ms", 1),
            ("log.retention.minutes", MINUTE_MS),
            ("log.retention.hours", HOUR_MS),
        ],
    ),
    key(
        "segment.bytes",
        ValueType::Int,
        "1073741824",
        &[("log.segment.bytes", 1)],
    ),
    key(
        "segment.index.bytes",
        ValueType::Int,
        "10485760",
        &[("log.index.size.max.bytes", 1)],
    ),
    key(
        "segment.jitter.ms",
        ValueType::Long,
        "0",
        &[
            ("log.roll.jitter.ms", 1),
            ("log.roll.jitter.hours", HOUR_MS),
        ],
    ),
    key(
        "segment.ms",
        ValueType::Long,
        "604800000",
        &[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)],
    ),
    key(
        "unclean.leader.election.enable",
        ValueType::Boolean,
        "false",
        &[("unclean.leader.election.enable", 1)],
    ),
];

/// The topic key of this name.
pub(crate) fn topic_key(name: &str) -> Option<&'static TopicKey> {
    KEYS.iter().find(|key| key.name == name)
}
