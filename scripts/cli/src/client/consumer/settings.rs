//! The consumer's settings, with the defaults of Kafka's client.

use std::time::Duration;

use crate::client::config::{Error, Settings};
use crate::client::offsets::{EARLIEST, LATEST};

/// Where to begin without a committed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reset {
    Earliest,
    Latest,
    Never,
}

/// Checked settings of a consumer.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerSettings {
    pub(crate) group_id: String,
    /// Makes the member a static one (KIP-345).
    pub(super) instance_id: Option<String>,
    pub(super) reset: Reset,
    pub(crate) isolation_level: i8,
    pub(super) commits_itself: bool,
    pub(super) commit_interval: Duration,
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) fetch_wait: Duration,
    pub(super) fetch_bytes_min: i32,
    pub(super) fetch_bytes_max: i32,
    pub(super) partition_bytes_max: i32,
    pub(super) hides_internal: bool,
    pub(super) may_create_topics: bool,
}

impl ConsumerSettings {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let reset = match settings.get("auto.offset.reset").unwrap_or("latest") {
            "earliest" => Reset::Earliest,
            "latest" => Reset::Latest,
            "none" => Reset::Never,
            other => {
                let reason = "String must be one of: latest, earliest, none";
                return Err(one_of("auto.offset.reset", other, reason));
            }
        };
        let isolation_level = match settings
            .get("isolation.level")
            .unwrap_or("read_uncommitted")
        {
            "read_uncommitted" => 0,
            "read_committed" => 1,
            other => {
                let reason = "String must be one of: read_committed, read_uncommitted";
                return Err(one_of("isolation.level", other, reason));
            }
        };
        Ok(Self {
            group_id: settings.get("group.id").unwrap_or_default().to_owned(),
            instance_id: settings.get("group.instance.id").map(str::to_owned),
            reset,
            isolation_level,
            commits_itself: settings.bool("enable.auto.commit", true)?,
            commit_interval: settings.millis("auto.commit.interval.ms", 5000)?,
            session_timeout: settings.millis("session.timeout.ms", 45_000)?,
            heartbeat_interval: settings.millis("heartbeat.interval.ms", 3000)?,
            rebalance_timeout: settings.millis("max.poll.interval.ms", 300_000)?,
            fetch_wait: settings.millis("fetch.max.wait.ms", 500)?,
            fetch_bytes_min: settings.i32("fetch.min.bytes", 1)?,
            fetch_bytes_max: settings.i32("fetch.max.bytes", 52_428_800)?,
            partition_bytes_max: settings.i32("max.partition.fetch.bytes", 1_048_576)?,
            hides_internal: settings.bool("exclude.internal.topics", true)?,
            may_create_topics: settings.bool("allow.auto.create.topics", true)?,
        })
    }
}

impl ConsumerSettings {
    /// The time whose offset a partition begins at that nothing was committed of.
    pub(crate) fn reset_time(&self) -> Option<i64> {
        match self.reset {
            Reset::Earliest => Some(EARLIEST),
            Reset::Latest => Some(LATEST),
            Reset::Never => None,
        }
    }
}

fn one_of(key: &str, value: &str, reason: &'static str) -> Error {
    Error::Value {
        key: key.to_owned(),
        value: value.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        let read = |key: &str, value: &str| {
            let mut settings = Settings::default();
            settings.set(key, value);
            ConsumerSettings::new(&settings)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(read("isolation.level", "read_committed"), Ok(()));
        assert_eq!(
            read("isolation.level", "foo"),
            Err("Invalid value foo for configuration isolation.level: String must be one of: read_committed, read_uncommitted".to_owned())
        );
        assert!(read("auto.offset.reset", "foo").is_err());
    }
}
