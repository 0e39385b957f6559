//! Before a broker stops it tells the controller, which moves leaders away.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::controller;
use crate::model::{BrokerId, TopicPartition};
use crate::peer::Peers;
use crate::protocol::interbroker::{ControlledShutdownRequest, LiveBroker};
use crate::replica::Manager;

/// The first pause between two attempts: another controller may be elected
/// meanwhile. Each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// Says goodbye to the controller, wherever it is.
pub(super) struct Farewell {
    pub(super) broker_id: BrokerId,
    pub(super) cluster: Arc<Cluster>,
    pub(super) replicas: Arc<Manager>,
    pub(super) controller: controller::Handle,
    pub(super) peers: Arc<Peers>,
    /// `controlled.shutdown.max.retries`
    pub(super) attempts_max: i32,
    /// `controlled.shutdown.retry.backoff.ms`
    pub(super) pause_max: Duration,
}

/// Why the controller did not let this broker go.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no controller now")]
    NoController,
    #[error("another broker is the controller meanwhile")]
    Moved,
    #[error(transparent)]
    Own(#[from] controller::ControlledShutdownError),
    #[error(transparent)]
    Peer(#[from] crate::peer::Error),
    #[error("the controller refused with error code {0}")]
    Refused(i16),
    #[error("nobody else can lead {0} partitions")]
    StillLeads(usize),
}

impl Farewell {
    /// Other replicas take over before clients notice that this one is gone.
    pub(super) async fn say(&self) {
        match self.attempts().await {
            Ok(()) => self.replicas.step_down(),
            Err(error) => tracing::warn!(%error, "leaders were not moved away"),
        }
    }

    async fn attempts(&self) -> Result<(), Error> {
        let mut pause = PAUSE_MIN;
        let mut attempt = 1;
        loop {
            let outcome = match self.ask().await {
                Ok(left) if left.is_empty() => return Ok(()),
                Ok(left) => Error::StillLeads(left.len()),
                Err(error) => error,
            };
            if attempt >= self.attempts_max {
                return Err(outcome);
            }
            tracing::debug!(error = %outcome, attempt, "the controller is asked again");
            attempt += 1;
            tokio::time::sleep(pause.min(self.pause_max)).await;
            pause *= 2;
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
        let mut known = self.controller.clone();
        let answer = tokio::select! {
            answer = self.peers.controlled_shutdown(&controller, request) => answer?,
            // One that was cut off answers nobody; the next one does.
            _ = known.controller_changed(Some(controller.id)) => return Err(Error::Moved),
        };
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
