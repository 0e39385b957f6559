//! What an operator wrote, before it is looked at key by key: prefixes taken off,
//! what would be silently missing refused, what changes nothing noted.

use common::config::{Properties, Values};

use super::Error;
use super::keys::{KEYS, NO_EFFECT};

/// Prefixes of keys that would make a server of an ensemble, or one with TLS.
const NOT_YET: [(&str, &str); 4] = [
    ("server.", "ensembles are not served yet"),
    ("secureClientPort", "TLS is not served yet"),
    (
        "authProvider.",
        "authentication providers are not served yet",
    ),
    (
        "requireClientAuthScheme",
        "authentication providers are not served yet",
    ),
];

/// ZooKeeper takes its system properties from the same file, with or without
/// their prefix.
pub(super) fn without_prefix(properties: &Properties) -> Properties {
    let mut stripped = Properties::default();
    for (key, value, origin) in properties.iter() {
        let key = key.strip_prefix("zookeeper.").unwrap_or(key);
        stripped.set(key, value, origin.clone());
    }
    stripped
}

pub(super) fn refuse_not_yet(properties: &Properties) -> Result<(), Error> {
    for (key, value, origin) in properties.iter() {
        let reason = NOT_YET.iter().find(|(prefix, _)| key.starts_with(prefix));
        if let Some((_, problem)) = reason {
            return Err(Error::Problem {
                origin: origin.clone(),
                key: key.to_owned(),
                value: value.to_owned(),
                problem,
            });
        }
    }
    Ok(())
}

/// A note about each key that was written and changes nothing.
pub(super) fn without_effect(values: &Values) -> Vec<String> {
    KEYS.iter()
        .filter(|key| key.doc == NO_EFFECT)
        .filter_map(|key| values.origin(key.name).map(|origin| (key.name, origin)))
        .map(|(name, origin)| format!("{origin}: '{name}' is accepted without effect"))
        .collect()
}
