//! Every broker key of Kafka 3.9: type, default, and how it can be changed
//! while a broker runs. DescribeConfigs and AlterConfigs work from this list;
//! `keys` says which of them do something here.
//!
//! Flow: `catalog.tsv` -> `lookup` -> `Entry`, whose `check` speaks Kafka's words.
//!
//! **Invariant:** names, types and defaults are those that a Kafka 3.9.1 broker
//! describes of itself (the file was written from its answer).

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The types of values, by Kafka's codes (`ConfigType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ValueType {
    Unknown = 0,
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

/// How a key may be changed while a broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Only by a restart.
    Fixed,
    /// For one broker or for all.
    Cluster,
    /// For one broker only.
    Broker,
    /// Only with the prefix of a listener.
    Listener,
    /// No key of the file at all, only dynamic.
    Quota,
}

/// One key of Kafka.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub value_type: ValueType,
    pub default: Option<&'static str>,
    pub mode: Mode,
    allowed: &'static str,
}

/// A value that Kafka refuses, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    #[error("Invalid value {value} for configuration {name}: Not a number of type {kind}")]
    NotANumber {
        name: String,
        value: String,
        kind: &'static str,
    },
    #[error(
        "Invalid value {value} for configuration {name}: Expected value to be either true or false"
    )]
    NotABoolean { name: String, value: String },
    #[error("Invalid value {value} for configuration {name}: Value must be at least {least}")]
    TooSmall {
        name: String,
        value: String,
        least: i64,
    },
    #[error("Invalid value {value} for configuration {name}: Value must be no more than {most}")]
    TooLarge {
        name: String,
        value: String,
        most: i64,
    },
    #[error("Invalid value {value} for configuration {name}: String must be one of: {allowed}")]
    NotOneOf {
        name: String,
        value: String,
        allowed: &'static str,
    },
    #[error(
        "Invalid value {value} for configuration {name}: Value must be between 1 and 9 or equal to -1"
    )]
    NotALevel { name: String, value: String },
}

static CATALOG: LazyLock<BTreeMap<&'static str, Entry>> = LazyLock::new(|| {
    let lines = include_str!("catalog.tsv").lines();
    let rows = lines.filter(|line| !line.starts_with('#'));
    rows.filter_map(parse)
        .map(|entry| (entry.name, entry))
        .collect()
});

/// Every key, in the order of their names.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    CATALOG.values()
}

/// The key of this name, whether or not it stands behind a listener's prefix.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static Entry> {
    CATALOG
        .get(name)
        .or_else(|| CATALOG.get(base_of_listener_key(name)?))
}

