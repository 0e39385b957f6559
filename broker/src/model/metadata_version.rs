//! `inter.broker.protocol.version`: what all brokers of a cluster speak.

use std::fmt;
use std::str::FromStr;

/// A release of Kafka with the step inside it, such as `3.9-IV0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataVersion {
    release: (u32, u32),
    /// The last one of the release when the version names none.
    step: u32,
}

/// A text that is no version, or one that is not spoken here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadataVersion {
    #[error("expected a version such as 3.9 or 3.9-IV0")]
    Malformed,
    #[error("brokers here speak versions from {MIN} to {MAX} among themselves")]
    OutOfRange,
}

/// The newest version in ZooKeeper mode.
const MAX: MetadataVersion = MetadataVersion::of(3, 9, 0);
/// Older brokers know neither leader epochs nor the present format of records.
const MIN: MetadataVersion = MetadataVersion::of(0, 11, 2);
/// What every broker of 3.9 speaks unless it is told otherwise.
pub const NEWEST: MetadataVersion = MetadataVersion::of(3, 9, u32::MAX);

impl MetadataVersion {
    /// `major.minor-IVstep`.
    #[must_use]
    pub const fn of(major: u32, minor: u32, step: u32) -> Self {
        Self {
            release: (major, minor),
            step,
        }
    }

    /// The version of Fetch with which followers fetch.
    #[must_use]
    pub fn fetch_version(self) -> i16 {
        let table = [
            (Self::of(3, 9, 0), 17),
            (Self::of(3, 7, 4), 16),
            (Self::of(3, 5, 1), 15),
            (Self::of(3, 5, 0), 14),
            (Self::of(3, 1, 0), 13),
            (Self::of(2, 7, 1), 12),
            (Self::of(2, 3, 1), 11),
            (Self::of(2, 1, 2), 10),
            (Self::of(2, 0, 1), 8),
            (Self::of(1, 1, 0), 7),
        ];
        self.newest_of(&table, 5)
    }

    /// The version of OffsetForLeaderEpoch with which followers ask where their
    /// logs and their leaders' part.
    #[must_use]
    pub fn leader_epoch_version(self) -> i16 {
        let table = [
            (Self::of(2, 8, 0), 4),
            (Self::of(2, 3, 1), 3),
            (Self::of(2, 1, 1), 2),
            (Self::of(2, 0, 0), 1),
        ];
        self.newest_of(&table, 0)
    }

    /// The version of ListOffsets with which followers ask for offsets.
    #[must_use]
    pub fn list_offsets_version(self) -> i16 {
        let table = [
            (Self::of(3, 9, 0), 9),
            (Self::of(3, 5, 0), 8),
            (Self::of(3, 0, 1), 7),
            (Self::of(2, 8, 0), 6),
            (Self::of(2, 2, 1), 5),
            (Self::of(2, 1, 1), 4),
            (Self::of(2, 0, 1), 3),
        ];
        self.newest_of(&table, 2)
    }

    /// The version in which a group's metadata is written to its log.
    #[must_use]
    pub fn group_metadata_version(self) -> i16 {
        let table = [(Self::of(2, 3, 0), 3), (Self::of(2, 1, 0), 2)];
        self.newest_of(&table, 1)
    }

    /// The version in which a committed offset without an expiry of its own is
    /// written to the log.
    #[must_use]
    pub fn offset_commit_version(self) -> i16 {
        let table = [(Self::of(2, 1, 1), 3), (Self::of(2, 1, 0), 2)];
        self.newest_of(&table, 1)
    }

    /// The version of `WriteTxnMarkers` that brokers send to each other.
    #[must_use]
    pub fn write_txn_markers_version(self) -> i16 {
        self.newest_of(&[(Self::of(2, 8, 0), 1)], 0)
    }

    /// The version of `AddPartitionsToTxn` in which brokers ask each other; `None`
    /// where some may be older than it.
    #[must_use]
    pub fn verification_version(self) -> Option<i16> {
        let table = [(Self::of(3, 8, 0), 5), (Self::of(3, 5, 0), 4)];
        Some(self.newest_of(&table, -1)).filter(|version| *version > 0)
    }

    fn newest_of(self, table: &[(Self, i16)], oldest: i16) -> i16 {
        let found = table.iter().find(|(from, _)| self >= *from);
        found.map_or(oldest, |(_, version)| *version)
    }

    /// Whether features have levels (KIP-584), and registrations name them.
    #[must_use]
    pub fn has_features(self) -> bool {
        self >= Self::of(2, 7, 0)
    }

    /// Whether the node of the features is of its second version.
    #[must_use]
    pub fn has_features_without_minimum(self) -> bool {
        self >= Self::of(3, 3, 0)
    }

    /// Whether a leader says in its answer to a Fetch where the follower's log
    /// leaves its own (KIP-595).
    #[must_use]
    pub fn has_diverging_epochs(self) -> bool {
        self >= Self::of(2, 7, 1)
    }

