//! The settings a topic may have, for the way on which no broker checks them.

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Long,
    Double,
    Boolean,
    Text,
}

use Kind::{Boolean, Double, Int, Long, Text};

const KNOWN: [(&str, Kind); 36] = [
    ("cleanup.policy", Text),
    ("compression.gzip.level", Int),
    ("compression.lz4.level", Int),
    ("compression.type", Text),
    ("compression.zstd.level", Int),
    ("delete.retention.ms", Long),
    ("file.delete.delay.ms", Long),
    ("flush.messages", Long),
    ("flush.ms", Long),
    ("follower.replication.throttled.replicas", Text),
    ("index.interval.bytes", Int),
    ("leader.replication.throttled.replicas", Text),
    ("local.retention.bytes", Long),
    ("local.retention.ms", Long),
    ("max.compaction.lag.ms", Long),
    ("max.message.bytes", Int),
    ("message.downconversion.enable", Boolean),
    ("message.format.version", Text),
    ("message.timestamp.after.max.ms", Long),
    ("message.timestamp.before.max.ms", Long),
    ("message.timestamp.difference.max.ms", Long),
    ("message.timestamp.type", Text),
    ("min.cleanable.dirty.ratio", Double),
    ("min.compaction.lag.ms", Long),
    ("min.insync.replicas", Int),
    ("preallocate", Boolean),
    ("remote.log.copy.disable", Boolean),
    ("remote.log.delete.on.disable", Boolean),
    ("remote.storage.enable", Boolean),
    ("retention.bytes", Long),
    ("retention.ms", Long),
    ("segment.bytes", Int),
    ("segment.index.bytes", Int),
    ("segment.jitter.ms", Long),
    ("segment.ms", Long),
    ("unclean.leader.election.enable", Boolean),
];

/// Refuses what Kafka's tool refuses, in its words.
pub(super) fn check(configs: &[(String, String)]) -> Result<(), String> {
    for (name, value) in configs {
        let known = KNOWN.iter().find(|(known, _)| known == name);
        let (_, kind) = known.ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        let wrong = match kind {
            Int if value.parse::<i32>().is_err() => "Not a number of type INT",
            Long if value.parse::<i64>().is_err() => "Not a number of type LONG",
            Double if value.parse::<f64>().is_err() => "Not a number of type DOUBLE",
            Boolean if !matches!(value.to_lowercase().as_str(), "true" | "false") => {
                "Expected value to be either true or false"
            }
            Int | Long | Double | Boolean | Text => continue,
        };
        return Err(format!(
            "Invalid value {value} for configuration {name}: {wrong}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    fn refusal(name: &str, value: &str) -> Option<String> {
        check(&[(name.to_owned(), value.to_owned())]).err()
    }

    #[test]
    fn names_and_kinds() {
        assert_eq!(refusal("retention.ms", "5"), None);
        assert_eq!(refusal("preallocate", "TRUE"), None);
        assert_eq!(
            refusal("foo", "bar").as_deref(),
            Some("Unknown topic config name: foo")
        );
        assert_eq!(
            refusal("retention.ms", "abc").as_deref(),
            Some("Invalid value abc for configuration retention.ms: Not a number of type LONG")
        );
        assert!(refusal("segment.bytes", "3000000000").is_some());
    }
}
