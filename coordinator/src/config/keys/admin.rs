//! The keys about what operators see.

use common::config::{Key, Kind};

use super::{PORT, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "4lw.commands.whitelist",
        Kind::List,
        "srvr,ruok,stat,mntr,isro",
        "The four-letter words that are answered, * for all. (ZooKeeper's default is srvr alone.)",
    ),
    key(
        "admin.enableServer",
        Kind::Bool,
        "true",
        "Whether there is an admin port.",
    ),
    key(
        "admin.serverAddress",
        Kind::Str,
        "127.0.0.1",
        "The address of the admin port. (ZooKeeper's default is all addresses.)",
    ),
    key(
        "admin.serverPort",
        PORT,
        "8080",
        "The admin port. If it is not set and busy, the next free one is taken.",
    ),
];
