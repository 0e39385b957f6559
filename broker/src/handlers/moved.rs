//! Who leads a partition instead of this broker, and where that is (KIP-951):
//! a client that is told needs no Metadata request to go on.

use std::sync::Arc;

use kafka_protocol::ResponseError;

use super::partitions::Partitions;
use crate::cluster::Snapshot;
use crate::model::{BrokerId, LeaderEpoch, TopicPartition};

/// The cluster as clients of one listener see it.
#[derive(Clone)]
pub(super) struct Leaders {
    known: Partitions,
    listener: Arc<str>,
}

/// A leader and its address, as far as it is known.
pub(super) struct Leader {
    pub(super) id: BrokerId,
    pub(super) epoch: LeaderEpoch,
    pub(super) address: Option<Address>,
}

/// Where a broker is reached.
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) rack: Option<String>,
}

impl Leaders {
    pub(super) fn new(known: &Partitions, listener: &Arc<str>) -> Self {
        Self {
            known: known.clone(),
            listener: listener.clone(),
        }
    }

    /// The leader to tell with an error that says that it is not here.
    pub(super) fn instead(&self, error_code: i16, partition: &TopicPartition) -> Option<Leader> {
        let has_moved = [
            ResponseError::NotLeaderOrFollower.code(),
            ResponseError::FencedLeaderEpoch.code(),
        ]
        .contains(&error_code);
        if !has_moved {
            return None;
        }
        let snapshot = self.known.snapshot();
        let found = snapshot.partition(partition.topic.as_str(), partition.partition)?;
        let (id, epoch) = (found.state.leader, found.state.leader_epoch);
        Some(Leader {
            id,
            epoch,
            address: self.address(&snapshot, id),
        })
    }

    fn address(&self, snapshot: &Snapshot, id: BrokerId) -> Option<Address> {
        let endpoint = snapshot.endpoint(id, &self.listener)?;
        Some(Address {
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: snapshot.brokers.get(&id)?.rack.clone(),
        })
    }
}
