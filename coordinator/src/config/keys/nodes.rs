//! The keys about nodes: their kinds and quotas.

use common::config::{Key, Kind};

use super::key;

pub(super) const KEYS: &[Key] = &[key(
    "extendedTypesEnabled",
    Kind::OneOf(&["false"]),
    "false",
    "TTL nodes are not served yet.",
)];
