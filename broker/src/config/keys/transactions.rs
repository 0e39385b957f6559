//! Keys of transactions and their internal topic.

use common::config::Kind::{Bool, Int};
use common::config::{Key, Kind};

use super::key;

const POSITIVE: Kind = Int {
    min: 1,
    max: i32::MAX,
};

pub(super) const KEYS: &[Key] = &[
    key(
        "transaction.max.timeout.ms",
        POSITIVE,
        Some("900000"),
        "The longest transaction timeout that a producer may ask for.",
    ),
    key(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        POSITIVE,
        Some("10000"),
        "How often transactions that are open for too long are looked for.",
    ),
    key(
        "transactional.id.expiration.ms",
        POSITIVE,
        Some("604800000"),
        "How long a transactional id is kept that nobody uses.",
    ),
    key(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        POSITIVE,
        Some("3600000"),
        "How often such ids are looked for.",
    ),
    key(
        "transaction.state.log.load.buffer.size",
        POSITIVE,
        Some("5242880"),
        "Bytes that are read at a time when transactions are loaded.",
    ),
    key(
        "transaction.state.log.num.partitions",
        POSITIVE,
        Some("50"),
        "Partitions of __transaction_state.",
    ),
    key(
        "transaction.state.log.replication.factor",
        Int { min: 1, max: 32767 },
        Some("3"),
        "Replicas of __transaction_state.",
    ),
    key(
        "transaction.state.log.min.isr",
        POSITIVE,
        Some("2"),
        "In-sync replicas that a change in __transaction_state needs.",
    ),
    key(
        "transaction.state.log.segment.bytes",
        POSITIVE,
        Some("104857600"),
        "Segment size of __transaction_state.",
    ),
    key(
        "transaction.partition.verification.enable",
        Bool,
        Some("true"),
        "Whether a partition takes a transaction's first batch only when its coordinator agrees.",
    ),
];
