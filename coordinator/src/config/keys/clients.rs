//! The keys about the client port and its limits.

use common::config::{Key, Kind};

use super::{ANY_INT, INT, PORT, POSITIVE, key, optional};

pub(super) const KEYS: &[Key] = &[
    key(
        "clientPort",
        PORT,
        "2181",
        "The port for clients; 0 takes a free one.",
    ),
    optional(
        "clientPortAddress",
        Kind::Str,
        "The address to listen on; all if not set.",
    ),
    key(
        "maxClientCnxns",
        ANY_INT,
        "60",
        "Connections per client address; 0 for any number.",
    ),
    key(
        "jute.maxbuffer",
        Kind::Int {
            min: 1024,
            max: 1 << 30,
        },
        "1048575",
        "Bytes; the largest request. A larger one closes the connection.",
    ),
    key(
        "globalOutstandingLimit",
        POSITIVE,
        "1000",
        "Requests waiting for the disk, above which no more are read.",
    ),
    key(
        "maxCnxns",
        INT,
        "0",
        "Connections in all; 0 for any number.",
    ),
];
