//! Java properties with the place that each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    CommandLine,
    /// A change while the daemon runs, by the place that keeps it.
    Dynamic(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::CommandLine => f.write_str("--override"),
            Self::Dynamic(place) => f.write_str(place),
        }
    }
}

/// Why properties cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{origin} is not a properties file: {source}")]
    Syntax {
        origin: Origin,
        source: java_properties::PropertiesError,
    },
    #[error("--override takes key=value, not '{0}'")]
    Override(String),
}

/// Keys and values as written; a later one wins.
#[derive(Debug, Clone, Default)]
pub struct Properties {
    entries: BTreeMap<String, (String, Origin)>,
}

impl Properties {
    /// Reads a file of `key=value` lines.
    pub fn load(path: &Path) -> Result<Self, PropertiesError> {
        let text = std::fs::read(path).map_err(|source| PropertiesError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, Origin::File(path.to_owned()))
    }

    /// Parses the text of a properties file; values lose surrounding blanks,
    /// as Kafka's own parsing does.
    pub fn parse(text: &[u8], origin: Origin) -> Result<Self, PropertiesError> {
        let parsed = java_properties::read(text).map_err(|source| PropertiesError::Syntax {
            origin: origin.clone(),
            source,
        })?;
        let entries = parsed
            .into_iter()
            .map(|(key, value)| (key, (value.trim().to_owned(), origin.clone())))
            .collect();
        Ok(Self { entries })
    }

    pub fn set(&mut self, key: &str, value: &str, origin: Origin) {
        self.entries
            .insert(key.to_owned(), (value.trim().to_owned(), origin));
    }

    /// Applies `key=value` arguments of the command line.
    pub fn apply_overrides<'a>(
        &mut self,
        overrides: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), PropertiesError> {
        for text in overrides {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| PropertiesError::Override(text.to_owned()))?;
            self.set(key.trim(), value, Origin::CommandLine);
        }
        Ok(())
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|(value, _)| value.as_str())
    }

    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.entries.get(key).map(|(_, origin)| origin)
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Origin)> {
        self.entries
            .iter()
            .map(|(key, (value, origin))| (key.as_str(), value.as_str(), origin))
    }
}
