//! The keys about what is kept on disk.

use common::config::{Key, Kind};

use super::{ANY_INT, INT, POSITIVE, key, optional};

pub(super) const KEYS: &[Key] = &[
    optional(
        "dataDir",
        Kind::Str,
        "Where snapshots are kept, and logs unless dataLogDir is set.",
    ),
    optional(
        "dataLogDir",
        Kind::Str,
        "Where transaction logs are kept; best on a disk of its own.",
    ),
    key(
        "snapCount",
        INT,
        "100000",
        "About how many transactions there are between snapshots, more when the tree is large; at least 2.",
    ),
    key(
        "preAllocSize",
        POSITIVE,
        "65536",
        "KiB; the largest step in which a log file grows.",
    ),
    key(
        "autopurge.snapRetainCount",
        ANY_INT,
        "3",
        "How many snapshots are kept, with the logs behind them; at least 3. Older ones are deleted after each snapshot.",
    ),
    key(
        "forceSync",
        Kind::OneOf(&["yes", "no"]),
        "yes",
        "no: do not wait for the disk. A power cut then loses acknowledged writes.",
    ),
    key(
        "fsync.warningthresholdms",
        INT,
        "1000",
        "Milliseconds; a wait for the disk that takes longer is logged and counted.",
    ),
];
