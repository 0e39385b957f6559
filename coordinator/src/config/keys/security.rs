//! The keys about who may do what.

use common::config::{Key, Kind};

use super::{key, optional};

pub(super) const KEYS: &[Key] = &[
    optional(
        "DigestAuthenticationProvider.superDigest",
        Kind::Password,
        "super:<hash>; who proves to be this user passes every ACL.",
    ),
    key(
        "skipACL",
        Kind::OneOf(&["yes", "no"]),
        "no",
        "yes: nobody's permissions are checked.",
    ),
];
