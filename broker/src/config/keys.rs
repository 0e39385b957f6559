//! The keys that are in effect, with types and defaults as in Kafka 3.9.
//!
//! `config/broker.properties` documents each of them (checked by test).

use common::config::Kind::{Bool, Int, List, Long, OneOf, Str};
use common::config::{Key, Kind, Table};

mod groups;
mod replication;

/// Every key that does something.
pub const TABLE: Table = Table::new(&KEYS);

const PARTS: &[&[Key]] = &[GENERAL, replication::KEYS, groups::KEYS];
const KEYS: [Key; count(PARTS)] = join(PARTS);

const fn count(parts: &[&[Key]]) -> usize {
    let (mut total, mut part) = (0, 0);
    while part < parts.len() {
        total += parts[part].len();
        part += 1;
    }
    total
}

const fn join<const N: usize>(parts: &[&[Key]]) -> [Key; N] {
    let mut all = [parts[0][0]; N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[at] = parts[part][index];
            at += 1;
            index += 1;
        }
        part += 1;
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

const GENERAL: &[Key] = &[
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
        "connections.max.idle.ms",
        Long {
            min: 1,
            max: i64::MAX,
        },
        Some("600000"),
        "An idle connection is closed after this time.",
    ),
    key(
        "fetch.max.bytes",
        Int {
            min: 1024,
            max: i32::MAX,
        },
        Some("57671680"),
        "The most bytes that one fetch is answered with.",
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
    // Log
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
