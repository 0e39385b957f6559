//! The values of topic keys, checked as Kafka does.

use super::Error;
use crate::log::Throttled;
use crate::record::{self, Compression, TimestampType};

pub(super) fn gzip_level(value: &str) -> Result<i32, Error> {
    let name = "compression.gzip.level";
    match int(name, value, i32::MIN)? {
        -1 => Ok(record::GZIP_LEVEL_DEFAULT),
        level @ 1..=9 => Ok(level),
        _ => Err(Error::NotALevel {
            name,
            value: value.to_owned(),
        }),
    }
}

pub(super) fn level(name: &'static str, value: &str, least: i32, most: i32) -> Result<i32, Error> {
    match int(name, value, least)? {
        level if level > most => Err(Error::TooLarge {
            name,
            value: value.to_owned(),
            most: i64::from(most),
        }),
        level => Ok(level),
    }
}

/// `0.10.2`, `2.8`, `2.8.1` or `3.0-IV1`: a version that Kafka 3.9 knows.
pub(super) fn version(name: &'static str, value: &str) -> Result<(), Error> {
    // Releases with the last of their internal versions, if they have any.
    const RELEASES: [(&str, Option<u8>); 30] = [
        ("0.8.0", None),
        ("0.8.1", None),
        ("0.8.2", None),
        ("0.9.0", None),
        ("0.10.0", Some(1)),
        ("0.10.1", Some(2)),
        ("0.10.2", Some(0)),
        ("0.11.0", Some(2)),
        ("1.0", Some(0)),
        ("1.1", Some(0)),
        ("2.0", Some(1)),
        ("2.1", Some(2)),
        ("2.2", Some(1)),
        ("2.3", Some(1)),
        ("2.4", Some(1)),
        ("2.5", Some(0)),
        ("2.6", Some(0)),
        ("2.7", Some(2)),
        ("2.8", Some(1)),
        ("3.0", Some(1)),
        ("3.1", Some(0)),
        ("3.2", Some(0)),
        ("3.3", Some(3)),
        ("3.4", Some(0)),
        ("3.5", Some(2)),
        ("3.6", Some(2)),
        ("3.7", Some(4)),
        ("3.8", Some(0)),
        ("3.9", Some(0)),
        // Known by its internal versions only: it is not of this release.
        ("4.0", Some(1)),
    ];
    let numbers = if value.starts_with("0.") { 3 } else { 2 };
    let known: Vec<&str> = value.split('.').take(numbers).collect();
    let known = known.join(".");
    let (release, internal) = match known.split_once("-IV") {
        Some((release, internal)) => (release, Some(internal)),
        None => (known.as_str(), None),
    };
    let last = RELEASES.iter().find(|(known, _)| *known == release);
    let is_version = match (last, internal) {
        (None, _) => false,
        (Some(_), None) => release != "4.0",
        (Some((_, last)), Some(internal)) => {
            last.is_some_and(|last| (0..=last).any(|number| number.to_string() == internal))
        }
    };
    match is_version {
        true => Ok(()),
        false => Err(Error::NotAVersion {
            name,
            value: value.to_owned(),
        }),
    }
}

/// Nothing, `*`, or pairs of a partition and a broker.
pub(super) fn throttled(name: &'static str, value: &str) -> Result<Throttled, Error> {
    Throttled::parse(value).ok_or_else(|| Error::NotReplicas {
        name,
        value: value.to_owned(),
    })
}

pub(super) fn long(name: &'static str, value: &str, least: i64) -> Result<i64, Error> {
    let parsed: i64 = value.trim().parse().map_err(|_| Error::NotANumber {
        name,
        value: value.to_owned(),
        kind: "LONG",
    })?;
    at_least(name, value, parsed, least)
}

pub(super) fn int(name: &'static str, value: &str, least: i32) -> Result<i32, Error> {
    let parsed: i32 = value.trim().parse().map_err(|_| Error::NotANumber {
        name,
        value: value.to_owned(),
        kind: "INT",
    })?;
    at_least(name, value, i64::from(parsed), i64::from(least))?;
    Ok(parsed)
}

fn at_least(name: &'static str, value: &str, parsed: i64, least: i64) -> Result<i64, Error> {
    if parsed < least {
        let value = value.to_owned();
        return Err(Error::TooSmall { name, value, least });
    }
    Ok(parsed)
}

pub(super) fn boolean(name: &'static str, value: &str) -> Result<bool, Error> {
    match value.trim() {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        text => Err(Error::NotABoolean {
            name,
            value: text.to_owned(),
        }),
    }
}

pub(super) fn ratio(text: &str) -> Result<f64, Error> {
    let name = "min.cleanable.dirty.ratio";
    let value = text.to_owned();
    match text.trim().parse::<f64>() {
        Ok(ratio) if ratio < 0.0 => Err(Error::TooSmall {
            name,
            value: format!("{ratio:?}"),
            least: 0,
        }),
        Ok(ratio) if ratio > 1.0 => Err(Error::TooLarge {
            name,
            value: format!("{ratio:?}"),
            most: 1,
        }),
        Ok(ratio) if !ratio.is_nan() => Ok(ratio),
        _ => Err(Error::NotANumber {
            name,
            value,
            kind: "DOUBLE",
        }),
    }
}

pub(super) fn cleanup_policy(value: &str) -> Result<(bool, bool), Error> {
    let (mut compact, mut delete) = (false, false);
    for policy in value.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        match policy {
            "compact" => compact = true,
            "delete" => delete = true,
            other => {
                return Err(Error::NotOneOf {
                    name: "cleanup.policy",
                    value: other.to_owned(),
                    allowed: "compact, delete",
                });
            }
        }
    }
    Ok((compact, delete))
}

pub(super) fn compression(value: &str) -> Result<Option<Compression>, Error> {
    let unknown = || Error::NotOneOf {
        name: "compression.type",
        value: value.to_owned(),
        allowed: "uncompressed, zstd, lz4, snappy, gzip, producer",
    };
    match value {
        "producer" => Ok(None),
        "none" => Err(unknown()),
        name => Compression::from_name(name).map(Some).ok_or_else(unknown),
    }
}

pub(super) fn timestamp_type(value: &str) -> Result<TimestampType, Error> {
    match value {
        "CreateTime" => Ok(TimestampType::CreateTime),
        "LogAppendTime" => Ok(TimestampType::LogAppendTime),
        other => Err(Error::NotOneOf {
            name: "message.timestamp.type",
            value: other.to_owned(),
            allowed: "CreateTime, LogAppendTime",
        }),
    }
}
