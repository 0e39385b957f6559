//! Reads of whole listings, pipelined.
//!
//! **Invariant:** a node that cannot be decoded is logged and left out; one bad
//! node does not keep a controller from leading everything else.

use bytes::Bytes;
use futures::future::join_all;

use super::znode::{BrokerRegistration, PartitionLeadership, TopicAssignment, path};
use super::{Error, Registry, at};
use crate::model::{BrokerEpoch, BrokerId, TopicName, TopicPartition};
use crate::zk::{self, Stat, Watcher};

impl Registry {
    /// A node's data; `None` when it does not exist.
    pub(super) async fn read(&self, path: &str) -> Result<Option<(Bytes, Stat)>, Error> {
        self.read_watched(path, None).await
    }

    pub(super) async fn read_watched(
        &self,
        path: &str,
        watcher: Option<&Watcher>,
    ) -> Result<Option<(Bytes, Stat)>, Error> {
        let data = self
            .client
            .retry(|| self.client.get_data(path, watcher))
            .await;
        Ok(zk::optional(data)?)
    }

    /// The names of a node's children, sorted; none when it does not exist.
    pub async fn children(
        &self,
        path: &str,
        watcher: Option<&Watcher>,
    ) -> Result<Vec<String>, Error> {
        let children = self
            .client
            .retry(|| self.client.get_children(path, watcher))
            .await;
        let mut names = zk::optional(children)?
            .map(|(names, _)| names)
            .unwrap_or_default();
        names.sort_unstable();
        Ok(names)
    }

    /// Every registered broker with its epoch; `watcher` hears of changes of
    /// the list and of each registration.
    pub async fn brokers(
        &self,
        watcher: Option<&Watcher>,
    ) -> Result<Vec<(BrokerRegistration, BrokerEpoch)>, Error> {
        let names = self.children(path::BROKER_IDS, watcher).await?;
        let ids = names
            .iter()
            .filter_map(|name| name.parse::<BrokerId>().ok());
        let found = join_all(ids.map(|id| self.broker(id, watcher))).await;
        let mut brokers = Vec::with_capacity(found.len());
        for broker in found {
            brokers.extend(readable(broker)?);
        }
        brokers.sort_unstable_by_key(|(broker, _)| broker.id);
        Ok(brokers)
    }

    /// One broker with its epoch; `watcher` hears when its data changes.
    pub async fn broker(
        &self,
        id: BrokerId,
        watcher: Option<&Watcher>,
    ) -> Result<Option<(BrokerRegistration, BrokerEpoch)>, Error> {
        let path = path::broker(id);
        let Some((data, stat)) = self.read_watched(&path, watcher).await? else {
            return Ok(None);
        };
        let broker = at(&path, BrokerRegistration::decode(id, &data))?;
        Ok(Some((broker, stat.czxid)))
    }

    /// Every topic's name.
    pub async fn topics(&self, watcher: Option<&Watcher>) -> Result<Vec<TopicName>, Error> {
        let names = self.children(path::TOPICS, watcher).await?;
        Ok(valid_topics(&names, path::TOPICS))
    }

    /// The topics that somebody asked to delete.
    pub async fn topics_to_delete(
        &self,
        watcher: Option<&Watcher>,
    ) -> Result<Vec<TopicName>, Error> {
        let names = self.children(path::DELETE_TOPICS, watcher).await?;
        Ok(valid_topics(&names, path::DELETE_TOPICS))
    }

    /// The assignments of `topics`; topics that do not exist are left out.
    pub async fn assignments(
        &self,
        topics: &[TopicName],
        watcher: Option<&Watcher>,
    ) -> Result<Vec<(TopicName, TopicAssignment)>, Error> {
        let read = topics.iter().map(|topic| async move {
            let path = path::topic(topic);
            match self.read_watched(&path, watcher).await? {
                None => Ok(None),
                Some((data, _)) => {
                    let assignment = at(&path, TopicAssignment::decode(&data))?;
                    Ok::<_, Error>(Some((topic.clone(), assignment)))
                }
            }
        });
        let mut found = Vec::with_capacity(topics.len());
        for assignment in join_all(read).await {
            found.extend(readable(assignment)?);
        }
        Ok(found)
    }

    /// The states of `partitions`, in their order; `None` where there is none
    /// that can be read.
    pub async fn partition_states(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<PartitionLeadership>>, Error> {
        let read = partitions.iter().map(|partition| async move {
            let path = path::partition_state(partition);
            match self.read(&path).await? {
                None => Ok(None),
                Some((data, stat)) => {
                    at(&path, PartitionLeadership::decode(&data, stat.version)).map(Some)
                }
            }
        });
        join_all(read).await.into_iter().map(readable).collect()
    }
}

fn readable<T>(read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(error @ Error::Malformed { .. }) => {
            tracing::error!(%error, "ignoring a node");
            Ok(None)
        }
        other => other,
    }
}

fn valid_topics(names: &[String], parent: &str) -> Vec<TopicName> {
    let valid = |name: &String| match TopicName::new(name) {
        Ok(topic) => Some(topic),
        Err(error) => {
            tracing::warn!(parent, %error, "ignoring a node");
            None
        }
    };
    names.iter().filter_map(valid).collect()
}
