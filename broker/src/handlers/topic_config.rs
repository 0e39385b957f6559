//! Topic configurations as clients see them: value, source and synonyms.

mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use indexmap::IndexMap;

use crate::config::catalog;
use crate::config::{Dynamic, Layers};
use crate::log::{ConfigError, LogConfig};
use keys::KEYS;
pub(crate) use keys::{TopicKey, topic_key};

/// Where a value comes from, by Kafka's codes (`ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Source {
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
}

/// A place that has a value: its name, the value as written there, its kind.
pub(crate) type Synonym = (String, String, Source);

/// A key with its value for one topic.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: TopicKey,
    pub(crate) value: String,
    pub(crate) source: Source,
    /// The places that have a value, from the one in effect to the default.
    pub(crate) synonyms: Vec<Synonym>,
}

/// The broker's part in the configuration of its topics; clones share it.
#[derive(Debug, Clone)]
pub struct TopicConfigs {
    broker: Dynamic,
    defaults: Arc<ArcSwap<LogConfig>>,
}

impl TopicConfigs {
    /// Takes the topics' defaults out of the broker's configuration.
    pub fn new(broker: Dynamic) -> Result<Self, ConfigError> {
        let defaults = defaults_of(&broker.load())?;
        Ok(Self {
            broker,
            defaults: Arc::new(ArcSwap::from_pointee(defaults)),
        })
    }

    /// Takes another configuration of the broker over, unless it makes no legal
    /// configuration of a topic.
    pub(crate) fn install(&self, layers: Layers) -> Result<(), ConfigError> {
        let defaults = defaults_of(&layers)?;
        self.broker.install(layers);
        self.defaults.store(Arc::new(defaults));
        Ok(())
    }

    /// The broker's own configuration.
    pub(crate) fn broker(&self) -> Arc<Layers> {
        self.broker.load()
    }

    /// The configuration of a topic without overrides.
    #[must_use]
    pub fn defaults(&self) -> Arc<LogConfig> {
        self.defaults.load_full()
    }

    /// The configuration of a topic with `overrides`, or why they are wrong.
    pub fn check(&self, overrides: &IndexMap<String, String>) -> Result<LogConfig, ConfigError> {
        let overrides = overrides
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        LogConfig::from_overrides(&self.defaults(), &overrides.collect())
    }

    /// Every key with its value for a topic with `overrides`.
    pub(crate) fn describe(&self, overrides: &IndexMap<String, String>) -> Vec<Entry> {
        let layers = self.broker.load();
        let entry = |key: &TopicKey| entry(&layers, *key, overrides);
        KEYS.iter().map(entry).collect()
    }
}

/// Says why topics could not live with this configuration of the broker.
pub(crate) fn defaults_of(layers: &Layers) -> Result<LogConfig, ConfigError> {
    let mut set = BTreeMap::new();
    for key in KEYS {
        if let Some(value) = from_broker(layers, key) {
            set.insert(key.name.to_owned(), value);
        }
    }
    LogConfig::from_overrides(&LogConfig::default(), &set)
}

fn entry(layers: &Layers, key: TopicKey, overrides: &IndexMap<String, String>) -> Entry {
    let of_topic = overrides.get(key.name);
    let mut synonyms = Vec::new();
    if let Some(value) = of_topic {
        synonyms.push((key.name.to_owned(), value.clone(), Source::DynamicTopic));
    }
    if let Some((first, _)) = key.synonyms.first() {
        synonyms.extend(broker_synonyms(layers, first));
    }
    let value = of_topic.cloned().unwrap_or_else(|| {
        let of_broker = from_broker(layers, &key);
        of_broker.unwrap_or_else(|| key.default.to_owned())
    });
    let source = synonyms.first().map_or(Source::Default, |first| first.2);
    Entry {
        key,
        value,
        source,
        synonyms,
    }
}

/// The first broker key for `key` that has a value, in the topic's unit.
fn from_broker(layers: &Layers, key: &TopicKey) -> Option<String> {
    let mut written = key.synonyms.iter();
    let (value, factor) = written.find_map(|(name, factor)| {
        let value = layers.raw().get(*name)?.trim();
        (!value.is_empty()).then_some((value, *factor))
    })?;
    let is_age = key.name == "retention.ms";
    Some(match (factor, value.parse::<i64>()) {
        (_, Ok(forever)) if forever < 0 && (is_age || factor != 1) => "-1".to_owned(),
        (1, _) | (_, Err(_)) => value.to_owned(),
        (factor, Ok(amount)) => amount.saturating_mul(factor).to_string(),
    })
}

