//! The settings of consumer groups, by Kafka's keys and defaults.

use std::time::Duration;

use common::config::{Key, Kind, Values};

/// How groups behave and how their topic is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `group.min.session.timeout.ms` (6000): shorter session timeouts are refused.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms` (1800000): longer ones are refused.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms` (3000): how long the first rebalance
    /// of an empty group waits for more members.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size` (2147483647): members that one group may have.
    pub size_max: usize,
    /// `offset.metadata.max.bytes` (4096): metadata beside a committed offset.
    pub offset_metadata_size_max: usize,
    /// `offsets.load.buffer.size` (5242880): bytes read at a time while loading.
    pub load_buffer_size: usize,
    /// `offsets.commit.timeout.ms` (5000): how long a commit may wait for replicas.
    pub commit_timeout: Duration,
    /// `offsets.retention.minutes` (10080): how long unused offsets are kept.
    pub retention: Duration,
    /// `offsets.retention.check.interval.ms` (600000): how often that is checked.
    pub retention_check_interval: Duration,
    /// `offsets.topic.num.partitions` (50).
    pub topic_partition_count: i32,
    /// `offsets.topic.replication.factor` (3).
    pub topic_replication_factor: i32,
    /// `offsets.topic.segment.bytes` (104857600).
    pub topic_segment_bytes: i32,
    /// `offsets.topic.compression.codec` (0, none): Kafka's codec id, 0 to 4.
    pub topic_compression_codec: i32,
}

/// The keys that [`Config::from_values`] reads.
pub const KEYS: [Key; 13] = [
    Key {
        name: "group.min.session.timeout.ms",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("6000"),
        doc: "The shortest session timeout that a group member may ask for.",
    },
    Key {
        name: "group.max.session.timeout.ms",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("1800000"),
        doc: "The longest session timeout that a group member may ask for.",
    },
    Key {
        name: "group.initial.rebalance.delay.ms",
        kind: Kind::Int { min: 0, max: i32::MAX },
        default: Some("3000"),
        doc: "How long the first rebalance of an empty group waits for more members.",
    },
    Key {
        name: "group.max.size",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("2147483647"),
        doc: "The number of members that one group may have.",
    },
    Key {
        name: "offset.metadata.max.bytes",
        kind: Kind::Int { min: 0, max: i32::MAX },
        default: Some("4096"),
        doc: "The longest metadata that may be committed beside an offset.",
    },
    Key {
        name: "offsets.load.buffer.size",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("5242880"),
        doc: "Bytes read at a time while the offsets topic is loaded.",
    },
    Key {
        name: "offsets.commit.timeout.ms",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("5000"),
        doc: "How long an offset commit may wait for the replicas.",
    },
    Key {
        name: "offsets.retention.minutes",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("10080"),
        doc: "How long the committed offsets of an empty group, or of a topic that the group left, are kept.",
    },
    Key {
        name: "offsets.retention.check.interval.ms",
        kind: Kind::Long { min: 1, max: i64::MAX },
        default: Some("600000"),
        doc: "How often stale offsets are looked for.",
    },
    Key {
        name: "offsets.topic.num.partitions",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("50"),
        doc: "The number of partitions of the offsets topic; must not change later.",
    },
    Key {
        name: "offsets.topic.replication.factor",
        kind: Kind::Int { min: 1, max: i16::MAX as i32 },
        default: Some("3"),
        doc: "The replication factor of the offsets topic when it is created.",
    },
    Key {
        name: "offsets.topic.segment.bytes",
        kind: Kind::Int { min: 1, max: i32::MAX },
        default: Some("104857600"),
        doc: "The segment size of the offsets topic; small segments compact and load faster.",
    },
    Key {
        name: "offsets.topic.compression.codec",
        kind: Kind::Int { min: 0, max: 4 },
        default: Some("0"),
        doc: "Codec of the batches in the offsets topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.",
    },
];

impl Default for Config {
    fn default() -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay: Duration::from_millis(3_000),
            size_max: i32::MAX as usize,
            offset_metadata_size_max: 4_096,
            load_buffer_size: 5 * 1024 * 1024,
            commit_timeout: Duration::from_millis(5_000),
            retention: Duration::from_secs(10_080 * 60),
            retention_check_interval: Duration::from_millis(600_000),
            topic_partition_count: 50,
            topic_replication_factor: 3,
            topic_segment_bytes: 104_857_600,
            topic_compression_codec: 0,
        }
    }
}

impl Config {
    /// Takes the settings out of a table that contains [`KEYS`].
    #[must_use]
    pub fn from_values(values: &Values) -> Self {
        let count = |name| usize::try_from(values.i32(name)).unwrap_or(0);
        let ms = |value: i64| Duration::from_millis(value.unsigned_abs());
        Self {
            session_timeout_ms_min: values.i32("group.min.session.timeout.ms"),
            session_timeout_ms_max: values.i32("group.max.session.timeout.ms"),
            initial_rebalance_delay: ms(values.i32("group.initial.rebalance.delay.ms").into()),
            size_max: count("group.max.size"),
            offset_metadata_size_max: count("offset.metadata.max.bytes"),
            load_buffer_size: count("offsets.load.buffer.size"),
            commit_timeout: ms(values.i32("offsets.commit.timeout.ms").into()),
            retention: ms(i64::from(values.i32("offsets.retention.minutes")) * 60_000),
            retention_check_interval: ms(values.i64("offsets.retention.check.interval.ms")),
            topic_partition_count: values.i32("offsets.topic.num.partitions"),
            topic_replication_factor: values.i32("offsets.topic.replication.factor"),
            topic_segment_bytes: values.i32("offsets.topic.segment.bytes"),
            topic_compression_codec: values.i32("offsets.topic.compression.codec"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::config::{Properties, Table};

    #[test]
    fn the_table_and_the_struct_agree_on_the_defaults() {
        static TABLE: [Key; 13] = KEYS;
        let (values, warnings) = Table::new(&TABLE).resolve(&Properties::default()).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(Config::from_values(&values), Config::default());
    }
}
