//! Where a broker gets its blocks of producer ids: from the controller, or from
//! the coordinator's node itself where the cluster's protocol is from before there
//! was a request for it (KIP-730).

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::controller;
use crate::model::BrokerId;
use crate::peer::{self, Peers};
use crate::protocol::interbroker::AllocateProducerIdsRequest;
use crate::registry::{self, ProducerIdBlock, Registry};
use crate::replica::Manager;

/// Why there is no block now; asking again may help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error("there is no controller now")]
    NoController,
    #[error(transparent)]
    Peer(#[from] peer::Error),
    #[error("the controller refused with error code {0}")]
    Refused(i16),
}

/// Gets blocks, one at a time.
pub struct ProducerIdBlocks {
    pub own_id: BrokerId,
    pub registry: Registry,
    pub controller: controller::Handle,
    pub cluster: Arc<Cluster>,
    /// For the epoch of this broker.
    pub replicas: Arc<Manager>,
    pub peers: Arc<Peers>,
}

impl ProducerIdBlocks {
    /// The next block of this broker.
    pub(crate) async fn next(&self) -> Result<ProducerIdBlock, Error> {
        let is_own = || self.controller.controller_id() == Some(self.own_id);
        if !self.registry.version().has_allocated_producer_ids() || is_own() {
            return Ok(self.registry.next_producer_id_block(self.own_id).await?);
        }
        let id = self.controller.controller_id().ok_or(Error::NoController)?;
        let snapshot = self.cluster.snapshot();
        let controller = snapshot.brokers.get(&id).ok_or(Error::NoController)?;
        let request = AllocateProducerIdsRequest {
            broker_id: self.own_id,
            broker_epoch: self.replicas.broker_epoch(),
        };
        let answer = self
            .peers
            .allocate_producer_ids(controller, request)
            .await?;
        match answer.error_code {
            0 => Ok(ProducerIdBlock {
                broker: self.own_id,
                start: answer.start,
                end: answer.start + i64::from(answer.length) - 1,
            }),
            code => Err(Error::Refused(code)),
        }
    }
}
