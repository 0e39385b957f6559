//! What a broker needs before it registers: the paths and the cluster's id.

use bytes::Bytes;

use super::znode::{decode_cluster_id, encode_cluster_id, encode_topic_id, path};
use super::{Error, Registry, at};
use crate::model::{BrokerId, TopicId};
use crate::zk::{self, CreateMode, ErrorCode};

/// A random UUID as Kafka makes them: its text never begins with a dash, which
/// tools would take for an option.
#[must_use]
pub fn new_uuid() -> TopicId {
    loop {
        let id = uuid::Uuid::new_v4();
        if !encode_topic_id(id).starts_with('-') {
            return id;
        }
    }
}

impl Registry {
    /// Creates the nodes that every broker expects to exist.
    pub async fn ensure_paths(&self) -> Result<(), Error> {
        for path in path::PERSISTENT {
            self.client.create_recursive(path).await?;
        }
        Ok(())
    }

    /// The cluster's id; the first broker of a cluster chooses it.
    pub async fn cluster_id_or_create(&self) -> Result<String, Error> {
        if let Some(id) = self.cluster_id().await? {
            return Ok(id);
        }
        self.client.create_recursive("/cluster").await?;
        let proposed = Bytes::from(encode_cluster_id(&encode_topic_id(new_uuid())));
        let created = self
            .client
            .retry(|| {
                self.client.create(
                    path::CLUSTER_ID,
                    Some(proposed.clone()),
                    CreateMode::Persistent,
                )
            })
            .await;
        match created {
            Ok(_) => {}
            // Another broker, or this one when the reply was lost.
            Err(error) if error.is(ErrorCode::NodeExists) => {}
            Err(error) => return Err(error.into()),
        }
        let (data, _) = self
            .client
            .retry(|| self.client.get_data(path::CLUSTER_ID, None))
            .await?;
        at(path::CLUSTER_ID, decode_cluster_id(&data))
    }

    /// The cluster's id if it has one yet.
    /// A broker id that nobody had before: the next of a sequence, above
    /// `reserved_max` (`reserved.broker.max.id`).
    pub async fn next_broker_id(&self, reserved_max: BrokerId) -> Result<BrokerId, Error> {
        let path = path::BROKER_SEQUENCE_ID;
        // A number that is lost with its reply is skipped, as in Kafka.
        let count = || self.client.set_data(path, Bytes::new(), zk::ANY_VERSION);
        let stat = self.client.retry(count).await?;
        Ok(reserved_max.saturating_add(stat.version))
    }

    pub async fn cluster_id(&self) -> Result<Option<String>, Error> {
        match self.read(path::CLUSTER_ID).await? {
            None => Ok(None),
            Some((data, _)) => at(path::CLUSTER_ID, decode_cluster_id(&data)).map(Some),
        }
    }
}
