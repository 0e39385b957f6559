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
/// Older brokers fetch in ways that are not spoken here.
const MIN: MetadataVersion = MetadataVersion::of(2, 7, 1);

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
        ];
        let found = table.into_iter().find(|(from, _)| self >= *from);
        found.map_or(12, |(_, version)| version)
    }

    /// The version of OffsetForLeaderEpoch with which followers ask.
    #[must_use]
    pub fn leader_epoch_version(self) -> i16 {
        let table = [(Self::of(2, 8, 0), 4), (Self::of(2, 3, 1), 3)];
        let found = table.into_iter().find(|(from, _)| self >= *from);
        found.map_or(2, |(_, version)| version)
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
            u32::MAX => write!(f, "{major}.{minor}"),
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
    }

    #[test]
    fn what_is_not_spoken_is_refused() {
        for (text, expected) in [
            ("", InvalidMetadataVersion::Malformed),
            ("3", InvalidMetadataVersion::Malformed),
            ("3.x", InvalidMetadataVersion::Malformed),
            ("3.9-IVx", InvalidMetadataVersion::Malformed),
            ("4.0", InvalidMetadataVersion::OutOfRange),
            ("2.6", InvalidMetadataVersion::OutOfRange),
            ("0.8.0", InvalidMetadataVersion::OutOfRange),
        ] {
            assert_eq!(text.parse::<MetadataVersion>(), Err(expected), "{text}");
        }
        assert_eq!(
            InvalidMetadataVersion::OutOfRange.to_string(),
            "brokers here speak versions from 2.7-IV1 to 3.9-IV0 among themselves"
        );
    }
}
