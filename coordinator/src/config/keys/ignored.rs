//! Keys that existing files have and that change nothing here.

use common::config::{Key, Kind};

use super::{ANY_INT, INT, ignored};

pub(super) const KEYS: &[Key] = &[
    ignored("initLimit", INT),
    ignored("syncLimit", INT),
    ignored("connectToLearnerMasterLimit", INT),
    ignored("electionAlg", INT),
    ignored("autopurge.purgeInterval", INT),
    ignored("clientPortListenBacklog", ANY_INT),
    ignored("maxCnxns", INT),
    ignored("flushDelay", INT),
    ignored("maxWriteQueuePollTime", INT),
    ignored("maxBatchSize", INT),
    ignored("fsync.warningthresholdms", INT),
    ignored("standaloneEnabled", Kind::Bool),
    ignored("quorumListenOnAllIPs", Kind::Bool),
    ignored("localSessionsEnabled", Kind::Bool),
    ignored("localSessionsUpgradingEnabled", Kind::Bool),
    ignored("snapshot.trust.empty", Kind::Bool),
    ignored("snapshot.compression.method", Kind::Str),
    ignored("snapSizeLimitInKb", INT),
    ignored("syncEnabled", Kind::Bool),
    ignored("admin.idleTimeout", INT),
    ignored("admin.commandURL", Kind::Str),
    ignored("metricsProvider.className", Kind::Str),
    ignored("metricsProvider.httpHost", Kind::Str),
    ignored("metricsProvider.httpPort", ANY_INT),
    ignored("metricsProvider.exportJvmInfo", Kind::Bool),
    ignored("request.timeout", INT),
    ignored("audit.enable", Kind::OneOf(&["false"])),
    ignored("readonlymode.enabled", Kind::OneOf(&["false"])),
    ignored("sslQuorum", Kind::OneOf(&["false"])),
    ignored("ssl.quorum.reloadCertFiles", Kind::Bool),
    ignored("client.portUnification", Kind::OneOf(&["false"])),
    ignored("dynamicConfigFile", Kind::OneOf(&[""])),
];
