//! Keys of what one request may take, and of what is made of its records.

use common::config::Key;
use common::config::Kind::{Bool, Int, Long};

use super::key;

const WINDOWS: common::config::Kind = Int {
    min: 1,
    max: i32::MAX,
};

pub(super) const KEYS: &[Key] = &[
    key(
        "quota.window.num",
        WINDOWS,
        Some("11"),
        "Windows over which clients' rates are taken, the current one among them.",
    ),
    key(
        "quota.window.size.seconds",
        WINDOWS,
        Some("1"),
        "Length of one of these windows.",
    ),
    key(
        "controller.quota.window.num",
        WINDOWS,
        Some("11"),
        "Windows for which created and deleted partitions can be saved.",
    ),
    key(
        "controller.quota.window.size.seconds",
        WINDOWS,
        Some("1"),
        "Length of one of these windows.",
    ),
    key(
        "max.connection.creation.rate",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("2147483647"),
        "Connections per second that this broker accepts.",
    ),
    key(
        "request.timeout.ms",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("30000"),
        "How long the markers that end transactions wait for in-sync replicas.",
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
    key(
        "max.incremental.fetch.session.cache.slots",
        Int {
            min: 0,
            max: i32::MAX,
        },
        Some("1000"),
        "The most fetch sessions that are kept at a time.",
    ),
    key(
        "queued.max.request.bytes",
        Long {
            min: -1,
            max: i64::MAX,
        },
        Some("-1"),
        "Memory for requests; beyond it nothing is read. -1: no bound.",
    ),
    key(
        "socket.receive.buffer.bytes",
        Int {
            min: -1,
            max: i32::MAX,
        },
        Some("102400"),
        "The kernel's buffer for what a connection receives; -1: the kernel's own.",
    ),
    key(
        "socket.send.buffer.bytes",
        Int {
            min: -1,
            max: i32::MAX,
        },
        Some("102400"),
        "The kernel's buffer for what a connection sends; -1: the kernel's own.",
    ),
    key(
        "socket.listen.backlog.size",
        Int {
            min: 1,
            max: i32::MAX,
        },
        None,
        "Connections that may wait to be accepted, within the system's own bound; without it 1024.",
    ),
    key(
        "compression.gzip.level",
        Int { min: -1, max: 9 },
        Some("-1"),
        "How hard topics with compression.type=gzip compress; -1: the codec's default.",
    ),
    key(
        "compression.zstd.level",
        Int {
            min: -131_072,
            max: 22,
        },
        Some("3"),
        "How hard topics with compression.type=zstd compress.",
    ),
    key(
        "log.message.downconversion.enable",
        Bool,
        Some("true"),
        "Whether clients before Kafka 0.11 get records, converted for them.",
    ),
];
