//! The producer's settings, with the defaults of Kafka's client.

use std::time::Duration;

use broker::record::Compression;

use crate::client::config::{Error, Settings};

/// Whose acknowledgement a batch waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    None,
    Leader,
    All,
}

impl Acks {
    pub(super) fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Checked settings of a producer.
#[derive(Debug, Clone)]
pub(crate) struct ProducerSettings {
    pub(super) acks: Acks,
    pub(super) compression: Compression,
    pub(super) batch_size: usize,
    pub(super) linger: Duration,
    pub(super) retries: u32,
    pub(super) max_block: Duration,
    pub(super) delivery_timeout: Duration,
    pub(super) request_size_max: usize,
    pub(super) is_idempotent: bool,
}

impl ProducerSettings {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let acks = match settings.get("acks").unwrap_or("all").trim() {
            "all" | "-1" => Acks::All,
            "1" => Acks::Leader,
            "0" => Acks::None,
            other => {
                return Err(one_of(
                    "acks",
                    other,
                    "String must be one of: all, -1, 0, 1",
                ));
            }
        };
        let codec = settings.get("compression.type").unwrap_or("none");
        let compression = Compression::from_name(codec).ok_or_else(|| {
            let names = "String must be one of: none, gzip, snappy, lz4, zstd";
            one_of("compression.type", codec, names)
        })?;
        let retries = settings.number(
            "retries",
            i32::MAX.unsigned_abs(),
            "Not a number of type INT",
        )?;
        let by_default = acks == Acks::All && retries > 0;
        let is_idempotent = settings.bool("enable.idempotence", by_default)?;
        Ok(Self {
            acks,
            compression,
            batch_size: count(settings.i32("batch.size", 16_384)?),
            linger: settings.millis("linger.ms", 0)?,
            retries,
            max_block: settings.millis("max.block.ms", 60_000)?,
            delivery_timeout: settings.millis("delivery.timeout.ms", 120_000)?,
            request_size_max: count(settings.i32("max.request.size", 1_048_576)?),
            is_idempotent: is_idempotent && acks == Acks::All,
        })
    }
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
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

    fn read(pairs: &[(&str, &str)]) -> Result<ProducerSettings, String> {
        let mut settings = Settings::default();
        for (key, value) in pairs {
            settings.set(key, *value);
        }
        ProducerSettings::new(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn idempotence_needs_all_acks() {
        assert!(read(&[]).unwrap().is_idempotent);
        assert!(!read(&[("acks", "1")]).unwrap().is_idempotent);
        assert!(!read(&[("retries", "0")]).unwrap().is_idempotent);
        assert!(
            !read(&[("enable.idempotence", "false")])
                .unwrap()
                .is_idempotent
        );
    }

    #[test]
    fn wrong_values_are_named() {
        assert_eq!(
            read(&[("acks", "7")]).unwrap_err(),
            "Invalid value 7 for configuration acks: String must be one of: all, -1, 0, 1"
        );
        assert_eq!(
            read(&[("compression.type", "foo")]).unwrap_err(),
            "Invalid value foo for configuration compression.type: String must be one of: none, gzip, snappy, lz4, zstd"
        );
        assert_eq!(
            read(&[("linger.ms", "abc")]).unwrap_err(),
            "Invalid value abc for configuration linger.ms: Not a number of type LONG"
        );
    }
}