/// What `name` and the keys that mean the same have in each layer, from the one in
/// effect to the default. As in Kafka the list begins at the name itself, and is
/// empty if that has no value.
pub(crate) fn broker_synonyms(layers: &Layers, name: &str) -> Vec<Synonym> {
    let mut names = catalog::synonyms(name);
    names.extend(catalog::base_of_listener_key(name));
    let dynamic = [
        (&layers.broker, Source::DynamicBroker),
        (&layers.cluster, Source::DynamicDefaultBroker),
        (&layers.written, Source::StaticBroker),
    ];
    let mut found = Vec::new();
    for (layer, source) in dynamic {
        let values = names.iter().filter_map(|name| layer.get_key_value(*name));
        found.extend(values.map(|(name, value)| (name.clone(), value.clone(), source)));
    }
    for name in names {
        if let Some(default) = catalog::lookup(name).and_then(|entry| entry.default) {
            found.push((name.to_owned(), default.to_owned(), Source::Default));
        }
    }
    let rest = found.into_iter().skip_while(|(found, ..)| found != name);
    rest.collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use common::config::{Origin, Properties};

    use super::keys::HOUR_MS;
    use super::*;
    use crate::config::TABLE;

    fn configs(text: &str) -> TopicConfigs {
        let origin = Origin::File(PathBuf::from("f"));
        let properties = Properties::parse(text.as_bytes(), origin).unwrap();
        let written = properties.iter().map(|(k, v, _)| (k.into(), v.into()));
        let values = TABLE.resolve(&properties).unwrap().0;
        TopicConfigs::new(Dynamic::new(Layers::new(values, written.collect()))).unwrap()
    }

    #[test]
    fn the_brokers_keys_give_the_defaults_in_kafkas_order() {
        let config = configs("log.retention.hours=2\nlog.segment.bytes=100000").defaults();
        assert_eq!(config.retention_ms, 2 * HOUR_MS);
        assert_eq!(config.segment_bytes, 100_000);
        let config = configs("log.retention.hours=2\nlog.retention.ms=5").defaults();
        assert_eq!(config.retention_ms, 5);
        let config = configs("log.retention.hours=-1").defaults();
        assert_eq!(config.retention_ms, -1);
    }

    #[test]
    fn the_tables_defaults_are_the_logs() {
        let all = KEYS
            .iter()
            .map(|key| (key.name.to_owned(), key.default.to_owned()));
        let parsed = LogConfig::from_overrides(&LogConfig::default(), &all.collect()).unwrap();
        assert_eq!(parsed, LogConfig::default());
    }

    /// The value, the source and the synonyms of one key.
    fn described(
        text: &str,
        overrides: &[(&str, &str)],
        key: &str,
    ) -> (String, Source, Vec<String>) {
        let pairs = overrides.iter();
        let overrides = pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let entries = configs(text).describe(&overrides.collect());
        let entry = entries.into_iter().find(|entry| entry.key.name == key);
        let entry = entry.unwrap();
        let synonyms = entry.synonyms.iter();
        let synonyms = synonyms.map(|(name, value, source)| format!("{source:?} {name}={value}"));
        (entry.value, entry.source, synonyms.collect())
    }

    #[test]
    fn sources_and_synonyms_are_what_a_kafka_broker_tells() {
        let nothing: Vec<String> = Vec::new();
        let (retention, hours) = ("retention.ms", "log.retention.hours=2");
        assert_eq!(
            described("log.segment.bytes=100000", &[], "segment.bytes"),
            (
                "100000".to_owned(),
                Source::StaticBroker,
                vec![
                    "StaticBroker log.segment.bytes=100000".to_owned(),
                    "Default log.segment.bytes=1073741824".to_owned(),
                ]
            )
        );
        // Kafka shows none unless the first of the names has a value.
        assert_eq!(
            described(hours, &[], retention),
            ("7200000".to_owned(), Source::Default, nothing)
        );
        assert_eq!(
            described(hours, &[(retention, "9")], retention),
            (
                "9".to_owned(),
                Source::DynamicTopic,
                vec!["DynamicTopic retention.ms=9".to_owned()]
            )
        );
        assert_eq!(
            described("log.retention.ms=5", &[], retention),
            (
                "5".to_owned(),
                Source::StaticBroker,
                vec![
                    "StaticBroker log.retention.ms=5".to_owned(),
                    "Default log.retention.hours=168".to_owned(),
                ]
            )
        );
        assert_eq!(
            described("", &[], "delete.retention.ms").2,
            ["Default log.cleaner.delete.retention.ms=86400000"]
        );
    }
}
