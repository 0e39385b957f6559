//! What was changed while brokers run: the layers of a broker's configuration.
//!
//! Flow: `/config/brokers/<id>` and `/config/brokers/<default>` -> `Layers` ->
//! effective `Values`. AlterConfigs asks `Layers::with` whether a change is legal;
//! the change feed installs it.
//!
//! **Invariant:** the broker's own layer wins over the cluster's, that over what
//! the operator wrote, that over the defaults; of keys that mean the same, the one
//! in the stronger layer wins.
//! **Invariant:** what is not legal is never in effect, whoever wrote the znode.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use common::config::{Origin, Values};

use super::catalog::{self, Mode, ValueError, ValueType};

/// Keys and values of one layer.
pub type Props = BTreeMap<String, String>;

/// Whom a change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This broker.
    Broker,
    /// Every broker of the cluster.
    Cluster,
}

/// Why a change is refused, in Kafka's words.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("Cannot update these configs dynamically: {0}")]
    Fixed(Names),
    #[error(
        "These security configs can be dynamically updated only per-listener using the listener prefix: Hash{0}"
    )]
    WithoutListener(Names),
    #[error(
        "Cannot update these configs at default cluster level, broker id must be specified: {0}"
    )]
    OneBrokerOnly(Names),
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Sockets are bound once here; Kafka would bind them anew.
    #[error("{0} is only read when a broker starts: change its properties file and restart it")]
    Sockets(String),
    #[error(
        "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."
    )]
    DedupeBuffer,
    #[error(
        "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be {0} for configuration Invalid dynamic configuration"
    )]
    CleanerThreads(String),
    #[error(
        "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for {0} for configuration Invalid dynamic configuration"
    )]
    Threads(String),
    #[error(
        "Invalid value org.apache.kafka.common.config.ConfigException: Invalid {0} for configuration Invalid dynamic configuration"
    )]
    Nobody(String),
    #[error(transparent)]
    Addresses(#[from] super::AddressesError),
    #[error("Password encoder secret not configured")]
    Password,
    #[error("Invalid dynamic configuration: {0}")]
    Other(String),
}

/// Names of keys, shown as a JVM broker shows its set of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Set({})", self.0.join(", "))
    }
}

/// The configuration of a broker, layer by layer.
#[derive(Debug, Clone)]
pub struct Layers {
    /// As written in the file and on the command line.
    pub written: Props,
    pub cluster: Props,
    pub broker: Props,
    fixed: Values,
    effective: Values,
    raw: Props,
}

impl Layers {
    #[must_use]
    pub fn new(fixed: Values, written: Props) -> Self {
        Self {
            raw: written.clone(),
            written,
            cluster: Props::new(),
            broker: Props::new(),
            effective: fixed.clone(),
            fixed,
        }
    }

    /// What is in effect, typed.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.effective
    }

    /// What is in effect for `name`, a default aside.
    #[must_use]
    pub fn raw(&self) -> &Props {
        &self.raw
    }

    /// The layers with `props` in place of one of them.
    pub fn with(&self, scope: Scope, props: &Props) -> Result<Self, Refusal> {
        check(scope, props)?;
        let mut next = self.clone();
        match scope {
            Scope::Broker => next.broker = props.clone(),
            Scope::Cluster => next.cluster = props.clone(),
        }
        next.resolve()?;
        check_threads(self, &next)?;
        check_connections(&next)?;
        check_cleaner(&self.effective, &next.effective)?;
        super::connections_of_hosts(&next.effective)?;
        Ok(next)
    }

    /// Says why `props` cannot be kept in a znode, though they are legal: secrets
    /// would have to be encrypted there.
    pub fn check_storable(props: &Props) -> Result<(), Refusal> {
        let is_secret = |name: &String| {
            let entry = catalog::lookup(name);
            entry.is_some_and(|entry| entry.value_type == ValueType::Password)
        };
        match props.keys().any(is_secret) {
            true => Err(Refusal::Password),
            false => Ok(()),
        }
    }

    /// The same with what is illegal left out, as a broker reads a znode.
    #[must_use]
    pub fn read(&self, scope: Scope, props: &Props) -> Self {
        let mut legal = props.clone();
        legal.retain(|name, value| {
            let alone = Props::from([(name.clone(), value.clone())]);
            check(scope, &alone)
                .inspect_err(|refusal| tracing::warn!(key = name, %refusal, "a dynamic configuration is ignored"))
                .is_ok()
        });
        let mut next = self.clone();
        match scope {
            Scope::Broker => next.broker = legal,
            Scope::Cluster => next.cluster = legal,
        }
        let resolved = next.resolve();
        match resolved.and_then(|()| Ok(super::connections_of_hosts(&next.effective)?)) {
            Ok(_) => next,
            Err(refusal) => {
                tracing::error!(%refusal, "dynamic configurations cannot be applied");
                self.clone()
            }
        }
    }

    fn resolve(&mut self) -> Result<(), Refusal> {
        let mut values = self.fixed.clone();
        let mut raw = self.written.clone();
        for (place, layer) in [("<default>", &self.cluster), ("<id>", &self.broker)] {
            for (name, value) in layer {
                for same in catalog::synonyms(name) {
                    values.unset(same);
                    raw.remove(same);
                }
                let origin = Origin::Dynamic(format!("/config/brokers/{place}"));
                values
                    .write(name, value.trim(), origin)
                    .map_err(|error| Refusal::Other(error.to_string()))?;
                raw.insert(name.clone(), value.clone());
            }
        }
        self.effective = values;
        self.raw = raw;
        Ok(())
    }
}

