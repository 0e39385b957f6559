//! Keys of replication and of the controller.

use common::config::Key;
use common::config::Kind::{Bool, Int, Long, OneOf, Str};

use super::key;

pub(super) const KEYS: &[Key] = &[
    key(
        "replica.selector.class",
        OneOf(&[
            "",
            "org.apache.kafka.common.replica.LeaderSelector",
            "org.apache.kafka.common.replica.RackAwareReplicaSelector",
        ]),
        Some(""),
        "Where consumers are sent to read: RackAwareReplicaSelector sends them into their rack.",
    ),
    key(
        "inter.broker.protocol.version",
        Str,
        Some("3.9"),
        "What all brokers of the cluster speak among themselves; older while older brokers are in it.",
    ),
    key(
        "num.replica.fetchers",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("1"),
        "Connections that fetch from each leader.",
    ),
    key(
        "replica.socket.receive.buffer.bytes",
        Int {
            min: -1,
            max: i32::MAX,
        },
        None,
        "The kernel's buffer of a connection that fetches from a leader; without it, or -1, one that grows.",
    ),
    key(
        "replica.fetch.max.bytes",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("1048576"),
        "Bytes that a follower asks for of each partition.",
    ),
    key(
        "replica.fetch.response.max.bytes",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("10485760"),
        "Bytes that a follower asks for at a time.",
    ),
    key(
        "replica.fetch.min.bytes",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("1"),
        "Bytes that a follower waits for.",
    ),
    key(
        "replica.fetch.wait.max.ms",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("500"),
        "How long a leader may let a follower wait for records.",
    ),
    key(
        "replica.fetch.backoff.ms",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("1000"),
        "The longest pause of a follower after a failure.",
    ),
    key(
        "replica.socket.timeout.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("30000"),
        "How long a leader may take to answer a follower.",
    ),
    key(
        "replica.lag.time.max.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("30000"),
        "A follower that has not caught up for this time leaves the in-sync replicas.",
    ),
    key(
        "replica.high.watermark.checkpoint.interval.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("5000"),
        "How often high watermarks are written down.",
    ),
    key(
        "replication.quota.window.num",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("11"),
        "Windows over which the rate of throttled replication is measured.",
    ),
    key(
        "replication.quota.window.size.seconds",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("1"),
        "How long each of these windows is.",
    ),
    key(
        "alter.log.dirs.replication.quota.window.num",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("11"),
        "Windows over which the rate of moves between log directories is measured.",
    ),
    key(
        "alter.log.dirs.replication.quota.window.size.seconds",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("1"),
        "How long each of those is.",
    ),
    key(
        "num.replica.alter.log.dirs.threads",
        Int {
            min: 1,
            max: i32::MAX,
        },
        None,
        "Replicas that move between log directories at a time; as many as directories when unset.",
    ),
    key(
        "auto.leader.rebalance.enable",
        Bool,
        Some("true"),
        "Whether the controller moves leaders back to their preferred replicas.",
    ),
    key(
        "leader.imbalance.check.interval.seconds",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("300"),
        "How often the controller looks for leaders to move back.",
    ),
    key(
        "leader.imbalance.per.broker.percentage",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("10"),
        "Partitions of a broker that others may lead before they are moved back.",
    ),
    key(
        "controlled.shutdown.enable",
        Bool,
        Some("true"),
        "Whether leaders are moved away before this broker stops.",
    ),
    key(
        "controlled.shutdown.max.retries",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("3"),
        "How often a stopping broker asks the controller to move its leaders.",
    ),
    key(
        "controlled.shutdown.retry.backoff.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("5000"),
        "The longest pause between two of these requests.",
    ),
    key(
        "controller.socket.timeout.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("30000"),
        "How long a broker may take to answer what the controller asks.",
    ),
];
