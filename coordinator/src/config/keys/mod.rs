//! The table of keys: one file for each subject, and one for the keys that are
//! accepted without effect. A new key goes to the end of its subject's list and,
//! with the same words, into `config/coordinator.properties`.
//!
//! **Invariant:** names, types and defaults are ZooKeeper's unless the key's text
//! says otherwise.

mod admin;
mod clients;
pub(super) mod ignored;
mod nodes;
mod security;
mod sessions;
mod storage;

use common::config::{Key, Kind};

const INT: Kind = Kind::Int {
    min: 0,
    max: i32::MAX,
};
const ANY_INT: Kind = Kind::Int {
    min: -1,
    max: i32::MAX,
};
const POSITIVE: Kind = Kind::Int {
    min: 1,
    max: i32::MAX,
};
const PORT: Kind = Kind::Int { min: 0, max: 65535 };

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        doc,
    }
}

const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: None,
        doc,
    }
}

/// A key that is accepted for the sake of existing files, and changes nothing.
/// Whatever its value is, it does not stop the start.
const fn ignored(name: &'static str) -> Key {
    optional(name, Kind::Str, NO_EFFECT)
}

/// How the documentation of a key without effect begins.
pub(super) const NO_EFFECT: &str = "Accepted, without effect.";

const GROUPS: &[&[Key]] = &[
    storage::KEYS,
    clients::KEYS,
    sessions::KEYS,
    nodes::KEYS,
    security::KEYS,
    admin::KEYS,
    ignored::KEYS,
];

/// Every key.
pub const KEYS: &[Key] = &joined::<{ count() }>();

const fn count() -> usize {
    let (mut all, mut group) = (0, 0);
    while group < GROUPS.len() {
        all += GROUPS[group].len();
        group += 1;
    }
    all
}

const fn joined<const N: usize>() -> [Key; N] {
    let mut all = [GROUPS[0][0]; N];
    let (mut at, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut row = 0;
        while row < GROUPS[group].len() {
            all[at] = GROUPS[group][row];
            at += 1;
            row += 1;
        }
        group += 1;
    }
    all
}
