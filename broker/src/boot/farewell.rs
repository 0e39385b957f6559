//! Before a broker stops it tells the controller, which moves leaders away.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::controller;
use crate::model::{BrokerId, TopicPartition};
use crate::peer::Peers;
use crate::protocol::interbroker::{ControlledShutdownRequest, LiveBroker};
use crate::replica::Manager;

/// As often as Kafka asks (`controlled.shutdown.max.retries`).
const ATTEMPTS_MAX: u32 = 3;
/// How long all attempts may take.
const TOTAL_MAX: Duration = Duration::from_secs(10);
/// Between two attempts: another controller may be elected meanwhile.
const PAUSE: Duration = Duration::from_millis(500);

/// Says goodbye to the controller, wherever it is.
pub(super) struct Farewell {
    pub(super) broker_id: BrokerId,
    pub(super) cluster: Arc<Cluster>,
    pub(super) replicas: Arc<Manager>,
    pub(super) controller: controller::Handle,
    pub(super) peers: Arc<Peers>,
}

/// Why the controller did not let this broker go.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no controller now")]
    NoController,
    #[error(transparent)]
    Own(#[from] controller::ControlledShutdownError),
    #[error(transparent)]
    Peer(#[from] crate::peer::Error),
    #[error("the controller refused with error code {0}")]
    Refused(i16),
}

impl Farewell {
    /// Other replicas take over before clients notice that this one is gone.
    pub(super) async fn say(&self) {
        match tokio::time::timeout(TOTAL_MAX, self.attempts()).await {
            Ok(Ok(remaining)) => tracing::debug!(remaining = remaining.len(), "leaders moved"),
            Ok(Err(error)) => tracing::warn!(%error, "leaders were not moved away"),
            Err(_) => tracing::warn!("moving leaders away took too long"),
        }
    }

    async fn attempts(&self) -> Result<Vec<TopicPartition>, Error> {
        let mut attempt = 1;
        loop {
            match self.ask().await {
                Err(error) if attempt < ATTEMPTS_MAX => {
                    tracing::debug!(%error, "the controller did not answer the goodbye");
                }
                asked => return asked,
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&self) -> Result<Vec<TopicPartition>, Error> {
        let broker_epoch = self.replicas.broker_epoch();
        if self.controller.is_active() {
            let asked = self
                .controller
                .controlled_shutdown(self.broker_id, broker_epoch);
            return Ok(asked.await?);
        }
        let controller = self.active_elsewhere().ok_or(Error::NoController)?;
        let request = ControlledShutdownRequest {
            broker_id: self.broker_id,
            broker_epoch,
        };
        let answer = self.peers.controlled_shutdown(&controller, request).await?;
        match answer.error_code {
            0 => Ok(answer.remaining),
            code => Err(Error::Refused(code)),
        }
    }

    fn active_elsewhere(&self) -> Option<LiveBroker> {
        let id = self.controller.controller_id()?;
        self.cluster.snapshot().brokers.get(&id).cloned()
    }
}
