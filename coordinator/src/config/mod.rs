//! The keys of `zoo.cfg`, and what they make of the daemon.
//!
//! Flow: `keys` is the table; `written` looks at what is in the file as a whole;
//! `values` makes of each value what the module that needs it takes.

mod keys;
mod rules;
mod values;
mod written;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use common::config::{Origin, Properties, PropertiesError, Table};
use common::http::PortOrigin;

use crate::pipeline::Rules;
use crate::storage::Options;

pub use keys::KEYS;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Properties(#[from] PropertiesError),
    #[error(transparent)]
    Value(#[from] common::config::Error),
    #[error("dataDir is not set")]
    NoDataDir,
    #[error("{origin}: {key}={value}: {problem}")]
    Problem {
        origin: Origin,
        key: String,
        value: String,
        problem: &'static str,
    },
    #[error("{key} expects an IP address or a host name that resolves, not '{value}'")]
    Address { key: &'static str, value: String },
    #[error("minSessionTimeout ({min}) is larger than maxSessionTimeout ({max})")]
    Timeouts { min: i32, max: i32 },
}

/// Everything that the daemon was told.
#[derive(Debug, Clone)]
pub struct Config {
    pub storage: Options,
    pub client_address: SocketAddr,
    pub tick: Duration,
    pub session_timeout_ms_min: i32,
    pub session_timeout_ms_max: i32,
    /// 0 for any number.
    pub connections_per_ip_max: usize,
    pub frame_max: usize,
    pub outstanding_max: usize,
    pub words: Vec<String>,
    pub admin: Option<Admin>,
    pub super_digest: Option<String>,
    pub rules: Rules,
    pub leftovers: Leftovers,
    /// What the operator should hear once logging works.
    pub warnings: Vec<String>,
}

/// When container and TTL nodes are removed.
#[derive(Debug, Clone, Copy)]
pub struct Leftovers {
    pub check_interval: Duration,
    pub per_minute_max: u32,
    /// 0 for ever.
    pub never_used_ms_max: i64,
}

/// The admin port.
#[derive(Debug, Clone, Copy)]
pub struct Admin {
    pub address: IpAddr,
    pub port: u16,
    pub origin: PortOrigin,
}

impl Config {
    /// Reads a file, if there is one, under `key=value` overrides.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, Error> {
        let mut properties = match file {
            Some(file) => Properties::load(file)?,
            None => Properties::default(),
        };
        properties.apply_overrides(overrides.iter().map(String::as_str))?;
        Self::resolve(&properties)
    }

    /// Makes a configuration of what was written.
    pub fn resolve(properties: &Properties) -> Result<Self, Error> {
        let properties = &written::without_prefix(properties);
        written::refuse_not_yet(properties)?;
        let (values, warnings) = Table::new(KEYS).resolve(properties)?;
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        warnings.extend(written::without_effect(&values));
        let ticks = values.i32("tickTime");
        let timeout = |name, ticks_default: i32| match values.i32(name) {
            -1 => ticks.saturating_mul(ticks_default),
            ms => ms,
        };
        let min = timeout("minSessionTimeout", 2);
        let max = timeout("maxSessionTimeout", 20);
        if min > max {
            return Err(Error::Timeouts { min, max });
        }
        Ok(Self {
            storage: values::storage(&values)?,
            client_address: values::client_address(&values)?,
            tick: Duration::from_millis(values::unsigned(&values, "tickTime") as u64),
            session_timeout_ms_min: min,
            session_timeout_ms_max: max,
            connections_per_ip_max: values::unsigned(&values, "maxClientCnxns"),
            frame_max: values::unsigned(&values, "jute.maxbuffer"),
            outstanding_max: values::unsigned(&values, "globalOutstandingLimit"),
            words: values.list("4lw.commands.whitelist"),
            admin: values::admin(&values)?,
            super_digest: values
                .opt_str("DigestAuthenticationProvider.superDigest")
                .map(str::to_owned),
            rules: rules::rules(&values),
            leftovers: rules::leftovers(&values),
            warnings,
        })
    }

    /// A server for tests: one directory, free ports on loopback.
    #[must_use]
    pub fn for_tests(data_dir: &Path) -> Self {
        Self::for_tests_with(data_dir, &[])
    }

    /// As [`Config::for_tests`], with these keys set.
    #[must_use]
    pub fn for_tests_with(data_dir: &Path, keys: &[(&str, &str)]) -> Self {
        let mut overrides = vec![
            format!("dataDir={}", data_dir.display()),
            "clientPort=0".to_owned(),
            "clientPortAddress=127.0.0.1".to_owned(),
            "admin.serverPort=0".to_owned(),
            "tickTime=200".to_owned(),
            "maxSessionTimeout=60000".to_owned(),
            "maxClientCnxns=0".to_owned(),
        ];
        overrides.extend(keys.iter().map(|(key, value)| format!("{key}={value}")));
        Self::load(None, &overrides).expect("these values are allowed")
    }

    pub(crate) fn allows_word(&self, word: &str) -> bool {
        self.words
            .iter()
            .any(|allowed| allowed == word || allowed == "*")
    }
}

#[cfg(test)]
mod tests;
