//! This broker's place in the cluster, kept through expired sessions.
//!
//! When the session expires, the registration is gone and another broker may
//! be the controller; this broker renews the session, registers again under a
//! new broker epoch and lets its controller compete again.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;

use super::identity;
use super::lost_tails::LostTails;
use super::previous_session::PreviousSession;
use crate::config::Config;
use crate::controller;
use crate::log;
use crate::model::{BrokerEpoch, BrokerId};
use crate::protocol::interbroker::Endpoint;
use crate::registry::{RegisterError, Registry};
use crate::replica::Manager;
use crate::zk::State;

/// How long a lost registration is tried to be won back before the broker
/// gives up and says so.
const TRIES_PAUSE: Duration = Duration::from_secs(1);

/// Registers this broker and keeps it registered.
pub(super) struct Membership {
    pub(super) broker_id: BrokerId,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) rack: Option<String>,
    pub(super) registry: Registry,
    pub(super) replicas: Arc<Manager>,
    pub(super) previous: PreviousSession,
    pub(super) clock: SharedClock,
    /// How long a registration of an older session is waited for.
    pub(super) wait_max: Duration,
}

impl Membership {
    /// Registers after a start: what `logs` may have lost is nobody's measure.
    pub(super) async fn join(
        &self,
        logs: &log::Manager,
        config: &Config,
    ) -> Result<BrokerEpoch, RegisterError> {
        let lost = LostTails {
            broker_id: self.broker_id,
            registry: &self.registry,
            logs,
            listener: &config.inter_broker_listener,
        };
        lost.step_back(self.wait_max).await?;
        self.register(None).await
    }

    /// Registers; `replaced` is an older session of this very process.
    pub(super) async fn register(
        &self,
        replaced: Option<i64>,
    ) -> Result<BrokerEpoch, RegisterError> {
        if let Some(session) = self.registry.client().session() {
            self.previous.store(&session);
        }
        let registration = identity::registration(
            self.broker_id,
            self.endpoints.clone(),
            self.rack.clone(),
            self.clock.wall_ms(),
        );
        let epoch = self
            .registry
            .register_broker(&registration, replaced, self.wait_max)
            .await?;
        self.replicas.set_broker_epoch(epoch);
        Ok(epoch)
    }

    /// Renews expired sessions until a stop; gives an error when this broker's
    /// id was taken meanwhile, which nobody but the operator can resolve.
    pub(super) async fn keep(
        self,
        controller: controller::Handle,
        shutdown: Shutdown,
    ) -> Result<(), RegisterError> {
        let mut status = self.registry.client().status();
        loop {
            let expired = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                expired = status.wait_for(|status| status.state == State::Expired) => expired,
            };
            let Ok(expired) = expired.map(|status| status.session.clone()) else {
                return Ok(());
            };
            tracing::warn!("the session expired: registering again");
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                renewed = self.renew(expired.map(|session| session.id)) => renewed?,
            }
            controller.session_renewed().await;
        }
    }

    async fn renew(&self, old: Option<i64>) -> Result<(), RegisterError> {
        let client = self.registry.client();
        loop {
            client.renew().await?;
            if client.wait_connected(self.wait_max).await.is_err() {
                tokio::time::sleep(TRIES_PAUSE).await;
                continue;
            }
            match self.register(old).await {
                Ok(_) => return Ok(()),
                Err(error @ RegisterError::Occupied { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "not registered yet");
                    tokio::time::sleep(TRIES_PAUSE).await;
                }
            }
        }
    }
}