    /// Whether brokers get blocks of producer ids from the controller (KIP-730).
    #[must_use]
    pub fn has_allocated_producer_ids(self) -> bool {
        self >= Self::of(3, 0, 0)
    }

    /// Whether an unclean leader is marked until it recovered (KIP-704).
    #[must_use]
    pub fn has_leader_recovery(self) -> bool {
        self >= Self::of(3, 2, 0)
    }

    /// Whether leaders ask the controller for other ISRs, instead of writing
    /// the state nodes themselves.
    #[must_use]
    pub fn has_alter_partition(self) -> bool {
        self >= Self::of(2, 7, 2)
    }

    /// Whether topics have ids (KIP-516).
    #[must_use]
    pub fn has_topic_ids(self) -> bool {
        self >= Self::of(2, 8, 0)
    }
}

impl FromStr for MetadataVersion {
    type Err = InvalidMetadataVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = InvalidMetadataVersion::Malformed;
        let (release, step) = match text.split_once("-IV") {
            Some((release, step)) => (release, step.parse().map_err(|_| malformed.clone())?),
            None => (text, u32::MAX),
        };
        let mut numbers = release.split('.').map(str::parse::<u32>);
        let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
            return Err(malformed);
        };
        // Versions before 1.0 have three numbers; later ones may.
        if numbers.any(|number| number.is_err()) {
            return Err(malformed);
        }
        let version = Self::of(major, minor, step);
        match version.release > MAX.release || version < MIN {
            true => Err(InvalidMetadataVersion::OutOfRange),
            false => Ok(version),
        }
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.release;
        match self.step {
            u32::MAX if major == 0 => write!(f, "{major}.{minor}.0"),
            u32::MAX => write!(f, "{major}.{minor}"),
            step if major == 0 => write!(f, "{major}.{minor}.0-IV{step}"),
            step => write!(f, "{major}.{minor}-IV{step}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let version = |text: &str| text.parse::<MetadataVersion>().unwrap();
        assert_eq!(version("3.9").fetch_version(), 17);
        assert_eq!(version("3.9-IV0").fetch_version(), 17);
        assert_eq!(version("3.7-IV3").fetch_version(), 15);
        assert_eq!(version("3.7").fetch_version(), 16);
        assert_eq!(version("2.8").fetch_version(), 12);
        assert_eq!(version("2.8").leader_epoch_version(), 4);
        assert_eq!(version("2.7").leader_epoch_version(), 3);
        assert!(version("2.8").has_topic_ids() && !version("2.7").has_topic_ids());
        assert!(version("2.7").has_alter_partition());
        assert!(!version("2.7-IV1").has_alter_partition());
        assert_eq!(version("2.8.0"), version("2.8"));
        assert_eq!(version("1.1.1"), version("1.1"));
        assert!(version("0.11.0") < version("1.0-IV0"));
    }

    #[test]
    fn each_version_of_the_cluster_has_its_versions_of_requests() {
        for (cluster, fetch, epochs, offsets, group, commit) in [
            ("3.9", 17, 4, 9, 3, 3),
            ("3.0", 12, 4, 7, 3, 3),
            ("2.8", 12, 4, 6, 3, 3),
            ("2.6", 11, 3, 5, 3, 3),
            ("2.2", 10, 2, 5, 2, 3),
            ("2.1-IV0", 8, 1, 3, 2, 2),
            ("2.0", 8, 1, 3, 1, 1),
            ("1.1", 7, 0, 2, 1, 1),
            ("0.11.0", 5, 0, 2, 1, 1),
        ] {
            let version: MetadataVersion = cluster.parse().unwrap();
            let found = (
                version.fetch_version(),
                version.leader_epoch_version(),
                version.list_offsets_version(),
                version.group_metadata_version(),
                version.offset_commit_version(),
            );
            assert_eq!(found, (fetch, epochs, offsets, group, commit), "{cluster}");
        }
    }

    #[test]
    fn what_is_not_spoken_is_refused() {
        for (text, expected) in [
            ("", InvalidMetadataVersion::Malformed),
            ("3", InvalidMetadataVersion::Malformed),
            ("3.x", InvalidMetadataVersion::Malformed),
            ("3.9-IVx", InvalidMetadataVersion::Malformed),
            ("4.0", InvalidMetadataVersion::OutOfRange),
            ("0.11.0-IV1", InvalidMetadataVersion::OutOfRange),
            ("0.10.2", InvalidMetadataVersion::OutOfRange),
            ("0.8.0", InvalidMetadataVersion::OutOfRange),
        ] {
            assert_eq!(text.parse::<MetadataVersion>(), Err(expected), "{text}");
        }
        assert_eq!(
            InvalidMetadataVersion::OutOfRange.to_string(),
            "brokers here speak versions from 0.11.0-IV2 to 3.9-IV0 among themselves"
        );
    }
}
