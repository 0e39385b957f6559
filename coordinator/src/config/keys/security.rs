//! The keys about who may do what.

use common::config::{Key, Kind};

use super::optional;

pub(super) const KEYS: &[Key] = &[optional(
    "DigestAuthenticationProvider.superDigest",
    Kind::Password,
    "super:<hash>; who proves to be this user passes every ACL.",
)];
