//! Which replicas of a topic the replication throttles hold back (KIP-73).

use crate::model::BrokerId;

/// `leader.replication.throttled.replicas` and its sister.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Throttled {
    #[default]
    None,
    /// `*`
    All,
    /// Partitions, each with a broker.
    Some(Vec<(i32, BrokerId)>),
}

impl Throttled {
    /// Reads nothing, `*`, or pairs such as `0:1, 1:2`; `None` when it is none
    /// of them.
    #[must_use]
    pub(super) fn parse(value: &str) -> Option<Self> {
        match value.trim() {
            "" => return Some(Self::None),
            "*" => return Some(Self::All),
            _ => {}
        }
        let number = |text: &str| {
            let number = text.parse::<u32>().ok()?;
            i32::try_from(number).ok()
        };
        let pair = |pair: &str| {
            let (partition, broker) = pair.trim().split_once(':')?;
            Some((number(partition)?, number(broker)?))
        };
        value
            .split(',')
            .map(pair)
            .collect::<Option<_>>()
            .map(Self::Some)
    }

    /// Whether it names this partition's replica on this broker.
    #[must_use]
    pub fn names(&self, partition: i32, broker: BrokerId) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(pairs) => pairs.contains(&(partition, broker)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_kafka_reads_them() {
        assert_eq!(Throttled::parse(""), Some(Throttled::None));
        assert_eq!(Throttled::parse(" * "), Some(Throttled::All));
        let some = Throttled::parse("0:1, 1:2").unwrap();
        assert!(some.names(0, 1) && some.names(1, 2) && !some.names(0, 2));
        assert!(Throttled::All.names(7, 7) && !Throttled::None.names(0, 0));
        for wrong in ["0", "0:", "a:1", "0:1,", "0:1;1:2", "-1:0", "0:-1"] {
            assert_eq!(Throttled::parse(wrong), None, "{wrong}");
        }
    }
}
