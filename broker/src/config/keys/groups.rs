//! Keys of consumer groups.

use common::config::Key;
use common::config::Kind::{Int, Long};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "group.min.session.timeout.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("6000"),
        "The shortest session timeout that a member may ask for.",
    ),
    key(
        "group.max.session.timeout.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("1800000"),
        "The longest session timeout that a member may ask for.",
    ),
    key(
        "group.initial.rebalance.delay.ms",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("3000"),
        "How long a new group waits for more members.",
    ),
    key(
        "group.max.size",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("2147483647"),
        "Members that one group may have.",
    ),
    key(
        "offset.metadata.max.bytes",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("4096"),
        "The longest text that may go with a committed offset.",
    ),
    key(
        "offsets.retention.minutes",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("10080"),
        "How long the offsets of an empty group are kept.",
    ),
    key(
        "offsets.retention.check.interval.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("600000"),
        "How often old offsets are looked for.",
    ),
    key(
        "offsets.commit.timeout.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("5000"),
        "How long a commit waits for its replicas.",
    ),
    key(
        "offsets.load.buffer.size",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("5242880"),
        "Bytes that are read at a time when groups are loaded.",
    ),
    key(
        "offsets.topic.num.partitions",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("50"),
        "Partitions of __consumer_offsets.",
    ),
    key(
        "offsets.topic.replication.factor",
        Int { min: 1, max: 32767 },
        Some("3"),
        "Replicas of __consumer_offsets.",
    ),
    key(
        "offsets.topic.compression.codec",
        Int { min: 0, max: 4 },
        Some("0"),
        "Codec of the batches in __consumer_offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.",
    ),
    key(
        "offsets.topic.segment.bytes",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("104857600"),
        "Segment size of __consumer_offsets.",
    ),
];
