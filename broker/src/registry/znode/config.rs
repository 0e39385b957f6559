//! `/config/<type>/<name>` and the change notes under `/config/changes`.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{Malformed, decode, object, sort_as_properties, to_bytes};

/// What a configuration belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntityType {
    Topics,
    Clients,
    Users,
    Brokers,
    Ips,
}

impl EntityType {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Clients => "clients",
            Self::Users => "users",
            Self::Brokers => "brokers",
            Self::Ips => "ips",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Topics, Self::Clients, Self::Users, Self::Brokers, Self::Ips]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// One configured thing, with its name as the znode has it (URL-sanitised,
/// `<default>` for the default of the type, `u/clients/c` for nested users).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigEntity {
    pub entity_type: EntityType,
    pub name: String,
}

impl ConfigEntity {
    #[must_use]
    pub fn path(&self) -> String {
        format!("/config/{}", self.relative_path())
    }

    /// `topics/T`, as a change note names it.
    #[must_use]
    pub fn relative_path(&self) -> String {
        format!("{}/{}", self.entity_type.as_str(), self.name)
    }
}

#[must_use]
pub fn encode_config(config: &IndexMap<String, String>) -> Vec<u8> {
    let mut entries: Vec<(&String, &String)> = config.iter().collect();
    sort_as_properties(&mut entries, |(key, _)| (*key).clone());
    let config: Map<String, Value> =
        entries.into_iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    to_bytes(object([("version", json!(1)), ("config", Value::Object(config))]))
}

/// Empty data, and data without `config`, mean "no configuration", as in Kafka.
pub fn decode_config(bytes: &[u8]) -> Result<IndexMap<String, String>, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(default)]
        config: IndexMap<String, String>,
    }
    if bytes.is_empty() {
        return Ok(IndexMap::new());
    }
    decode::<Raw>("a config znode", bytes).map(|raw| raw.config)
}

#[must_use]
pub fn encode_change_note(entity: &ConfigEntity) -> Vec<u8> {
    to_bytes(object([("version", json!(2)), ("entity_path", json!(entity.relative_path()))]))
}

/// Reads a change note of version 1 (type and name) or 2 (path).
pub fn decode_change_note(bytes: &[u8]) -> Result<ConfigEntity, Malformed> {
    const WHAT: &str = "a config change note";
    #[derive(Deserialize)]
    struct Raw {
        version: i64,
        entity_path: Option<String>,
        entity_type: Option<String>,
        entity_name: Option<String>,
    }
    let raw: Raw = decode(WHAT, bytes)?;
    let (kind, name) = match raw.version {
        1 => (raw.entity_type, raw.entity_name),
        2 => {
            let path = raw.entity_path.unwrap_or_default();
            let parts = path.split_once('/').map(|(t, n)| (t.to_owned(), n.to_owned()));
            parts.unzip()
        }
        version => return Err(Malformed::Version { what: WHAT, version }),
    };
    let wrong = |field| Malformed::Field { what: WHAT, field };
    let entity_type = kind
        .as_deref()
        .and_then(EntityType::parse)
        .ok_or(wrong("entity_path"))?;
    let name = name.filter(|name| !name.is_empty()).ok_or(wrong("entity_path"))?;
    Ok(ConfigEntity { entity_type, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> ConfigEntity {
        ConfigEntity { entity_type: EntityType::Topics, name: name.into() }
    }

    #[test]
    fn configs_are_written_as_kafka_writes_them() {
        let mut config = IndexMap::new();
        config.insert("retention.ms".to_owned(), "1000".to_owned());
        config.insert("cleanup.policy".to_owned(), "compact".to_owned());
        let golden = br#"{"version":1,"config":{"cleanup.policy":"compact","retention.ms":"1000"}}"#;
        assert_eq!(encode_config(&config), golden);
        assert_eq!(decode_config(golden).unwrap(), config);
        assert_eq!(encode_config(&IndexMap::new()), br#"{"version":1,"config":{}}"#);
        assert!(decode_config(b"").unwrap().is_empty());
        assert!(decode_config(br#"{"version":1}"#).unwrap().is_empty());
        assert!(decode_config(b"!").is_err());
    }

    #[test]
    fn both_versions_of_notes_are_read() {
        let bytes = encode_change_note(&topic("t"));
        assert_eq!(bytes, br#"{"version":2,"entity_path":"topics/t"}"#);
        assert_eq!(decode_change_note(&bytes).unwrap(), topic("t"));
        let old = br#"{"version":1,"entity_type":"topics","entity_name":"t"}"#;
        assert_eq!(decode_change_note(old).unwrap(), topic("t"));
        let nested = br#"{"version":2,"entity_path":"users/u/clients/c"}"#;
        assert_eq!(decode_change_note(nested).unwrap().name, "u/clients/c");
        for bad in [
            &br#"{"version":2,"entity_path":"topics"}"#[..],
            br#"{"version":2,"entity_path":"what/t"}"#,
            br#"{"version":3}"#,
        ] {
            assert!(decode_change_note(bad).is_err());
        }
    }
}
