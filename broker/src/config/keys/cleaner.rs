//! Keys of compaction.

use common::config::Key;
use common::config::Kind::{Bool, Double, Int, Long};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "log.cleaner.enable",
        Bool,
        Some("true"),
        "Whether logs with cleanup.policy=compact are compacted.",
    ),
    key(
        "log.cleaner.threads",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("1"),
        "Threads that compact logs.",
    ),
    key(
        "log.cleaner.dedupe.buffer.size",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("134217728"),
        "Memory for the keys of the logs being compacted, of all threads together.",
    ),
    key(
        "log.cleaner.dedupe.buffer.load.factor",
        Double {
            min: f64::MIN,
            max: f64::MAX,
        },
        Some("0.9"),
        "The part of that memory that may be filled.",
    ),
    key(
        "log.cleaner.io.buffer.size",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("524288"),
        "Memory for reading and writing, of all threads together.",
    ),
    key(
        "log.cleaner.io.max.bytes.per.second",
        Double {
            min: f64::MIN,
            max: f64::MAX,
        },
        Some("1.7976931348623157E308"),
        "Bytes that compaction reads and writes in a second, of all threads together.",
    ),
    key(
        "log.cleaner.backoff.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("15000"),
        "How long a thread rests when no log needs compaction.",
    ),
    key(
        "log.cleaner.min.cleanable.ratio",
        Double { min: 0.0, max: 1.0 },
        Some("0.5"),
        "A log is compacted when this part of it has changed since the last time.",
    ),
    key(
        "log.cleaner.delete.retention.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("86400000"),
        "How long a tombstone stays after it was first met by compaction.",
    ),
    key(
        "log.cleaner.min.compaction.lag.ms",
        Long {
            min: 0,
            max: i64::MAX,
        },
        Some("0"),
        "How long a record is left uncompacted at least.",
    ),
    key(
        "log.cleaner.max.compaction.lag.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("9223372036854775807"),
        "How long a record is left uncompacted at most.",
    ),
];
