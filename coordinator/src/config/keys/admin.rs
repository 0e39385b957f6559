//! The keys about what operators see.

use common::config::{Key, Kind};

use super::{PORT, POSITIVE, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "4lw.commands.whitelist",
        Kind::List,
        "srvr",
        "The four-letter words that are answered, * for all; srvr always is.",
    ),
    key(
        "admin.enableServer",
        Kind::Bool,
        "true",
        "Whether there is an admin port.",
    ),
    key(
        "admin.serverAddress",
        Kind::Str,
        "127.0.0.1",
        "The address of the admin port. (ZooKeeper's default is all addresses.)",
    ),
    key(
        "admin.serverPort",
        PORT,
        "8080",
        "The admin port. If it is not set and busy, the next free one is taken.",
    ),
    key(
        "admin.commandURL",
        Kind::Str,
        "/commands",
        "Where the commands of ZooKeeper's AdminServer are found on the admin port.",
    ),
    key(
        "admin.idleTimeout",
        POSITIVE,
        "30000",
        "Milliseconds that a connection to the admin port may wait with its next request.",
    ),
    key(
        "admin.snapshot.enabled",
        Kind::Bool,
        "true",
        "Whether the command snapshot is served, to callers on this machine.",
    ),
    key(
        "admin.rateLimiterIntervalInMS",
        POSITIVE,
        "300000",
        "Milliseconds between two snapshots that are asked for over HTTP.",
    ),
    key(
        "metricsProvider.className",
        Kind::Str,
        "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider",
        "With org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider, /metrics has a port of its own. (It is on the admin port always.)",
    ),
    key(
        "metricsProvider.httpHost",
        Kind::Str,
        "0.0.0.0",
        "The address of the port for Prometheus.",
    ),
    key(
        "metricsProvider.httpPort",
        PORT,
        "7000",
        "The port for Prometheus.",
    ),
    key(
        "log.level",
        Kind::OneOf(&["error", "warn", "info", "debug", "trace"]),
        "info",
        "What is logged to standard error. RUST_LOG in the environment goes before it.",
    ),
];