/// Says whether a layer may hold these keys and values.
fn check(scope: Scope, props: &Props) -> Result<(), Refusal> {
    let with_mode = |wanted: &[Mode]| {
        let names = props.keys().filter(|name| {
            let entry = catalog::lookup(name);
            entry.is_some_and(|entry| wanted.contains(&entry.mode) && entry.name == *name)
        });
        Names(names.cloned().collect())
    };
    let fixed = with_mode(&[Mode::Fixed]);
    if !fixed.0.is_empty() {
        return Err(Refusal::Fixed(fixed));
    }
    let of_listeners = with_mode(&[Mode::Listener]);
    if !of_listeners.0.is_empty() {
        return Err(Refusal::WithoutListener(of_listeners));
    }
    for (name, value) in props {
        if let Some(entry) = catalog::lookup(name) {
            // Of a listener's key Kafka names what is behind the listener.
            let shown = catalog::base_of_listener_key(name).unwrap_or(name);
            entry.check(shown, value)?;
        }
    }
    if scope == Scope::Cluster {
        let mut of_brokers = with_mode(&[Mode::Broker]);
        let prefixed = props.keys().filter(|name| {
            let base = catalog::base_of_listener_key(name).and_then(catalog::lookup);
            base.is_some_and(|base| base.mode != Mode::Cluster)
        });
        of_brokers.0.extend(prefixed.cloned());
        if !of_brokers.0.is_empty() {
            return Err(Refusal::OneBrokerOnly(of_brokers));
        }
    }
    const SOCKETS: [&str; 3] = [
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
    ];
    match props.keys().find(|name| SOCKETS.contains(&name.as_str())) {
        Some(name) => Err(Refusal::Sockets(name.clone())),
        None => Ok(()),
    }
}

/// A running broker cannot be told to take no connection any more.
fn check_connections(after: &Layers) -> Result<(), Refusal> {
    for key in ["max.connections", "max.connection.creation.rate"] {
        let of_listener = |(name, value): (&String, &String)| {
            let is_meant = catalog::base_of_listener_key(name) == Some(key);
            is_meant.then(|| value.trim().to_owned())
        };
        let of_listeners = after.raw.iter().filter_map(of_listener);
        let of_all = after.effective.i32(key).to_string();
        if of_listeners.chain([of_all]).any(|value| value == "0") {
            return Err(Refusal::Nobody(format!("{key} 0")));
        }
    }
    Ok(())
}

/// Pools of threads are at most halved or doubled at a time, as in Kafka, also
/// those that there are none of here: the next Kafka to read the znode has them.
fn check_threads(before: &Layers, after: &Layers) -> Result<(), Refusal> {
    const POOLS: [&str; 5] = [
        "background.threads",
        "num.io.threads",
        "num.network.threads",
        "num.recovery.threads.per.data.dir",
        "num.replica.fetchers",
    ];
    let count = |layers: &Layers, name: &str| -> Option<i32> {
        let default = catalog::lookup(name)?.default;
        let written = layers.raw.get(name).map(String::as_str);
        written.or(default)?.trim().parse().ok()
    };
    for name in POOLS {
        let (Some(old), Some(new)) = (count(before, name), count(after, name)) else {
            continue;
        };
        let wrong = |how: String| {
            Err(Refusal::Threads(format!(
                "{name}={new}, value should {how}"
            )))
        };
        if new == old {
            continue;
        }
        if new <= 0 {
            return wrong("be at least 1".to_owned());
        }
        if new < old / 2 {
            return wrong(format!("be at least half the current value {old}"));
        }
        if new > old.saturating_mul(2) {
            return wrong(format!(
                "not be greater than double the current value {old}"
            ));
        }
    }
    Ok(())
}

/// Threads change by half at most, and each needs its memory.
fn check_cleaner(before: &Values, after: &Values) -> Result<(), Refusal> {
    const THREADS: &str = "log.cleaner.threads";
    let (old, new) = (before.i32(THREADS), after.i32(THREADS));
    let wrong = |how: String| Err(Refusal::CleanerThreads(how));
    if new < 1 {
        return wrong("less than 1".to_owned());
    }
    if super::cleaner(after).is_err() {
        return Err(Refusal::DedupeBuffer);
    }
    if new < old / 2 {
        return wrong(format!("reduced to less than half the current value {old}"));
    }
    if new > old.saturating_mul(2) {
        return wrong(format!(
            "increased to more than double the current value {old}"
        ));
    }
    Ok(())
}

