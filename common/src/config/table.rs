//! The table of keys of a daemon: names, types, defaults and documentation.

use std::collections::BTreeMap;
use std::fmt;

use super::properties::{Origin, Properties};

/// What a key's value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Bool,
    Int {
        min: i32,
        max: i32,
    },
    Long {
        min: i64,
        max: i64,
    },
    Double {
        min: f64,
        max: f64,
    },
    Str,
    /// Comma separated, blanks around items ignored.
    List,
    /// As `Str`, never printed.
    Password,
    OneOf(&'static [&'static str]),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Int { min, max } => write!(f, "an integer in [{min}, {max}]"),
            Self::Long { min, max } => write!(f, "an integer in [{min}, {max}]"),
            Self::Double { min, max } => write!(f, "a number in [{min}, {max}]"),
            Self::Str | Self::Password => f.write_str("a string"),
            Self::List => f.write_str("a comma separated list"),
            Self::OneOf(allowed) => write!(f, "one of {}", allowed.join(", ")),
        }
    }
}

impl Kind {
    fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Bool => parse_bool(value).is_some(),
            Self::Int { min, max } => value.parse().is_ok_and(|v: i32| (*min..=*max).contains(&v)),
            Self::Long { min, max } => value.parse().is_ok_and(|v: i64| (*min..=*max).contains(&v)),
            Self::Double { min, max } => {
                value.parse().is_ok_and(|v: f64| (*min..=*max).contains(&v))
            }
            Self::Str | Self::List | Self::Password => true,
            Self::OneOf(allowed) => allowed.contains(&value),
        }
    }
}

fn parse_bool(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// One key. `default` is `None` where the daemon decides or the key is optional.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub default: Option<&'static str>,
    pub doc: &'static str,
}

/// Something the operator should know that does not stop the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub key: String,
    pub origin: Origin,
    pub nearest: Option<&'static str>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: unknown key '{}' is ignored", self.origin, self.key)?;
        match self.nearest {
            Some(nearest) => write!(f, " (did you mean '{nearest}'?)"),
            None => Ok(()),
        }
    }
}

/// A value that its key does not allow.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {key}={value}: expected {expected}")]
pub struct Error {
    pub origin: Origin,
    pub key: &'static str,
    pub value: String,
    pub expected: String,
}

/// The keys that a daemon knows.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    keys: &'static [Key],
}

impl Table {
    #[must_use]
    pub const fn new(keys: &'static [Key]) -> Self {
        Self { keys }
    }

    #[must_use]
    pub fn keys(&self) -> &'static [Key] {
        self.keys
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Checks what was written and fills in the defaults.
    pub fn resolve(&self, properties: &Properties) -> Result<(Values, Vec<Warning>), Error> {
        let mut values = Values {
            written: BTreeMap::new(),
            table: *self,
        };
        let mut warnings = Vec::new();
        for (name, value, origin) in properties.iter() {
            let Some(key) = self.get(name) else {
                warnings.push(Warning {
                    key: name.to_owned(),
                    origin: origin.clone(),
                    nearest: self.nearest(name),
                });
                continue;
            };
            if value.is_empty() && !matches!(key.kind, Kind::Str | Kind::List | Kind::Password) {
                continue;
            }
            if !key.kind.accepts(value) {
                return Err(Error {
                    origin: origin.clone(),
                    key: key.name,
                    value: value.to_owned(),
                    expected: key.kind.to_string(),
                });
            }
            values
                .written
                .insert(key.name, (value.to_owned(), origin.clone()));
        }
        Ok((values, warnings))
    }

    /// The known key that is most like `name`, if any is like it at all.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        const LIKENESS_MIN: f64 = 0.7;
        self.keys
            .iter()
            .map(|key| {
                (
                    strsim::normalized_damerau_levenshtein(key.name, name),
                    key.name,
                )
            })
            .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, name)| name)
    }
}

/// Checked values. The getters take names from the daemon's own table; a name
/// or type that the table does not have is a mistake in the daemon.
#[derive(Debug, Clone)]
pub struct Values {
    written: BTreeMap<&'static str, (String, Origin)>,
    table: Table,
}

impl Values {
    /// Writes `value` for `name` as if the operator had; a name that the table
    /// does not have is left alone.
    pub fn write(&mut self, name: &str, value: &str, origin: Origin) -> Result<(), Error> {
        let Some(key) = self.table.get(name) else {
            return Ok(());
        };
        if !key.kind.accepts(value) {
            return Err(Error {
                origin,
                key: key.name,
                value: value.to_owned(),
                expected: key.kind.to_string(),
            });
        }
        self.written.insert(key.name, (value.to_owned(), origin));
        Ok(())
    }

