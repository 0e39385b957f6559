//! The partitions that a client may read and write.
//!
//! **Invariant:** what the cluster's metadata does not show is not served, so a
//! deleted topic is gone for everybody at once; what it shows but this broker
//! does not have (yet) is another broker's, which clients find out by asking.

use std::sync::Arc;

use crate::cluster::{Cluster, Snapshot};
use crate::model::TopicPartition;
use crate::replica::{Error, Manager, Partition};

/// Finds partitions for the handlers.
#[derive(Clone)]
pub(crate) struct Partitions {
    pub(crate) replicas: Arc<Manager>,
    pub(crate) cluster: Arc<Cluster>,
}

impl Partitions {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.cluster.snapshot()
    }

    /// The partition, if this broker has a replica of it, whatever its role.
    pub(crate) fn replica(&self, id: &TopicPartition) -> Result<Arc<Partition>, Error> {
        self.check_is_known(id)?;
        let found = self.replicas.partition(id);
        found.map_err(|error| match error {
            Error::UnknownPartition => Error::NotLeader,
            other => other,
        })
    }

    /// The partition, if this broker leads it.
    pub(crate) fn leader(&self, id: &TopicPartition) -> Result<Arc<Partition>, Error> {
        self.check_is_known(id)?;
        self.replicas.leader(id).map_err(|error| match error {
            Error::UnknownPartition => Error::NotLeader,
            other => other,
        })
    }

    fn check_is_known(&self, id: &TopicPartition) -> Result<(), Error> {
        let snapshot = self.cluster.snapshot();
        match snapshot.partition(id.topic.as_str(), id.partition) {
            Some(_) => Ok(()),
            None => Err(Error::UnknownPartition),
        }
    }
}
