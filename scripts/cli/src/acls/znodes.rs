//! Entries in the znodes of Kafka's `AclAuthorizer`, and the notes that tell brokers
//! of a change.
//!
//! **Invariant:** a node changes only from the version that was read, so two tools at
//! once lose nothing.

use broker::zk::{Client, CreateMode, Error as ZkError, ErrorCode};
use bytes::Bytes;
use serde_json::json;

use super::Error;
use super::model::{self, Entry, Pattern, PatternType, ResourceType};
use crate::zookeeper;

const LITERAL: &str = "/kafka-acl";
const PREFIXED: &str = "/kafka-acl-extended/prefixed";
const LITERAL_CHANGES: &str = "/kafka-acl-changes";
const PREFIXED_CHANGES: &str = "/kafka-acl-extended-changes";
const NOTE: &str = "acl_changes_";
const KINDS: [PatternType; 2] = [PatternType::Literal, PatternType::Prefixed];

pub(super) struct Znodes {
    client: Client,
}

impl Znodes {
    /// Connects, and makes the nodes that all others lie under.
    pub(super) async fn open(servers: &str) -> Result<Self, Error> {
        let client = zookeeper::connect(servers).await?;
        client.ensure_chroot().await?;
        for kind in KINDS {
            for resource in ResourceType::ALL {
                client.create_recursive(&folder(kind, *resource)).await?;
            }
        }
        for changes in [LITERAL_CHANGES, PREFIXED_CHANGES] {
            client.create_recursive(changes).await?;
        }
        Ok(Self { client })
    }

    pub(super) async fn close(&self) {
        self.client.close().await;
    }

    pub(super) async fn add(&self, pattern: &Pattern, entries: &[Entry]) -> Result<(), Error> {
        self.change(pattern, |present| {
            let mut next = present.to_vec();
            next.extend(entries.iter().filter(|new| !present.contains(new)).cloned());
            next
        })
        .await
    }

    pub(super) async fn remove(&self, search: &Pattern, entries: &[Entry]) -> Result<(), Error> {
        for pattern in self.patterns(Some(search)).await? {
            self.change(&pattern, |present| {
                let goes = |entry: &&Entry| entries.is_empty() || entries.contains(entry);
                present
                    .iter()
                    .filter(|entry| !goes(entry))
                    .cloned()
                    .collect()
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn find(
        &self,
        search: Option<&Pattern>,
    ) -> Result<Vec<(Pattern, Entry)>, Error> {
        let mut found = Vec::new();
        for pattern in self.patterns(search).await? {
            let (entries, _) = self.read(&pattern).await?;
            found.extend(entries.into_iter().map(|entry| (pattern.clone(), entry)));
        }
        Ok(found)
    }

    /// The patterns that have entries and that a search finds.
    async fn patterns(&self, search: Option<&Pattern>) -> Result<Vec<Pattern>, Error> {
        let mut found = Vec::new();
        for kind in KINDS {
            for resource in ResourceType::ALL {
                let folder = folder(kind, *resource);
                let (names, _) = self.client.get_children(&folder, None).await?;
                let patterns = names.into_iter().map(|name| Pattern {
                    resource: *resource,
                    name,
                    kind,
                });
                found.extend(
                    patterns.filter(|pattern| search.is_none_or(|search| search.finds(pattern))),
                );
            }
        }
        Ok(found)
    }

    /// The entries of a pattern, and the version of its node if it has one.
    async fn read(&self, pattern: &Pattern) -> Result<(Vec<Entry>, Option<i32>), Error> {
        let path = path(pattern);
        let (data, stat) = match self.client.get_data(&path, None).await {
            Err(error) if is(&error, ErrorCode::NoNode) => return Ok((Vec::new(), None)),
            read => read?,
        };
        let entries = model::from_json(&data).ok_or(Error::Damaged(path))?;
        Ok((entries, Some(stat.version)))
    }

    async fn change(
        &self,
        pattern: &Pattern,
        next: impl Fn(&[Entry]) -> Vec<Entry>,
    ) -> Result<(), Error> {
        let path = path(pattern);
        loop {
            let (present, version) = self.read(pattern).await?;
            let wanted = next(&present);
            if wanted == present {
                return Ok(());
            }
            let data = Bytes::from(model::to_json(&wanted));
            let done = match version {
                Some(version) if wanted.is_empty() => self.client.delete(&path, version).await,
                Some(version) => self.client.set_data(&path, data, version).await.map(|_| ()),
                None => {
                    let mode = CreateMode::Persistent;
                    self.client
                        .create(&path, Some(data), mode)
                        .await
                        .map(|_| ())
                }
            };
            match done {
                // Somebody else was faster.
                Err(error)
                    if is(&error, ErrorCode::BadVersion)
                        || is(&error, ErrorCode::NoNode)
                        || is(&error, ErrorCode::NodeExists) => {}
                done => {
                    done?;
                    return self.note(pattern).await;
                }
            }
        }
    }

    /// Tells the brokers which entries to read again.
    async fn note(&self, pattern: &Pattern) -> Result<(), Error> {
        let Pattern {
            resource,
            name,
            kind,
        } = pattern;
        let (folder, text) = match kind {
            PatternType::Prefixed => {
                let change = format!(
                    "{{\"version\":1,\"resourceType\":\"{resource}\",\"name\":{},\"patternType\":\"{kind}\"}}",
                    json!(name)
                );
                (PREFIXED_CHANGES, change)
            }
            _ => (LITERAL_CHANGES, format!("{resource}:{name}")),
        };
        let note = format!("{folder}/{NOTE}");
        let mode = CreateMode::PersistentSequential;
        self.client.create(&note, Some(text.into()), mode).await?;
        Ok(())
    }
}

fn is(error: &ZkError, code: ErrorCode) -> bool {
    matches!(error, ZkError::Server(found) if *found == code)
}

fn folder(kind: PatternType, resource: ResourceType) -> String {
    let store = match kind {
        PatternType::Prefixed => PREFIXED,
        _ => LITERAL,
    };
    format!("{store}/{}", resource.pascal())
}

fn path(pattern: &Pattern) -> String {
    format!(
        "{}/{}",
        folder(pattern.kind, pattern.resource),
        pattern.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_lie_where_kafkas_do() {
        for (kind, wanted) in [
            (PatternType::Literal, "/kafka-acl/TransactionalId/x"),
            (
                PatternType::Prefixed,
                "/kafka-acl-extended/prefixed/TransactionalId/x",
            ),
        ] {
            let pattern = Pattern {
                resource: ResourceType::TransactionalId,
                name: "x".to_owned(),
                kind,
            };
            assert_eq!(path(&pattern), wanted);
        }
    }
}
