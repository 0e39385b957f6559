//! Watch events as what they mean, and the feed of configuration changes.

use std::collections::VecDeque;
use std::time::Duration;

use indexmap::IndexMap;

use super::znode::{ConfigEntity, decode_change_note, path};
use super::{Error, Registry};
use crate::model::{BrokerId, TopicName};
use crate::zk::{self, WatchEvent, Watcher};

/// Notes older than this were read by everybody.
const NOTE_RETENTION: Duration = Duration::from_secs(15 * 60);

/// What a watch event tells a broker or the controller to look at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `/controller` came, changed or went.
    Controller,
    /// The list of registered brokers.
    Brokers,
    /// One broker's registration (its listeners).
    Broker(BrokerId),
    /// The list of topics.
    Topics,
    /// One topic's assignment.
    TopicPartitions(TopicName),
    /// The list of topics to delete.
    TopicsToDelete,
    IsrNotes,
    LogDirNotes,
    PreferredElection,
    Reassignment,
    ConfigNotes,
}

impl Change {
    /// `None` for a path that nobody watches for a reason known here.
    #[must_use]
    pub fn of(event: &WatchEvent) -> Option<Self> {
        Some(match event.path.as_str() {
            path::CONTROLLER => Self::Controller,
            path::BROKER_IDS => Self::Brokers,
            path::TOPICS => Self::Topics,
            path::DELETE_TOPICS => Self::TopicsToDelete,
            path::ISR_CHANGES => Self::IsrNotes,
            path::LOG_DIR_EVENTS => Self::LogDirNotes,
            path::PREFERRED_ELECTION => Self::PreferredElection,
            path::REASSIGN_PARTITIONS => Self::Reassignment,
            path::CONFIG_CHANGES => Self::ConfigNotes,
            other => {
                if let Some(id) = child_of(other, path::BROKER_IDS) {
                    return id.parse().ok().map(Self::Broker);
                }
                let topic = child_of(other, path::TOPICS)?;
                Self::TopicPartitions(TopicName::new(topic).ok()?)
            }
        })
    }
}

fn child_of<'a>(path: &'a str, parent: &str) -> Option<&'a str> {
    let child = path.strip_prefix(parent)?.strip_prefix('/')?;
    (!child.contains('/')).then_some(child)
}

/// The number at the end of a sequential node's name.
#[must_use]
pub fn sequence_number(name: &str, prefix: &str) -> Option<i64> {
    name.strip_prefix(prefix)?.parse().ok()
}

/// A configuration that somebody wrote, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    pub entity: ConfigEntity,
    pub config: IndexMap<String, String>,
}

/// Follows `/config/changes`: every note once, in order, with the configuration
/// that it points to. It starts with the notes that exist, scans again in each
/// new session, and removes notes that everybody has seen.
pub struct ConfigFeed {
    registry: Registry,
    watcher: Watcher,
    /// The session in which the watch was set.
    armed_in: Option<u64>,
    last_seen: i64,
    found: VecDeque<ConfigChange>,
}

impl ConfigFeed {
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        let watcher = registry.client().watcher();
        Self { registry, watcher, armed_in: None, last_seen: -1, found: VecDeque::new() }
    }

    /// Waits for the next change; cancel safe. Errors of an expired session
    /// pass when the owner renewed it: call again.
    pub async fn next(&mut self) -> Result<ConfigChange, Error> {
        loop {
            if let Some(change) = self.found.pop_front() {
                return Ok(change);
            }
            let generation = self.registry.client().generation();
            if self.armed_in == Some(generation) {
                let mut status = self.registry.client().status();
                tokio::select! {
                    _ = self.watcher.next() => {}
                    renewed = status.wait_for(|status| status.generation != generation) => {
                        renewed.map_err(|_| zk::Error::Closed)?;
                    }
                }
                self.armed_in = None;
            }
            self.scan().await?;
            self.armed_in = Some(generation);
        }
    }

    async fn scan(&mut self) -> Result<(), Error> {
        let names = self.registry.children(path::CONFIG_CHANGES, Some(&self.watcher)).await?;
        let prefix = path::CONFIG_CHANGE_PREFIX;
        let mut notes: Vec<(i64, String)> = names
            .into_iter()
            .filter_map(|name| sequence_number(&name, prefix).map(|number| (number, name)))
            .collect();
        notes.sort_unstable();
        for (number, name) in notes {
            let note = format!("{}/{name}", path::CONFIG_CHANGES);
            let Some((data, stat)) = self.registry.read(&note).await? else {
                continue;
            };
            if number > self.last_seen {
                match decode_change_note(&data) {
                    Ok(entity) => {
                        let config = self.registry.config(&entity).await?;
                        self.found.push_back(ConfigChange { entity, config });
                    }
                    Err(error) => tracing::warn!(%note, %error, "ignoring a config change note"),
                }
                self.last_seen = number;
            }
            let age_ms = self.registry.clock.wall_ms().saturating_sub(stat.ctime);
            if u128::try_from(age_ms).is_ok_and(|age| age > NOTE_RETENTION.as_millis()) {
                let delete = || self.registry.client.delete(&note, zk::ANY_VERSION);
                zk::optional(self.registry.client.retry(delete).await)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zk::EventType;

    #[test]
    fn paths_become_changes() {
        let topic = TopicName::new("t").unwrap();
        let table = [
            ("/controller", Some(Change::Controller)),
            ("/brokers/ids", Some(Change::Brokers)),
            ("/brokers/ids/3", Some(Change::Broker(3))),
            ("/brokers/ids/x", None),
            ("/brokers/topics", Some(Change::Topics)),
            ("/brokers/topics/t", Some(Change::TopicPartitions(topic))),
            ("/brokers/topics/t/partitions", None),
            ("/brokers/topics/a b", None),
            ("/admin/delete_topics", Some(Change::TopicsToDelete)),
            ("/isr_change_notification", Some(Change::IsrNotes)),
            ("/config/changes", Some(Change::ConfigNotes)),
            ("/elsewhere", None),
        ];
        for (path, change) in table {
            let kind = EventType::NodeDataChanged;
            let event = WatchEvent { kind, path: path.into(), generation: 1 };
            assert_eq!(Change::of(&event), change, "{path}");
        }
    }

    #[test]
    fn sequence_numbers_are_read() {
        assert_eq!(sequence_number("isr_change_0000000012", "isr_change_"), Some(12));
        assert_eq!(sequence_number("isr_change_x", "isr_change_"), None);
        assert_eq!(sequence_number("other_1", "isr_change_"), None);
    }
}
