use super::*;

fn parse(overrides: &[(&str, &str)]) -> Result<LogConfig, Error> {
    let pairs = overrides.iter();
    let map = pairs.map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    LogConfig::from_overrides(&LogConfig::default(), &map)
}

#[test]
fn overrides_win_over_defaults() {
    let config = parse(&[
        ("cleanup.policy", "compact, delete"),
        ("retention.ms", "-1"),
        ("compression.type", "zstd"),
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.difference.max.ms", "500"),
        ("message.timestamp.after.max.ms", "70"),
        ("remote.storage.enable", "false"),
    ])
    .unwrap();
    assert!(config.compact && config.delete);
    assert_eq!(config.retention_ms, -1);
    assert_eq!(config.compression_type, Some(Compression::Zstd));
    assert_eq!(config.message_timestamp_before_max_ms, 500);
    assert_eq!(config.message_timestamp_after_max_ms, 70);
    assert_eq!(config.segment_bytes, 1 << 30);
}

#[test]
fn keys_without_effect_are_legal() {
    for (name, value) in [
        ("compression.gzip.level", "-1"),
        ("compression.lz4.level", "17"),
        ("compression.zstd.level", "3"),
        ("local.retention.bytes", "-2"),
        ("message.format.version", "0.10.0"),
        ("message.format.version", "3.0-IV1"),
    ] {
        assert_eq!(parse(&[(name, value)]), Ok(LogConfig::default()), "{name}");
    }
}

#[test]
fn errors_are_kafkas_words() {
    for (name, value, expected) in [
        ("nope", "1", "Unknown topic config name: nope"),
        (
            "retention.ms",
            "x",
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "retention.ms",
            "-2",
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        (
            "cleanup.policy",
            "compress",
            "Invalid value compress for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            "preallocate",
            "yes",
            "Invalid value yes for configuration preallocate: Expected value to be either true or false",
        ),
        (
            "compression.gzip.level",
            "99",
            "Invalid value 99 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.zstd.level",
            "x",
            "Invalid value x for configuration compression.zstd.level: Not a number of type INT",
        ),
        (
            "compression.lz4.level",
            "0",
            "Invalid value 0 for configuration compression.lz4.level: Value must be at least 1",
        ),
        (
            "local.retention.ms",
            "-3",
            "Invalid value -3 for configuration local.retention.ms: Value must be at least -2",
        ),
        (
            "remote.storage.enable",
            "true",
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
        ),
        (
            "message.format.version",
            "zzz",
            "Invalid value zzz for configuration message.format.version: Version zzz is not a valid version",
        ),
        (
            "min.cleanable.dirty.ratio",
            "2",
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
        ),
    ] {
        assert_eq!(parse(&[(name, value)]).unwrap_err().to_string(), expected);
    }
    let lags = parse(&[
        ("min.compaction.lag.ms", "5"),
        ("max.compaction.lag.ms", "4"),
    ]);
    assert_eq!(lags.unwrap_err(), Error::CompactionLags { min: 5, max: 4 });
}
