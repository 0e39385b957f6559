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
        "Bytes; the largest request. Whoever sends a larger one loses the connection; the log names the request.",
    ),
    key(
        "jute.maxbuffer.refuse",
        Kind::Bool,
        "false",
        "Whether a larger request is answered with the error BadArguments, and the connection goes on. (No key of ZooKeeper's.)",
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
