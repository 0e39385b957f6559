//! The keys of `zoo.cfg`, and what they make of the daemon.
//!
//! Flow: `keys` is the table; `written` looks at what is in the file as a whole;
//! `values` makes of each value what the module that needs it takes; `settings`
//! shows it all to operators.

mod authentication;
mod jaas;
mod keys;
mod rules;
mod settings;
mod values;
mod written;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use common::config::{Origin, Properties, PropertiesError, Table};
use common::http::PortOrigin;

use crate::pipeline::Rules;
use crate::storage::Options;

pub use authentication::{Algorithm, Authentication, Users};
pub use jaas::Error as JaasError;
pub use keys::KEYS;
pub use settings::Setting;

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
    #[error("DigestAuthenticationProvider.digestAlg: no such algorithm: '{value}'")]
    Algorithm { value: String },
    #[error(transparent)]
    Jaas(#[from] jaas::Error),
    #[error("enforce.auth.enabled is true, enforce.auth.schemes must be set too")]
    NoScheme,
    #[error("authentication is enforced for the scheme '{scheme}', which is not served")]
    Scheme { scheme: String },
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
    /// Whether a larger request is answered instead of ending its connection.
    pub refuse_oversized: bool,
    pub outstanding_max: usize,
    /// 0 for any number.
    pub connections_max: usize,
    pub words: Vec<String>,
    pub admin: Option<Admin>,
    /// Where Prometheus finds the metrics besides the admin port.
    pub metrics: Option<SocketAddr>,
    /// A wait for the disk that is longer is logged and counted.
    pub fsync_warning: Duration,
    pub log_level: String,
    pub authentication: Authentication,
    pub rules: Rules,
    pub leftovers: Leftovers,
    /// What the operator should hear once logging works.
    pub warnings: Vec<String>,
    /// What is worth a line, and nothing more.
    pub notes: Vec<String>,
    /// Every key with its value, for the operator.
    pub settings: Vec<Setting>,
    /// What was written, as lines of a file, without its secrets.
    pub written: String,
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
#[derive(Debug, Clone)]
pub struct Admin {
    pub address: IpAddr,
    pub port: u16,
    pub origin: PortOrigin,
    /// Where the commands are found; begins with a slash and does not end with one.
    pub command_url: String,
    pub idle_timeout: Duration,
    pub snapshots: bool,
    pub snapshot_interval: Duration,
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
        let written = written::read(properties)?;
        let (open, rest) = authentication::Open::take(&written.properties)?;
        let (values, unknown) = Table::new(KEYS).resolve(&rest)?;
        let mut warnings = written.warnings;
        warnings.extend(unknown.iter().map(ToString::to_string));
        let mut notes = values::notes(&values);
        notes.extend(written::without_effect(&values, &written.without_effect));
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
            refuse_oversized: values.bool("jute.maxbuffer.refuse"),
            outstanding_max: values::unsigned(&values, "globalOutstandingLimit"),
            connections_max: values::unsigned(&values, "maxCnxns"),
            words: values::words(&values),
            admin: values::admin(&values)?,
            metrics: values::metrics(&values)?,
            fsync_warning: values::millis(&values, "fsync.warningthresholdms"),
            log_level: values.str("log.level").to_owned(),
            authentication: authentication::authentication(&values, &open, &mut warnings)?,
            rules: rules::rules(&values, open.has_sasl_provider),
            leftovers: rules::leftovers(&values),
            warnings,
            notes,
            settings: settings::all(&values),
            written: settings::as_written(properties),
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

    /// The limits that hold, in a line for the operator.
    #[must_use]
    pub fn limits(&self) -> String {
        let any = |limit: usize| match limit {
            0 => "any number of".to_owned(),
            limit => limit.to_string(),
        };
        let sync = match self.storage.sync {
            true => "",
            false => "; the disk is NOT waited for, a power cut loses acknowledged writes",
        };
        format!(
            "sessions of {}..{} ms in ticks of {}; {} connections per address, {} in all; \
             requests of {} bytes, {} outstanding; {} snapshots kept{sync}",
            self.session_timeout_ms_min,
            self.session_timeout_ms_max,
            self.tick.as_millis(),
            any(self.connections_per_ip_max),
            any(self.connections_max),
            self.frame_max,
            self.outstanding_max,
            self.storage.retain,
        )
    }

    pub(crate) fn allows_word(&self, word: &str) -> bool {
        self.words
            .iter()
            .any(|allowed| allowed == word || allowed == "*")
    }
}

#[cfg(test)]
mod tests;
