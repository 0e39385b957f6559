//! Kafka's keys that are known but have no effect here, and why.
//!
//! An existing `server.properties` starts unchanged; each such key is named
//! once in the log, with its reason, so nobody relies on it in silence.

/// Keys by the reason; one that ends with a dot stands for all that begin so.
const WITHOUT_EFFECT: &[(&str, &[&str])] = &[
    (
        "classes of a JVM are not loaded here",
        &[
            "auto.include.jmx.reporter",
            "kafka.metrics.",
            "metric.reporters",
            "principal.builder.class",
            "security.providers",
            "zookeeper.clientCnxnSocket",
        ],
    ),
    (
        "policies and callbacks are classes of a JVM: nobody is refused by them here",
        &[
            "alter.config.policy.class.name",
            "client.quota.callback.class",
            "create.topic.policy.class.name",
        ],
    ),
    (
        "metrics are counted from the start on, without samples, windows and levels",
        &["metrics."],
    ),
    (
        "there are no pools of threads and no purgatories to size",
        &[
            "background.threads",
            "delete.records.purgatory.purge.interval.requests",
            "fetch.purgatory.purge.interval.requests",
            "num.io.threads",
            "num.network.threads",
            "producer.purgatory.purge.interval.requests",
            "queued.max.requests",
        ],
    ),
    (
        "listeners have neither TLS nor SASL, and nobody is authorised; what would ask for it is refused at the start",
        &[
            "allow.everyone.if.no.acl.found",
            "connection.failed.authentication.delay.ms",
            "connections.max.reauth.ms",
            "delegation.token.",
            "listener.name.",
            "password.encoder.",
            "sasl.",
            "ssl.",
            "super.users",
            "zookeeper.set.acl",
            "zookeeper.ssl.",
        ],
    ),
    (
        "of clusters without ZooKeeper",
        &[
            "broker.heartbeat.",
            "broker.session.",
            "controller.listener.names",
            "controller.quorum.",
            "controller.quorum.voters",
            "early.start.listeners",
            "eligible.leader.replicas.enable",
            "log.dir.failure.timeout.ms",
            "max.request.partition.size.limit",
            "initial.broker.registration.",
            "metadata.",
            "node.id",
            "process.roles",
            "telemetry.",
            "unclean.leader.election.interval.ms",
            "zookeeper.metadata.",
        ],
    ),
    (
        "the protocol of KIP-848 and share groups are not spoken with ZooKeeper",
        &["group.consumer.", "group.coordinator.", "group.share."],
    ),
    ("tiered storage is not there", &["log.local.", "remote."]),
    (
        "Kafka gave it up, or gives it no effect either",
        &[
            "advertised.host.name",
            "advertised.port",
            "host.name",
            "port",
        ],
    ),
    (
        "records are stored in format 2, as Kafka does from inter.broker.protocol.version 3.0 on",
        &["log.message.format.version"],
    ),
    (
        "a commit always waits for all in-sync replicas",
        &["offsets.commit.required.acks"],
    ),
    (
        "the controller has no listener of its own",
        &["control.plane.listener.name"],
    ),
    ("lz4 has one level here", &["compression.lz4.level"]),
    (
        "a connection to another broker that is not there within five seconds is tried anew",
        &[
            "socket.connection.setup.timeout.max.ms",
            "socket.connection.setup.timeout.ms",
        ],
    ),
    ("of another vendor", &["confluent."]),
];

/// Why `key`, which Kafka knows, does nothing here; `None` for what Kafka does
/// not know either.
#[must_use]
pub(super) fn reason(key: &str) -> Option<&'static str> {
    let is_meant =
        |name: &&'static str| *name == key || (name.ends_with('.') && key.starts_with(*name));
    let found = WITHOUT_EFFECT
        .iter()
        .find(|(_, names)| names.iter().any(is_meant));
    found.map(|(reason, _)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::TABLE;

    #[test]
    fn no_key_is_in_both_lists() {
        for name in WITHOUT_EFFECT.iter().flat_map(|(_, names)| *names) {
            assert!(TABLE.get(name).is_none(), "{name} is in effect");
        }
        assert!(reason("log.local.retention.ms").is_some());
        assert!(reason("metrics.num.samples").is_some());
        assert_eq!(reason("num.partition"), None);
    }
}