/// `ssl.keystore.location` of `listener.name.internal.ssl.keystore.location`.
#[must_use]
pub fn base_of_listener_key(name: &str) -> Option<&str> {
    const OF_MECHANISMS: [&str; 5] = [
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
        "connections.max.reauth.ms",
    ];
    let (_listener, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let of_mechanism = OF_MECHANISMS.iter().find(|key| base.ends_with(**key));
    Some(of_mechanism.copied().unwrap_or(base))
}

/// The keys that mean the same as `name`, the strongest first.
#[must_use]
pub fn synonyms(name: &str) -> Vec<&str> {
    const SAME: [&[&str]; 3] = [
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
    ];
    if name == "log.flush.interval.ms" {
        return vec![name, "log.flush.scheduler.interval.ms"];
    }
    let same = SAME.into_iter().find(|names| names.contains(&name));
    same.map_or_else(|| vec![name], <[&str]>::to_vec)
}

fn parse(line: &'static str) -> Option<Entry> {
    let mut columns = line.split('\t');
    let name = columns.next()?;
    let value_type = value_type(columns.next()?)?;
    let default = columns.next().filter(|default| *default != "null");
    let mode = match columns.next()? {
        "cluster" => Mode::Cluster,
        "broker" => Mode::Broker,
        "listener" => Mode::Listener,
        "quota" => Mode::Quota,
        "fixed" => Mode::Fixed,
        _ => return None,
    };
    Some(Entry {
        name,
        value_type,
        default,
        mode,
        allowed: columns.next()?,
    })
}

fn value_type(name: &str) -> Option<ValueType> {
    Some(match name {
        "boolean" => ValueType::Boolean,
        "string" => ValueType::String,
        "int" => ValueType::Int,
        "short" => ValueType::Short,
        "long" => ValueType::Long,
        "double" => ValueType::Double,
        "list" => ValueType::List,
        "class" => ValueType::Class,
        "password" => ValueType::Password,
        _ => return None,
    })
}

impl Entry {
    /// Whether a running broker can take another value.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        !matches!(self.mode, Mode::Fixed | Mode::Quota)
    }

    /// Says why `value` is none of this key's, in Kafka's words. `name` may have
    /// a listener's prefix.
    pub fn check(&self, name: &str, value: &str) -> Result<(), ValueError> {
        let trimmed = value.trim();
        let wrong = |kind| ValueError::NotANumber {
            name: name.to_owned(),
            value: value.to_owned(),
            kind,
        };
        let integer = |kind, least: i64, most: i64| {
            let number: i64 = trimmed.parse().map_err(|_| wrong(kind))?;
            match (least..=most).contains(&number) {
                true => self.check_range(name, trimmed, number as f64),
                false => Err(wrong(kind)),
            }
        };
        match self.value_type {
            ValueType::Short => integer("SHORT", i64::from(i16::MIN), i64::from(i16::MAX)),
            ValueType::Int => integer("INT", i64::from(i32::MIN), i64::from(i32::MAX)),
            ValueType::Long => integer("LONG", i64::MIN, i64::MAX),
            ValueType::Double => {
                let number: f64 = trimmed.parse().map_err(|_| wrong("DOUBLE"))?;
                self.check_range(name, &format!("{number:?}"), number)
            }
            ValueType::Boolean => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "false" => Ok(()),
                _ => Err(ValueError::NotABoolean {
                    name: name.to_owned(),
                    value: value.to_owned(),
                }),
            },
            ValueType::List => {
                let items = trimmed.split(',').map(str::trim);
                items
                    .filter(|item| !item.is_empty())
                    .try_for_each(|item| self.check_choice(name, item))
            }
            _ => self.check_choice(name, trimmed),
        }
    }

    fn check_range(&self, name: &str, shown: &str, number: f64) -> Result<(), ValueError> {
        let (name, value) = (name.to_owned(), shown.to_owned());
        if self.allowed == "level" {
            return match number == -1.0 || (1.0..=9.0).contains(&number) {
                true => Ok(()),
                false => Err(ValueError::NotALevel { name, value }),
            };
        }
        let Some((least, most)) = self.allowed.split_once("..") else {
            return Ok(());
        };
        let (least, most) = (least.parse::<i64>().ok(), most.parse::<i64>().ok());
        if let Some(least) = least.filter(|least| number < *least as f64) {
            return Err(ValueError::TooSmall { name, value, least });
        }
        match most.filter(|most| number > *most as f64) {
            Some(most) => Err(ValueError::TooLarge { name, value, most }),
            None => Ok(()),
        }
    }

    fn check_choice(&self, name: &str, value: &str) -> Result<(), ValueError> {
        match self.allowed == "-" || self.allowed.split(", ").any(|choice| choice == value) {
            true => Ok(()),
            false => Err(ValueError::NotOneOf {
                name: name.to_owned(),
                value: value.to_owned(),
                allowed: self.allowed,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TABLE, accepted};

    #[test]
    fn every_line_of_the_file_is_a_key_and_its_default_is_legal() {
        let lines = include_str!("catalog.tsv").lines();
        let rows = lines.filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows, CATALOG.len());
        for entry in entries() {
            if let Some(default) = entry.default {
                assert_eq!(entry.check(entry.name, default), Ok(()), "{}", entry.name);
            }
        }
    }

    #[test]
    fn every_key_of_kafka_is_in_effect_or_known_to_have_none() {
        for entry in entries().filter(|entry| entry.mode != Mode::Quota) {
            let is_known =
                TABLE.get(entry.name).is_some() || accepted::reason(entry.name).is_some();
            let is_refused = entry.name == "authorizer.class.name";
            assert!(is_known || is_refused, "{} is neither", entry.name);
        }
        for key in TABLE.keys() {
            // The last is one that Kafka does not describe.
            const OTHERS: [&str; 2] = ["log.level", "producer.id.expiration.check.interval.ms"];
            let is_ours = key.name.starts_with("admin.") || OTHERS.contains(&key.name);
            assert_eq!(lookup(key.name).is_none(), is_ours, "{}", key.name);
        }
    }

    #[test]
    fn refusals_are_kafkas() {
        let refusal = |name: &str, value| lookup(name).unwrap().check(name, value).unwrap_err();
        let table = [
            (
                "log.retention.ms",
                "abc",
                "Invalid value abc for configuration log.retention.ms: Not a number of type LONG",
            ),
            (
                "min.insync.replicas",
                "0",
                "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1",
            ),
            (
                "log.cleaner.min.cleanable.ratio",
                "2",
                "Invalid value 2.0 for configuration log.cleaner.min.cleanable.ratio: Value must be no more than 1",
            ),
            (
                "log.cleanup.policy",
                "foo",
                "Invalid value foo for configuration log.cleanup.policy: String must be one of: compact, delete",
            ),
            (
                "unclean.leader.election.enable",
                "maybe",
                "Invalid value maybe for configuration unclean.leader.election.enable: Expected value to be either true or false",
            ),
        ];
        for (name, value, message) in table {
            assert_eq!(refusal(name, value).to_string(), message);
        }
        let prefixed = "listener.name.a.ssl.keystore.location";
        assert_eq!(lookup(prefixed).unwrap().name, "ssl.keystore.location");
    }
}
