//! Kafka's keys that are known but have no effect here, and why.
//!
//! An existing `server.properties` starts unchanged; each such key is named
//! once in the log, with its reason, so nobody relies on it in silence.

/// Keys by the reason; one that ends with a dot, or is the beginning of a word,
/// stands for all that begin so.
const WITHOUT_EFFECT: &[(&str, &[&str])] = &[
    (
        "classes of a JVM are not loaded here",
        &[
            "alter.config.policy.class.name",
            "auto.include.jmx.reporter",
            "client.quota.callback.class",
            "create.topic.policy.class.name",
            "kafka.metrics.",
            "metric",
            "principal.builder.class",
            "security.providers",
            "zookeeper.clientCnxnSocket",
        ],
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
            "log.message.format.version",
            "offsets.commit.required.acks",
            "port",
        ],
    ),
    (
        "the controller has no listener of its own",
        &["control.plane.listener.name"],
    ),
    ("lz4 has one level here", &["compression.lz4.level"]),
    (
        "the kernel's own value is taken",
        &["replica.socket.receive.buffer.bytes"],
    ),
    (
        "a thousand connections may wait to be accepted",
        &["socket.listen.backlog.size"],
    ),
    (
        "a connection to another broker has as long as the request that wants it",
        &[
            "socket.connection.setup.timeout.max.ms",
            "socket.connection.setup.timeout.ms",
        ],
    ),
    ("of another vendor", &["confluent."]),
];

/// Families of keys: every key that begins so.
const FAMILIES: [&str; 1] = ["metric"];

/// Why `key`, which Kafka knows, does nothing here; `None` for what Kafka does
/// not know either.
#[must_use]
pub(super) fn reason(key: &str) -> Option<&'static str> {
    let is_meant = |name: &&'static str| {
        let is_family = name.ends_with('.') || FAMILIES.contains(name);
        *name == key || (is_family && key.starts_with(*name))
    };
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
