//! Kafka's keys that are known but have no effect here (yet).
//!
//! An existing `server.properties` starts unchanged; each such key is named
//! once in the log, so nobody relies on it in silence.

/// Keys that say something about a JVM, a thread pool or a feature that this
/// broker does not have.
const NAMES: &[&str] = &[
    "alter.config.policy.class.name",
    "alter.log.dirs.replication.quota.window.num",
    "alter.log.dirs.replication.quota.window.size.seconds",
    "auto.include.jmx.reporter",
    "background.threads",
    "client.quota.callback.class",
    "compression.lz4.level",
    "connection.failed.authentication.delay.ms",
    "connections.max.reauth.ms",
    "control.plane.listener.name",
    "controller.listener.names",
    "controller.quorum.voters",
    "controller.quota.window.num",
    "controller.quota.window.size.seconds",
    "create.topic.policy.class.name",
    "delete.records.purgatory.purge.interval.requests",
    "early.start.listeners",
    "eligible.leader.replicas.enable",
    "fetch.purgatory.purge.interval.requests",
    "host.name",
    "advertised.host.name",
    "advertised.port",
    "port",
    "log.dir.failure.timeout.ms",
    "log.message.format.version",
    "max.connection.creation.rate",
    "max.connections.per.ip.overrides",
    "max.request.partition.size.limit",
    "node.id",
    "num.io.threads",
    "num.network.threads",
    "num.replica.alter.log.dirs.threads",
    "offsets.commit.required.acks",
    "principal.builder.class",
    "process.roles",
    "producer.purgatory.purge.interval.requests",
    "queued.max.requests",
    "quota.window.num",
    "quota.window.size.seconds",
    "replication.quota.window.num",
    "replication.quota.window.size.seconds",
    "request.timeout.ms",
    "security.providers",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "socket.listen.backlog.size",
    "super.users",
    "allow.everyone.if.no.acl.found",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.max.timeout.ms",
    "transaction.partition.verification.enable",
    "transaction.remove.expired.transaction.cleanup.interval.ms",
    "transactional.id.expiration.ms",
    "unclean.leader.election.interval.ms",
    "zookeeper.clientCnxnSocket",
    "zookeeper.set.acl",
];

/// Families of keys of which the same is true.
const PREFIXES: &[&str] = &[
    "broker.heartbeat.",
    "broker.session.",
    "confluent.",
    "controller.quorum.",
    "delegation.token.",
    "group.consumer.",
    "group.coordinator.",
    "group.share.",
    "initial.broker.registration.",
    "kafka.metrics.",
    "listener.name.",
    "log.local.",
    "metadata.",
    "metric",
    "password.encoder.",
    "remote.",
    "replica.",
    "sasl.",
    "ssl.",
    "telemetry.",
    "transaction.state.log.",
    "zookeeper.metadata.",
    "zookeeper.ssl.",
];

/// Says whether Kafka knows `key`, though it does nothing here.
#[must_use]
pub(super) fn is_accepted(key: &str) -> bool {
    NAMES.contains(&key) || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::TABLE;

    #[test]
    fn no_key_is_in_both_lists() {
        for name in NAMES {
            assert!(TABLE.get(name).is_none(), "{name} is in effect");
        }
        assert!(is_accepted("log.local.retention.ms"));
        assert!(!is_accepted("num.partition"));
    }
}