/// The layers as they are now; clones share them.
#[derive(Debug, Clone)]
pub struct Dynamic {
    current: Arc<ArcSwap<Layers>>,
}

impl Dynamic {
    #[must_use]
    pub fn new(layers: Layers) -> Self {
        Self {
            current: Arc::new(ArcSwap::from_pointee(layers)),
        }
    }

    #[must_use]
    pub fn load(&self) -> Arc<Layers> {
        self.current.load_full()
    }

    /// Takes what was read of a znode; what is illegal in it is left out.
    /// Only the follower of the change feed calls it.
    pub fn install(&self, layers: Layers) {
        self.current.store(Arc::new(layers));
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use common::config::Properties;

    use super::*;
    use crate::config::TABLE;

    fn layers(text: &str) -> Layers {
        let origin = Origin::File(PathBuf::from("f"));
        let properties = Properties::parse(text.as_bytes(), origin).unwrap();
        let written = properties.iter().map(|(k, v, _)| (k.into(), v.into()));
        Layers::new(TABLE.resolve(&properties).unwrap().0, written.collect())
    }

    fn props(pairs: &[(&str, &str)]) -> Props {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn the_brokers_layer_wins_over_the_clusters_over_the_file() {
        let written = layers("log.retention.ms=1\nlog.segment.bytes=1000");
        let bytes = "log.segment.bytes";
        let cluster = written
            .with(Scope::Cluster, &props(&[(bytes, "2000")]))
            .unwrap();
        let both = cluster
            .with(Scope::Broker, &props(&[(bytes, "3000")]))
            .unwrap();
        assert_eq!(cluster.values().i32(bytes), 2000);
        assert_eq!(both.values().i32(bytes), 3000);
        let none = both.with(Scope::Broker, &Props::new()).unwrap();
        assert_eq!(none.values().i32(bytes), 2000);
        assert_eq!(none.values().i64("log.retention.ms"), 1);
        let custom = none
            .with(Scope::Broker, &props(&[("custom.key", "1")]))
            .unwrap();
        assert_eq!(custom.raw()["custom.key"], "1");
    }

    #[test]
    fn a_synonym_in_a_stronger_layer_wins_over_a_weaker_layers_first_name() {
        let written = layers("log.retention.hours=3");
        let change = props(&[("log.retention.ms", "7")]);
        let next = written.with(Scope::Cluster, &change).unwrap();
        assert!(!next.values().is_set("log.retention.hours"));
        assert_eq!(next.values().opt_i64("log.retention.ms"), Some(7));
    }

    #[test]
    fn refusals_are_kafkas_and_read_leaves_the_illegal_out() {
        let table = [
            (
                Scope::Broker,
                "broker.rack",
                "x",
                "Cannot update these configs dynamically: Set(broker.rack)",
            ),
            (
                Scope::Broker,
                "ssl.keystore.location",
                "/x",
                "These security configs can be dynamically updated only per-listener using the listener prefix: HashSet(ssl.keystore.location)",
            ),
            (
                Scope::Cluster,
                "advertised.listeners",
                "PLAINTEXT://h:1",
                "Cannot update these configs at default cluster level, broker id must be specified: Set(advertised.listeners)",
            ),
            (
                Scope::Broker,
                "log.cleaner.threads",
                "100",
                "Invalid value org.apache.kafka.common.config.ConfigException: Log cleaner threads cannot be increased to more than double the current value 1 for configuration Invalid dynamic configuration",
            ),
            (
                Scope::Broker,
                "num.replica.fetchers",
                "3",
                "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for num.replica.fetchers=3, value should not be greater than double the current value 1 for configuration Invalid dynamic configuration",
            ),
            (
                Scope::Cluster,
                "num.io.threads",
                "3",
                "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for num.io.threads=3, value should be at least half the current value 8 for configuration Invalid dynamic configuration",
            ),
            (
                Scope::Broker,
                "log.cleaner.dedupe.buffer.size",
                "5",
                "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
            ),
        ];
        let start = layers("");
        for (scope, name, value, message) in table {
            let refusal = start.with(scope, &props(&[(name, value)])).unwrap_err();
            assert_eq!(refusal.to_string(), message);
        }
        let mixed = props(&[("broker.rack", "x"), ("message.max.bytes", "77")]);
        let read = start.read(Scope::Cluster, &mixed);
        assert_eq!(read.cluster, props(&[("message.max.bytes", "77")]));
        assert_eq!(read.values().i32("message.max.bytes"), 77);
    }
}
