//! The way of a proposed ISR past a controller that cannot be reached.
//!
//! A network can be cut between a leader and the controller alone: both keep
//! their sessions, so nobody elects another controller, and with AlterPartition
//! as the only way no replica would leave the ISR until the cut is mended; if
//! the controller's own replica is the one that lags, no record is acknowledged
//! either. So after some patience replicas are taken out as leaders did before
//! AlterPartition: by a write to the state node and a note, which every
//! controller still follows, ours and Kafka's up to 3.9.
//!
//! It is as safe as with the controller: the write names the version that this
//! leader knows, so it fails once anything else was decided, and an AlterPartition
//! that arrives late names a version of the past. A leader without a session
//! cannot write. Joining is left to the controller, which alone knows whether a
//! replica is fit to join.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{ByController, ByZnodes, UNKNOWN_SERVER_ERROR};
use crate::model::BrokerEpoch;
use crate::replica::{IsrChannel, IsrDecision, IsrFailure, IsrProposal};

/// How long a controller is waited for. One that lives answers in milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the controller, and after `patience` takes replicas out by itself.
#[derive(Clone)]
pub struct PastController {
    pub controller: ByController,
    pub znodes: ByZnodes,
    pub clock: SharedClock,
    pub patience: Duration,
    /// Since when the controller has not been heard, by the monotonic clock.
    silent_since: Arc<Mutex<Option<Duration>>>,
}

impl PastController {
    #[must_use]
    pub fn new(controller: ByController, znodes: ByZnodes, clock: SharedClock) -> Self {
        Self {
            controller,
            znodes,
            clock,
            patience: PATIENCE,
            silent_since: Arc::default(),
        }
    }

    async fn decide(
        self,
        broker_epoch: BrokerEpoch,
        proposals: Vec<IsrProposal>,
    ) -> Result<Vec<IsrDecision>, IsrFailure> {
        let asked = self.clock.monotonic();
        let since = *self.silent_since.lock().get_or_insert(asked);
        let answer = self.controller.ask(broker_epoch, proposals.clone());
        let failure = match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(decisions)) => {
                *self.silent_since.lock() = None;
                return Ok(decisions);
            }
            Ok(Err(failure)) => failure,
            Err(_) => IsrFailure("the controller does not answer".to_owned()),
        };
        let silence = self.clock.monotonic().saturating_sub(since);
        if silence < self.patience || !proposals.iter().any(|proposal| proposal.is_shrink) {
            return Err(failure);
        }
        tracing::warn!(%failure, "replicas are taken out of the ISR without the controller");
        self.past(proposals).await
    }

    /// The decisions on shrinks; all else is asked again.
    async fn past(self, proposals: Vec<IsrProposal>) -> Result<Vec<IsrDecision>, IsrFailure> {
        let is_shrink: Vec<bool> = proposals
            .iter()
            .map(|proposal| proposal.is_shrink)
            .collect();
        let shrinks = proposals.into_iter().filter(|proposal| proposal.is_shrink);
        let mut decided = self.znodes.decide(shrinks.collect()).await?.into_iter();
        let decision = |is_shrink| {
            let decided = if is_shrink { decided.next() } else { None };
            decided.unwrap_or(Err(UNKNOWN_SERVER_ERROR))
        };
        Ok(is_shrink.into_iter().map(decision).collect())
    }
}

impl IsrChannel for PastController {
    fn ask(
        &self,
        broker_epoch: BrokerEpoch,
        proposals: Vec<IsrProposal>,
    ) -> BoxFuture<'static, Result<Vec<IsrDecision>, IsrFailure>> {
        Box::pin(self.clone().decide(broker_epoch, proposals))
    }
}
