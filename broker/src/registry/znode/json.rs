//! JSON helpers: one error, objects with a fixed key order, and the order in
//! which the JVM's hash maps give their keys.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A znode whose content is not what Kafka writes there.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("{what} is not valid JSON of the expected shape: {source}")]
    Json {
        what: &'static str,
        source: serde_json::Error,
    },
    #[error("{what} has a wrong value for `{field}`")]
    Field {
        what: &'static str,
        field: &'static str,
    },
    #[error("{what} has version {version}, which this broker does not know")]
    Version { what: &'static str, version: i64 },
}

/// Decodes a whole znode.
pub(super) fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Malformed> {
    serde_json::from_slice(bytes).map_err(|source| Malformed::Json { what, source })
}

/// An object with its keys in the given order.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    let mut map = Map::with_capacity(N);
    for (key, value) in fields {
        map.insert(key.to_owned(), value);
    }
    map
}

pub(super) fn to_bytes(map: Map<String, Value>) -> Vec<u8> {
    Value::Object(map).to_string().into_bytes()
}

/// `String.hashCode` of the JVM.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// Size of a hash table that began at 16 slots and grew at three quarters.
fn table_size(keys: usize) -> usize {
    let mut size = 16usize;
    while keys * 4 >= size * 3 {
        size *= 2;
    }
    size
}

#[allow(clippy::cast_sign_loss)]
fn spread(text: &str) -> (u32, i32) {
    let hash = java_hash(text);
    let spread = hash ^ ((hash as u32 >> 16) as i32);
    (spread as u32, spread)
}

/// Sorts `keys` as a growing Scala `mutable.HashMap` iterates them: by slot,
/// and by hash within a slot. Kafka's topic znodes have their partitions so.
pub(super) fn sort_as_scala_map<T>(entries: &mut [T], key: impl Fn(&T) -> String) {
    let mask = table_size(entries.len()) - 1;
    entries.sort_by_cached_key(|entry| {
        let (unsigned, signed) = spread(&key(entry));
        (unsigned as usize & mask, signed)
    });
}

/// Sorts `keys` as `java.util.Properties` iterates them: by slot, and by
/// insertion within a slot. Kafka's config znodes have their keys so.
pub(super) fn sort_as_properties<T>(entries: &mut [T], key: impl Fn(&T) -> String) {
    let mask = table_size(entries.len()) - 1;
    entries.sort_by_cached_key(|entry| spread(&key(entry)).0 as usize & mask);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_come_in_the_order_of_the_jvm() {
        let mut keys: Vec<i32> = (0..14).collect();
        sort_as_scala_map(&mut keys, ToString::to_string);
        assert_eq!(keys, [11, 12, 13, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn properties_come_in_the_order_of_the_jvm() {
        let mut keys = vec!["retention.ms", "cleanup.policy"];
        sort_as_properties(&mut keys, ToString::to_string);
        assert_eq!(keys, ["cleanup.policy", "retention.ms"]);
    }
}
