//! The keys that are in effect, with types and defaults as in Kafka 3.9.
//!
//! `config/broker.properties` documents each of them (checked by test).

mod cleaner;
mod log;
mod replication;
mod requests;
mod transactions;

use common::config::Kind::{Bool, Int, List, Long, OneOf, Str};
use common::config::{Key, Kind, Table};

/// Every key that does something.
pub const TABLE: Table = Table::new(&joined::<{ count() }>());

/// The keys of the subjects that have a file of their own, and all others.
const GROUPS: &[&[Key]] = &[
    log::KEYS,
    cleaner::KEYS,
    requests::KEYS,
    replication::KEYS,
    transactions::KEYS,
    KEYS,
];

const fn count() -> usize {
    let (mut all, mut group) = (0, 0);
    while group < GROUPS.len() {
        all += GROUPS[group].len();
        group += 1;
    }
    all
}

const fn joined<const N: usize>() -> [Key; N] {
    let mut all = [GROUPS[0][0]; N];
    let (mut at, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut index = 0;
        while index < GROUPS[group].len() {
            all[at] = GROUPS[group][index];
            at += 1;
            index += 1;
        }
        group += 1;
    }
    all
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    doc: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        doc,
    }
}

const KEYS: &[Key] = &[
    // Identity
    key(
        "broker.id",
        Int {
            min: -1,
            max: i32::MAX,
        },
        Some("-1"),
        "The id of this broker, unique in the cluster; -1 takes a generated one.",
    ),
    key(
        "broker.id.generation.enable",
        Bool,
        Some("true"),
        "Whether an id may be generated when broker.id is -1.",
    ),
    key(
        "reserved.broker.max.id",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("1000"),
        "Generated ids are larger than this.",
    ),
    key(
        "broker.rack",
        Str,
        None,
        "The rack of this broker, shown in metadata.",
    ),
    // Coordinator
    key(
        "zookeeper.connect",
        Str,
        None,
        "Hosts of the coordinator (or ZooKeeper), host:port,... with an optional /chroot.",
    ),
    key(
        "zookeeper.session.timeout.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("18000"),
        "How long the coordinator keeps this broker's registration without a sign of life.",
    ),
    key(
        "zookeeper.connection.timeout.ms",
        Int {
            min: 1,
            max: i32::MAX,
        },
        None,
        "How long the start waits for the coordinator; the session timeout when absent.",
    ),
    key(
        "zookeeper.max.in.flight.requests",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("10"),
        "Requests to the coordinator that may wait for their answers.",
    ),
    // Sockets
    key(
        "listeners",
        List,
        Some("PLAINTEXT://:9092"),
        "Where clients connect: NAME://host:port, comma separated; an empty host means every address.",
    ),
    key(
        "advertised.listeners",
        List,
        None,
        "What clients are told to connect to; the listeners when absent.",
    ),
    key(
        "listener.security.protocol.map",
        List,
        Some("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"),
        "The security protocol of each listener name. Only PLAINTEXT is served.",
    ),
    key(
        "inter.broker.listener.name",
        Str,
        None,
        "The listener that brokers use among themselves.",
    ),
    key(
        "security.inter.broker.protocol",
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        Some("PLAINTEXT"),
        "The security protocol among brokers when inter.broker.listener.name is absent.",
    ),
    key(
        "socket.request.max.bytes",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("104857600"),
        "The largest request that is read from a client.",
    ),
    key(
        "max.connections",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("2147483647"),
        "Connections that this broker accepts.",
    ),
    key(
        "max.connections.per.ip",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("2147483647"),
        "Connections that this broker accepts from one address.",
    ),
    key(
        "max.connections.per.ip.overrides",
        Str,
        Some(""),
        "Other bounds for single hosts: host:count, comma separated.",
    ),
    key(
        "connections.max.idle.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("600000"),
        "An idle connection is closed after this time.",
    ),
    // Topics
    key(
        "num.partitions",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("1"),
        "Partitions of an automatically created topic.",
    ),
    key(
        "default.replication.factor",
        Int { min: 1, max: 32767 },
        Some("1"),
        "Replicas of an automatically created topic.",
    ),
    key(
        "auto.create.topics.enable",
        Bool,
        Some("true"),
        "Whether a topic is created when a client first asks for it.",
    ),
    key(
        "delete.topic.enable",
        Bool,
        Some("true"),
        "Whether topics can be deleted.",
    ),
    key(
        "min.insync.replicas",
        Int {
            min: 1,
            max: i32::MAX,
        },
        Some("1"),
        "In-sync replicas that a write with acks=all needs.",
    ),
    key(
        "unclean.leader.election.enable",
        Bool,
        Some("false"),
        "Whether a replica out of sync may become leader when no other lives.",
    ),
    // Groups
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
    // Admin
    key(
        "admin.enableServer",
        Bool,
        Some("true"),
        "Whether the admin pages are served over HTTP.",
    ),
    key(
        "admin.serverAddress",
        Str,
        Some("127.0.0.1"),
        "The address of the admin pages.",
    ),
    key(
        "admin.serverPort",
        Int { min: 0, max: 65535 },
        Some("8081"),
        "The port of the admin pages; a busy default moves to the next free one.",
    ),
    key(
        "log.level",
        Str,
        Some("info"),
        "What is logged, as in RUST_LOG, which wins over this.",
    ),
];