    /// Takes back what was written for `name`.
    pub fn unset(&mut self, name: &str) {
        self.written.remove(name);
    }

    /// Says whether the operator wrote the key.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.written.contains_key(name)
    }

    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.written.get(name).map(|(_, origin)| origin)
    }

    /// The written value or the default; empty counts as absent.
    #[must_use]
    pub fn opt_str(&self, name: &str) -> Option<&str> {
        let key = self.table.get(name).expect("a key of the daemon's table");
        let written = self.written.get(name).map(|(value, _)| value.as_str());
        written.or(key.default).filter(|value| !value.is_empty())
    }

    #[must_use]
    pub fn str(&self, name: &str) -> &str {
        self.opt_str(name).unwrap_or_default()
    }

    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        self.parsed(name, parse_bool)
    }

    #[must_use]
    pub fn i32(&self, name: &str) -> i32 {
        self.parsed(name, |value| value.parse().ok())
    }

    #[must_use]
    pub fn i64(&self, name: &str) -> i64 {
        self.parsed(name, |value| value.parse().ok())
    }

    #[must_use]
    pub fn f64(&self, name: &str) -> f64 {
        self.parsed(name, |value| value.parse().ok())
    }

    #[must_use]
    pub fn opt_i64(&self, name: &str) -> Option<i64> {
        let text = self.opt_str(name)?;
        Some(text.parse().expect("checked by the key's kind"))
    }

    #[must_use]
    pub fn opt_i32(&self, name: &str) -> Option<i32> {
        let text = self.opt_str(name)?;
        Some(text.parse().expect("checked by the key's kind"))
    }

    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let items = self.str(name).split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        self.opt_str(name)
            .and_then(parse)
            .expect("a key with a default of this type")
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const TABLE: Table = Table::new(&[
        Key {
            name: "num.partitions",
            kind: Kind::Int {
                min: 1,
                max: i32::MAX,
            },
            default: Some("1"),
            doc: "",
        },
        Key {
            name: "auto.create.topics.enable",
            kind: Kind::Bool,
            default: Some("true"),
            doc: "",
        },
        Key {
            name: "log.dirs",
            kind: Kind::List,
            default: None,
            doc: "",
        },
    ]);

    fn resolve(text: &str) -> Result<(Values, Vec<Warning>), Error> {
        let origin = Origin::File(PathBuf::from("server.properties"));
        TABLE.resolve(&Properties::parse(text.as_bytes(), origin).unwrap())
    }

    #[test]
    fn defaults_and_written_values() {
        let (values, warnings) = resolve("num.partitions = 3\nlog.dirs=/a, /b,\n").unwrap();
        assert!(warnings.is_empty());
        assert_eq!(values.i32("num.partitions"), 3);
        assert!(values.bool("auto.create.topics.enable"));
        assert_eq!(values.list("log.dirs"), ["/a", "/b"]);
        assert!(!values.is_set("auto.create.topics.enable"));
    }

    #[test]
    fn a_wrong_value_names_file_key_value_and_what_is_allowed() {
        let error = resolve("num.partitions=many").unwrap_err();
        assert_eq!(
            error.to_string(),
            "server.properties: num.partitions=many: expected an integer in [1, 2147483647]"
        );
    }

    #[test]
    fn an_unknown_key_is_a_warning_with_the_nearest() {
        let (_, warnings) = resolve("num.partition=3\nwhatever=1").unwrap();
        let texts: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "server.properties: unknown key 'num.partition' is ignored \
                 (did you mean 'num.partitions'?)",
                "server.properties: unknown key 'whatever' is ignored",
            ]
        );
    }

    #[test]
    fn values_can_be_written_later_and_taken_back() {
        let (mut values, _) = resolve("num.partitions=3").unwrap();
        let origin = || Origin::Dynamic("/config".to_owned());
        values.write("num.partitions", "4", origin()).unwrap();
        values.write("unknown", "4", origin()).unwrap();
        assert_eq!(values.i32("num.partitions"), 4);
        let error = values.write("num.partitions", "x", origin()).unwrap_err();
        assert!(error.to_string().starts_with("/config: num.partitions=x"));
        values.unset("num.partitions");
        assert_eq!(values.i32("num.partitions"), 1);
    }

    #[test]
    fn the_command_line_wins() {
        let origin = Origin::File(PathBuf::from("f"));
        let mut properties = Properties::parse(b"num.partitions=3", origin).unwrap();
        properties.apply_overrides(["num.partitions=5"]).unwrap();
        let (values, _) = TABLE.resolve(&properties).unwrap();
        assert_eq!(values.i32("num.partitions"), 5);
        assert!(properties.apply_overrides(["nonsense"]).is_err());
    }
}
