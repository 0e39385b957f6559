//! Kafka's small text files: checkpoints of offsets, `partition.metadata`,
//! `meta.properties` and the marker of a clean shutdown.
//!
//! **Invariant:** what is written here, Kafka 3.9 reads, and the reverse.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::storage::Storage;
use crate::model::{BrokerId, Offset, TopicId, TopicName, TopicPartition};

pub(super) const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
pub(super) const HIGH_WATERMARK: &str = "replication-offset-checkpoint";
pub(super) const LOG_START: &str = "log-start-offset-checkpoint";
pub(super) const CLEANER: &str = "cleaner-offset-checkpoint";
pub(super) const LEADER_EPOCH: &str = "leader-epoch-checkpoint";
const META_PROPERTIES: &str = "meta.properties";
const PARTITION_METADATA: &str = "partition.metadata";
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const VERSION: &str = "0";
/// Checkpoints of a broker's size stay far below this; beyond it a file is
/// not ours.
const LENGTH_MAX: u64 = 256 << 20;

/// Why a small file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}, line {line}: malformed")]
    Malformed { path: PathBuf, line: usize },
    #[error(
        "{path}, line {line}: malformed; once this file is deleted, the topic's id is taken from \
         the cluster again"
    )]
    TopicId { path: PathBuf, line: usize },
    #[error(
        "{path}: there is no version; if the directory is this broker's, delete the file and it \
         is written anew"
    )]
    Unsigned { path: PathBuf },
    #[error(
        "{path}: the directory belongs to cluster {found}, but this broker to cluster {expected}; \
         log.dirs or zookeeper.connect may be wrong"
    )]
    OtherCluster {
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error("{path}: the directory belongs to broker {found}, but this is broker {expected}")]
    OtherBroker {
        path: PathBuf,
        found: String,
        expected: BrokerId,
    },
}

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// The lines of a checkpoint file; none when the file is missing or empty.
fn read_entries(path: &Path) -> Result<Vec<(usize, String)>, Error> {
    let Some(text) = read_optional(path)? else {
        return Ok(Vec::new());
    };
    let malformed = |line| Error::Malformed {
        path: path.to_owned(),
        line,
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = text.lines();
    if lines.next().map(str::trim) != Some(VERSION) {
        return Err(malformed(1));
    }
    let count: Option<usize> = lines.next().and_then(|line| line.trim().parse().ok());
    let count = count.ok_or_else(|| malformed(2))?;
    let entries: Vec<_> = (3..).zip(lines.map(str::to_owned)).collect();
    if entries.len() != count {
        return Err(malformed(2));
    }
    // A number that lost its last digits is a number, too.
    if !text.ends_with('\n') {
        return Err(malformed(2 + count));
    }
    Ok(entries)
}

fn read_optional(path: &Path) -> Result<Option<String>, Error> {
    let fail = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > LENGTH_MAX => {
            return Err(fail(io::ErrorKind::FileTooLarge.into()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    std::fs::read_to_string(path).map(Some).map_err(fail)
}

fn replace(storage: &dyn Storage, path: &Path, content: &str) -> Result<(), Error> {
    storage
        .replace(path, content.as_bytes())
        .map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
}

/// Reads one of the three checkpoints of offsets in a log directory.
pub(super) fn read_offsets(path: &Path) -> Result<Offsets, Error> {
    let mut offsets = Offsets::new();
    for (line, text) in read_entries(path)? {
        let (partition, offset) = parse_offset(&text).ok_or_else(|| Error::Malformed {
            path: path.to_owned(),
            line,
        })?;
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

fn parse_offset(text: &str) -> Option<(TopicPartition, Offset)> {
    let mut words = text.split_ascii_whitespace();
    let topic = TopicName::new(words.next()?).ok()?;
    let partition = words.next()?.parse().ok()?;
    let offset = words.next()?.parse().ok()?;
    (words.next().is_none() && partition >= 0)
        .then(|| (TopicPartition::new(topic, partition), offset))
}

pub(super) fn write_offsets(
    storage: &dyn Storage,
    path: &Path,
    offsets: &Offsets,
) -> Result<(), Error> {
    let mut text = format!("{VERSION}\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        text.push_str(&format!(
            "{} {} {offset}\n",
            partition.topic, partition.partition
        ));
    }
    replace(storage, path, &text)
}

/// Reads a partition's leader epochs with the offsets they start at.
pub(super) fn read_epochs(path: &Path) -> Result<Vec<(i32, Offset)>, Error> {
    let parse = |text: &str| {
        let (epoch, offset) = text.trim().split_once(' ')?;
        let (epoch, offset): (i32, Offset) = (epoch.parse().ok()?, offset.parse().ok()?);
        (epoch >= 0 && offset >= 0).then_some((epoch, offset))
    };
    let mut epochs = Vec::new();
    for (line, text) in read_entries(path)? {
        let entry = parse(&text).ok_or_else(|| Error::Malformed {
            path: path.to_owned(),
            line,
        })?;
        epochs.push(entry);
    }
    Ok(epochs)
}

pub(super) fn write_epochs(
    storage: &dyn Storage,
    path: &Path,
    epochs: &BTreeMap<i32, Offset>,
) -> Result<(), Error> {
    let mut text = format!("{VERSION}\n{}\n", epochs.len());
    for (epoch, offset) in epochs {
        text.push_str(&format!("{epoch} {offset}\n"));
    }
    replace(storage, path, &text)
}

/// Reads the topic id of a partition's directory.
pub(super) fn read_topic_id(dir: &Path) -> Result<Option<TopicId>, Error> {
    let path = topic_id_path(dir);
    let Some(text) = read_optional(&path)? else {
        return Ok(None);
    };
    let mut id = None;
    for (line, text) in (1..).zip(text.lines()) {
        let parsed = match text.split_once(": ") {
            Some(("version", "0")) => Some(()),
            Some(("topic_id", value)) => parse_id(value).map(|value| id = Some(value)),
            _ => None,
        };
        if parsed.is_none() {
            return Err(Error::TopicId { path, line });
        }
    }
    Ok(id)
}

fn parse_id(text: &str) -> Option<TopicId> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok()?;
    TopicId::from_slice(&bytes).ok()
}

pub(super) fn write_topic_id(storage: &dyn Storage, dir: &Path, id: TopicId) -> Result<(), Error> {
    replace(storage, &dir.join(PARTITION_METADATA), &topic_id_text(id))
}

/// As [`write_topic_id`] where no file is yet, without waiting for the disk:
/// after a power cut the file may be missing or empty, which reads as no id.
pub(super) fn write_new_topic_id(
    storage: &dyn Storage,
    dir: &Path,
    id: TopicId,
) -> Result<(), Error> {
    let path = topic_id_path(dir);
    let written = storage
        .create(&path)
        .and_then(|file| file.write_at(0, &[topic_id_text(id).as_bytes()]));
    written.map_err(|source| Error::Io { path, source })
}

fn topic_id_text(id: TopicId) -> String {
    let id = URL_SAFE_NO_PAD.encode(id.as_bytes());
    format!("version: 0\ntopic_id: {id}")
}

/// The file that holds a partition's topic id.
pub(super) fn topic_id_path(dir: &Path) -> PathBuf {
    dir.join(PARTITION_METADATA)
}

/// What `meta.properties` must say of every log directory of this broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: String,
    pub broker_id: BrokerId,
}

/// Refuses a directory that belongs to somebody else and signs an empty one.
pub(super) fn check_identity(
    storage: &dyn Storage,
    dir: &Path,
    identity: &Identity,
) -> Result<(), Error> {
    let path = dir.join(META_PROPERTIES);
    let Some(text) = read_optional(&path)? else {
        let text = format!(
            "#\nbroker.id={}\nversion=0\ncluster.id={}\n",
            identity.broker_id, identity.cluster_id
        );
        return replace(storage, &path, &text);
    };
    let value_of = |key: &str| {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim().to_owned())
    };
    if !is_signed(&text) {
        return Err(Error::Unsigned { path });
    }
    match value_of("cluster.id") {
        Some(found) if found != identity.cluster_id => {
            return Err(Error::OtherCluster {
                path,
                found,
                expected: identity.cluster_id.clone(),
            });
        }
        _ => {}
    }
    match value_of("broker.id").or_else(|| value_of("node.id")) {
        Some(found) if found != identity.broker_id.to_string() => Err(Error::OtherBroker {
            path,
            found,
            expected: identity.broker_id,
        }),
        _ => Ok(()),
    }
}

/// Kafka writes the version behind the broker's id, so where it is missing
/// that may be cut, too.
fn is_signed(text: &str) -> bool {
    let mut names = text.lines().filter_map(|line| line.split_once('='));
    names.any(|(name, value)| name.trim() == "version" && !value.trim().is_empty())
}

/// The identity that a log directory was signed with, if it was: lets a broker
/// without a configured id keep the one it once had.
pub fn stored_broker_id(dir: &Path) -> Result<Option<BrokerId>, Error> {
    let path = dir.join(META_PROPERTIES);
    let Some(text) = read_optional(&path)? else {
        return Ok(None);
    };
    if !is_signed(&text) {
        return Err(Error::Unsigned { path });
    }
    for (line, text) in (1..).zip(text.lines()) {
        let Some(("broker.id", value)) = text.split_once('=') else {
            continue;
        };
        let id = value.trim().parse();
        return id.map(Some).map_err(|_| Error::Malformed { path, line });
    }
    Ok(None)
}

/// Says whether the last broker in this directory shut down cleanly, and
/// takes the marker away so that a crash from now on shows.
pub(super) fn take_clean_shutdown(dir: &Path) -> Result<bool, Error> {
    let path = dir.join(CLEAN_SHUTDOWN);
    match std::fs::remove_file(&path) {
        Ok(()) => match common::fs::sync_dir(dir) {
            Ok(()) => Ok(true),
            Err(source) => Err(Error::Io { path, source }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { path, source }),
    }
}

pub(super) fn write_clean_shutdown(
    storage: &dyn Storage,
    dir: &Path,
    broker_epoch: i64,
) -> Result<(), Error> {
    let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    replace(storage, &dir.join(CLEAN_SHUTDOWN), &text)
}

#[cfg(test)]
mod tests {
    use super::super::storage::Disk;
    use super::*;

    fn partition(topic: &str, partition: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), partition)
    }

    #[test]
    fn golden_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINT);
        let offsets = Offsets::from([(partition("orders", 1), 15), (partition("a.b", 0), 3)]);
        write_offsets(&Disk, &path, &offsets).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "0\n2\na.b 0 3\norders 1 15\n");
        assert_eq!(read_offsets(&path).unwrap(), offsets);

        write_epochs(&Disk, &path, &BTreeMap::from([(0, 0), (4, 77)])).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "0\n2\n0 0\n4 77\n");
        assert_eq!(read_epochs(&path).unwrap(), [(0, 0), (4, 77)]);

        let id = parse_id("BKqUN7WwS_qPnSwtA2hi3A").unwrap();
        write_topic_id(&Disk, dir.path(), id).unwrap();
        let text = std::fs::read_to_string(dir.path().join(PARTITION_METADATA)).unwrap();
        assert_eq!(text, "version: 0\ntopic_id: BKqUN7WwS_qPnSwtA2hi3A");
        assert_eq!(read_topic_id(dir.path()).unwrap(), Some(id));

        write_clean_shutdown(&Disk, dir.path(), -1).unwrap();
        let text = std::fs::read_to_string(dir.path().join(CLEAN_SHUTDOWN)).unwrap();
        assert_eq!(text, r#"{"version":0,"brokerEpoch":-1}"#);
        assert!(take_clean_shutdown(dir.path()).unwrap());
        assert!(!take_clean_shutdown(dir.path()).unwrap());
    }

    #[test]
    fn missing_and_empty_files_hold_nothing_and_bad_ones_name_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(read_offsets(&path).unwrap().is_empty());
        std::fs::write(&path, "").unwrap();
        assert!(read_offsets(&path).unwrap().is_empty());
        for (bad, line) in [
            ("1\n0\n", 1),
            ("0\nx\n", 2),
            ("0\n2\nt 0 1\n", 2),
            ("0\n1\n../x 0 1\n", 3),
            ("0\n1\nt 0\n", 3),
            ("0\n1\nt 0 12", 3),
        ] {
            std::fs::write(&path, bad).unwrap();
            let text = read_offsets(&path).unwrap_err().to_string();
            assert!(text.contains(&format!("line {line}")), "{text}");
        }
    }

    #[test]
    fn a_foreign_directory_is_refused_with_both_ids() {
        let dir = tempfile::tempdir().unwrap();
        let mine = Identity {
            cluster_id: "mine==".to_owned(),
            broker_id: 1,
        };
        check_identity(&Disk, dir.path(), &mine).unwrap();
        check_identity(&Disk, dir.path(), &mine).unwrap();
        assert_eq!(stored_broker_id(dir.path()).unwrap(), Some(1));
        let mut other = mine;
        other.broker_id = 2;
        let text = check_identity(&Disk, dir.path(), &other)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("broker 1") && text.contains("broker 2"),
            "{text}"
        );
        other.cluster_id = "theirs".to_owned();
        let text = check_identity(&Disk, dir.path(), &other)
            .unwrap_err()
            .to_string();
        assert!(text.contains("mine==") && text.contains("theirs"), "{text}");
    }
}
