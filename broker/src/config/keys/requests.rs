//! Keys of what one request or connection may take.

use common::config::Key;
use common::config::Kind::Int;

use super::key;

pub(super) const KEYS: &[Key] = &[
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
];
