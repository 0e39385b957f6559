//! The client settings that a properties file or `key=value` arguments give.
//!
//! Keys are Kafka's. A key of Kafka's that does nothing here is accepted, so
//! that existing files work; an unknown one is told to the user, as Kafka does.

use std::path::Path;
use std::time::Duration;

use super::Endpoint;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Error {
    #[error("{0}")]
    File(String),
    #[error("Invalid value {value} for configuration {key}: {reason}")]
    Value {
        key: String,
        value: String,
        reason: &'static str,
    },
    #[error("Invalid url in bootstrap.servers: {0}")]
    Address(String),
    #[error("No resolvable bootstrap urls given in bootstrap.servers")]
    NoAddress,
    #[error("security.protocol={0} is not supported by this tool yet; use PLAINTEXT")]
    Security(String),
}

/// Settings in the order given; a later one wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings(Vec<(String, String)>);

impl Settings {
    pub(crate) fn load(path: &str) -> Result<Self, Error> {
        let properties = common::config::Properties::load(Path::new(path))
            .map_err(|error| Error::File(error.to_string()))?;
        Ok(Self(
            properties
                .iter()
                .map(|(key, value, _)| (key.to_owned(), value.to_owned()))
                .collect(),
        ))
    }

    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.push((key.to_owned(), value.into()));
    }

    /// Sets `key` unless it is there.
    pub(crate) fn fill(&mut self, key: &str, value: impl Into<String>) {
        if self.get(key).is_none() {
            self.set(key, value);
        }
    }

    pub(crate) fn extend(&mut self, more: Vec<(String, String)>) {
        self.0.extend(more);
    }

    /// The value of `key` as a number, or `default`.
    pub(crate) fn number<T: std::str::FromStr>(
        &self,
        key: &str,
        default: T,
        reason: &'static str,
    ) -> Result<T, Error> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        value.trim().parse().map_err(|_| Error::Value {
            key: key.to_owned(),
            value: value.to_owned(),
            reason,
        })
    }

    pub(crate) fn i32(&self, key: &str, default: i32) -> Result<i32, Error> {
        self.number(key, default, "Not a number of type INT")
    }

    pub(crate) fn millis(&self, key: &str, default: u64) -> Result<Duration, Error> {
        let millis = self.number(key, default, "Not a number of type LONG")?;
        Ok(Duration::from_millis(millis))
    }

    pub(crate) fn bool(&self, key: &str, default: bool) -> Result<bool, Error> {
        match self.get(key).map(|value| value.trim().to_ascii_lowercase()) {
            None => Ok(default),
            Some(value) if value == "true" => Ok(true),
            Some(value) if value == "false" => Ok(false),
            Some(value) => Err(Error::Value {
                key: key.to_owned(),
                value,
                reason: "Expected value to be either true or false",
            }),
        }
    }
}

/// What every client needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) bootstrap: Vec<Endpoint>,
    pub(crate) client_id: String,
    pub(crate) request_timeout: Duration,
    pub(crate) api_timeout: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) retry_backoff_max: Duration,
    pub(crate) metadata_max_age: Duration,
    /// What stands before each log line, as `Producer clientId=x`.
    pub(crate) log_context: String,
}

impl Config {
    /// Reads `bootstrap.servers` and the rest of the common keys.
    pub(crate) fn from_settings(
        settings: &Settings,
        role: &str,
        client_id: &str,
    ) -> Result<Self, Error> {
        let client_id = settings.get("client.id").unwrap_or(client_id).to_owned();
        let protocol = settings.get("security.protocol").unwrap_or("PLAINTEXT");
        if !protocol.eq_ignore_ascii_case("PLAINTEXT") {
            return Err(Error::Security(protocol.to_owned()));
        }
        Ok(Self {
            bootstrap: endpoints(settings.get("bootstrap.servers").unwrap_or_default())?,
            log_context: format!("{role} clientId={client_id}"),
            client_id,
            request_timeout: settings.millis("request.timeout.ms", 30_000)?,
            api_timeout: settings.millis("default.api.timeout.ms", 60_000)?,
            retry_backoff: settings.millis("retry.backoff.ms", 100)?,
            retry_backoff_max: settings.millis("retry.backoff.max.ms", 1000)?,
            metadata_max_age: settings.millis("metadata.max.age.ms", 300_000)?,
        })
    }
}

/// Splits `host:port,[::1]:port`.
fn endpoints(list: &str) -> Result<Vec<Endpoint>, Error> {
    let found: Vec<Endpoint> = list
        .split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(|address| endpoint(address).ok_or_else(|| Error::Address(address.to_owned())))
        .collect::<Result<_, _>>()?;
    match found.is_empty() {
        true => Err(Error::NoAddress),
        false => Ok(found),
    }
}

/// `host:port`, with an optional `PROTOCOL://` before it.
pub(crate) fn endpoint(address: &str) -> Option<Endpoint> {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || port.is_empty() {
        return None;
    }
    Some(Endpoint {
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap(list: &str) -> Result<Vec<String>, String> {
        endpoints(list)
            .map(|found| found.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn addresses() {
        assert_eq!(bootstrap("a:1, b:2,"), Ok(vec!["a:1".into(), "b:2".into()]));
        assert_eq!(bootstrap("PLAINTEXT://h:9092"), Ok(vec!["h:9092".into()]));
        assert_eq!(bootstrap("[::1]:9092"), Ok(vec!["::1:9092".into()]));
        assert_eq!(
            bootstrap("foo"),
            Err("Invalid url in bootstrap.servers: foo".into())
        );
        assert_eq!(
            bootstrap("foo:x"),
            Err("Invalid url in bootstrap.servers: foo:x".into())
        );
        assert!(bootstrap("").is_err());
    }

    #[test]
    fn the_later_setting_wins_and_bad_ones_are_named() {
        let mut settings = Settings::default();
        settings.set("bootstrap.servers", "a:1");
        settings.set("request.timeout.ms", "5");
        settings.set("request.timeout.ms", "7");
        settings.fill("client.id", "mine");
        settings.fill("client.id", "other");
        let config = Config::from_settings(&settings, "Producer", "default").unwrap();
        assert_eq!(config.request_timeout, Duration::from_millis(7));
        assert_eq!(config.client_id, "mine");
        settings.set("retry.backoff.ms", "abc");
        assert_eq!(
            Config::from_settings(&settings, "Producer", "x")
                .unwrap_err()
                .to_string(),
            "Invalid value abc for configuration retry.backoff.ms: Not a number of type LONG"
        );
    }
}
