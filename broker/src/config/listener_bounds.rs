//! `listener.name.<name>.max.connections` and `...max.connection.creation.rate`:
//! what one listener takes, whatever the broker does (KIP-402, KIP-612).

use std::collections::HashMap;

use super::ListenerAddress;
use super::catalog::{self, ValueError};
use super::dynamic::Props;

const CONNECTIONS: &str = "max.connections";
const RATE: &str = "max.connection.creation.rate";
/// Those that a listener may have of its own.
const KEYS: [&str; 2] = [CONNECTIONS, RATE];

/// The bounds of listeners, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerBounds {
    pub connections: HashMap<String, usize>,
    /// Connections per second.
    pub rates: HashMap<String, i32>,
    /// The listener at which brokers reach each other, where clients have others:
    /// what those use up does not keep brokers out.
    pub protected: Option<String>,
}

/// Whether `key` is in effect for a listener, with its prefix.
pub(super) fn is_bound(key: &str) -> bool {
    parts(key).is_some()
}

/// Name of the listener, in lower case, and the key itself.
fn parts(key: &str) -> Option<(&str, &'static str)> {
    let (listener, own) = key.strip_prefix("listener.name.")?.split_once('.')?;
    let known = KEYS.into_iter().find(|known| *known == own)?;
    Some((listener, known))
}

impl ListenerBounds {
    /// Reads them out of all that was written. What is said of listeners that are
    /// not there concerns nobody.
    pub fn of(
        written: &Props,
        listeners: &[ListenerAddress],
        inter_broker: &str,
    ) -> Result<Self, ValueError> {
        let mut bounds = Self {
            protected: (listeners.len() > 1).then(|| inter_broker.to_owned()),
            ..Self::default()
        };
        for (key, value) in written {
            let Some((listener, own)) = parts(key) else {
                continue;
            };
            if let Some(entry) = catalog::lookup(own) {
                entry.check(own, value)?;
            }
            let is_meant = |address: &&ListenerAddress| address.name.to_lowercase() == listener;
            let Some(address) = listeners.iter().find(is_meant) else {
                tracing::warn!(key, "there is no such listener");
                continue;
            };
            // Checked above.
            let number: i32 = value.trim().parse().unwrap_or(i32::MAX);
            match own {
                CONNECTIONS => {
                    let count = usize::try_from(number).unwrap_or(0);
                    bounds.connections.insert(address.name.clone(), count);
                }
                _ => drop(bounds.rates.insert(address.name.clone(), number)),
            }
        }
        Ok(bounds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str) -> ListenerAddress {
        ListenerAddress {
            name: name.to_owned(),
            host: String::new(),
            port: 0,
        }
    }

    fn read(pairs: &[(&str, &str)], names: &[&str]) -> Result<ListenerBounds, ValueError> {
        let pairs = pairs.iter();
        let written = pairs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let listeners: Vec<_> = names.iter().map(|name| listener(name)).collect();
        ListenerBounds::of(&written.collect(), &listeners, "INTERNAL")
    }

    #[test]
    fn keys_with_the_prefix_of_a_listener_are_its_own() {
        let bounds = read(
            &[
                ("listener.name.external.max.connections", " 7 "),
                ("listener.name.external.max.connection.creation.rate", "3"),
                ("listener.name.gone.max.connections", "1"),
                ("listener.name.external.ssl.keystore.location", "/x"),
                ("max.connections", "99"),
            ],
            &["INTERNAL", "EXTERNAL"],
        );
        let bounds = bounds.unwrap();
        assert_eq!(bounds.connections, HashMap::from([("EXTERNAL".into(), 7)]));
        assert_eq!(bounds.rates, HashMap::from([("EXTERNAL".into(), 3)]));
        assert_eq!(bounds.protected.as_deref(), Some("INTERNAL"));
        assert_eq!(read(&[], &["INTERNAL"]).unwrap().protected, None);
        let wrong = read(&[("listener.name.a.max.connections", "-1")], &["A"]);
        assert_eq!(
            wrong.unwrap_err().to_string(),
            "Invalid value -1 for configuration max.connections: Value must be at least 0"
        );
    }
}
