//! The settings of consumer groups, by Kafka's keys and defaults.

use std::time::Duration;

use common::config::Values;

use crate::model::{MetadataVersion, NEWEST};
use crate::record::Compression;

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
    /// `offsets.topic.compression.codec` (0, none): the codec of the batches that
    /// coordinators write.
    pub topic_compression: Compression,
    /// `inter.broker.protocol.version`: what every broker can read.
    pub version: MetadataVersion,
}

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
            topic_compression: Compression::None,
            version: NEWEST,
        }
    }
}

impl Config {
    /// Takes the settings out of the broker's table of keys.
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
            topic_compression: codec(values.i32("offsets.topic.compression.codec")),
            version: values
                .str("inter.broker.protocol.version")
                .parse()
                .unwrap_or(NEWEST),
        }
    }
}

/// The table of keys has checked the range.
fn codec(id: i32) -> Compression {
    let known = u8::try_from(id).map(Compression::from_id);
    known.ok().and_then(Result::ok).unwrap_or(Compression::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::config::{Origin, Properties};

    #[test]
    fn the_table_and_the_struct_agree_on_the_defaults() {
        let (values, _) = crate::config::TABLE
            .resolve(&Properties::default())
            .unwrap();
        assert_eq!(Config::from_values(&values), Config::default());
    }

    #[test]
    fn the_codec_of_the_topic_is_in_effect() {
        let key = "offsets.topic.compression.codec";
        for (id, codec) in [("1", Compression::Gzip), ("4", Compression::Zstd)] {
            let mut properties = Properties::default();
            properties.set(key, id, Origin::CommandLine);
            let (values, _) = crate::config::TABLE.resolve(&properties).unwrap();
            assert_eq!(Config::from_values(&values).topic_compression, codec);
        }
    }
}
