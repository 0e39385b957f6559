//! The keys about time and sessions.

use common::config::Key;

use super::{ANY_INT, POSITIVE, key};

pub(super) const KEYS: &[Key] = &[
    key(
        "tickTime",
        POSITIVE,
        "3000",
        "Milliseconds; sessions expire at multiples of it.",
    ),
    key(
        "minSessionTimeout",
        ANY_INT,
        "-1",
        "Milliseconds; -1 for two ticks.",
    ),
    key(
        "maxSessionTimeout",
        ANY_INT,
        "-1",
        "Milliseconds; -1 for twenty ticks.",
    ),
];
