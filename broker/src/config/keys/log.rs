//! Keys of the logs on disk.

use common::config::Key;
use common::config::Kind::{Bool, Int, List, Long, OneOf, Str};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "log.dir",
        Str,
        Some("/tmp/kafka-logs"),
        "The data directory when log.dirs is absent.",
    ),
    key(
        "log.dirs",
        List,
        None,
        "The data directories, comma separated.",
    ),
    key(
        "log.segment.bytes",
        Int {
            min: 14,
            max: i32::MAX,
        },
        Some("1073741824"),
        "A segment file of this size is closed and the next begun.",
    ),
    key(
        "log.roll.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        None,
        "A segment of this age is closed; log.roll.hours when absent.",
    ),
    key(
        "log.roll.hours",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("168"),
        "As log.roll.ms, in hours.",
    ),
    key(
        "log.roll.jitter.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        None,
        "Segments are closed up to this much earlier, each at another time; log.roll.jitter.hours when absent.",
    ),
    key(
        "log.roll.jitter.hours",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("0"),
        "As log.roll.jitter.ms, in hours.",
    ),
    key(
        "log.retention.ms",
        Long {
            min: -1,
            max: i64::MAX,
        },
        None,
        "How long records are kept, -1 for ever; log.retention.minutes when absent.",
    ),
    key(
        "log.retention.minutes",
        Int {
            min: -1,
            max: i32::MAX,
        },
        None,
        "As log.retention.ms, in minutes; log.retention.hours when absent.",
    ),
    key(
        "log.retention.hours",
        Int {
            min: -1,
            max: i32::MAX,
        },
        Some("168"),
        "As log.retention.ms, in hours.",
    ),
    key(
        "log.retention.bytes",
        Long {
            min: -1,
            max: i64::MAX,
        },
        Some("-1"),
        "How many bytes a partition keeps, -1 for no limit.",
    ),
    key(
        "log.retention.check.interval.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("300000"),
        "How often old segments are looked for.",
    ),
    key(
        "log.cleanup.policy",
        List,
        Some("delete"),
        "What happens to old segments: delete, compact, or both.",
    ),
    key(
        "log.segment.delete.delay.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("60000"),
        "How long a deleted file stays on disk.",
    ),
    key(
        "log.index.size.max.bytes",
        Int {
            min: 4,
            max: i32::MAX,
        },
        Some("10485760"),
        "The largest index file of a segment.",
    ),
    key(
        "log.index.interval.bytes",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("4096"),
        "Bytes of records between two index entries.",
    ),
    key(
        "log.preallocate",
        Bool,
        Some("false"),
        "Whether segment files are allocated in full when they are begun.",
    ),
    key(
        "log.flush.interval.messages",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("9223372036854775807"),
        "Records that may be in memory only before they are flushed to disk.",
    ),
    key(
        "log.flush.interval.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        None,
        "Time that a record may be in memory only; log.flush.scheduler.interval.ms when absent.",
    ),
    key(
        "log.flush.scheduler.interval.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("9223372036854775807"),
        "How often logs are checked for flushing.",
    ),
    key(
        "log.flush.offset.checkpoint.interval.ms",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("60000"),
        "How often recovery points are written down.",
    ),
    key(
        "log.flush.start.offset.checkpoint.interval.ms",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("60000"),
        "How often log start offsets are written down.",
    ),
    key(
        "num.recovery.threads.per.data.dir",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("1"),
        "Threads that load and recover the logs of one directory.",
    ),
    key(
        "message.max.bytes",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("1048588"),
        "The largest record batch that is accepted.",
    ),
    key(
        "compression.type",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        Some("producer"),
        "How records are stored; producer keeps them as they came.",
    ),
    key(
        "log.message.timestamp.type",
        OneOf(&["CreateTime", "LogAppendTime"]),
        Some("CreateTime"),
        "Whose clock stamps the records.",
    ),
    key(
        "log.message.timestamp.before.max.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("9223372036854775807"),
        "How far a record's timestamp may lie in the past.",
    ),
    key(
        "log.message.timestamp.after.max.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("9223372036854775807"),
        "How far a record's timestamp may lie in the future.",
    ),
    key(
        "producer.id.expiration.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("86400000"),
        "How long an idle producer's sequence numbers are remembered.",
    ),
    key(
        "producer.id.expiration.check.interval.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("600000"),
        "How often idle producers are looked for.",
    ),
];
