//! The keys about nodes: their kinds and quotas.

use common::config::{Key, Kind};

use super::{INT, POSITIVE, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "extendedTypesEnabled",
        Kind::Bool,
        "false",
        "Whether nodes with a time to live can be created.",
    ),
    key(
        "znode.container.checkIntervalMs",
        POSITIVE,
        "60000",
        "How often container and TTL nodes are looked through for those to remove.",
    ),
    key(
        "znode.container.maxPerMinute",
        POSITIVE,
        "10000",
        "The most container and TTL nodes that are removed in a minute.",
    ),
    key(
        "znode.container.maxNeverUsedIntervalMs",
        INT,
        "0",
        "After so long a container is removed that never had a child; 0 keeps it.",
    ),
    key(
        "enforceQuota",
        Kind::Bool,
        "false",
        "Whether requests that exceed a hard quota are refused.",
    ),
    key(
        "reconfigEnabled",
        Kind::Bool,
        "false",
        "Decides only about the error of a reconfiguration: a single server has no members to change.",
    ),
];
