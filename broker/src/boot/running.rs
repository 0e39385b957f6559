//! A broker that serves, and how it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use common::task;
use tokio::task::JoinHandle;

use super::farewell::Farewell;
use super::maintenance::Maintenance;
use super::previous_session::PreviousSession;
use super::readiness::Readiness;
use crate::log;
use crate::model::BrokerId;
use crate::registry::{RegisterError, Registry};

/// How long a start waits for the controller's word on every partition.
const READY_MAX: Duration = Duration::from_secs(10);

/// How long saying goodbye to the coordinator may take.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Why a broker ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Membership(#[from] RegisterError),
    #[error("the logs were not closed cleanly: {0}")]
    Logs(#[from] log::Error),
    #[error("all log directories have failed")]
    AllDirsFailed,
    #[error("a part of the broker ended unexpectedly: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The tasks of a broker, in the order in which they are stopped.
pub(super) struct Tasks {
    pub(super) clients: Vec<JoinHandle<()>>,
    /// Of groups and of transactions.
    pub(super) coordinators: [JoinHandle<()>; 2],
    pub(super) controller: JoinHandle<()>,
    pub(super) background: Vec<JoinHandle<()>>,
    pub(super) admin: Option<JoinHandle<()>>,
    pub(super) membership: JoinHandle<Result<(), RegisterError>>,
}

/// One stop request for each of them.
#[derive(Default)]
pub(super) struct Stops {
    pub(super) clients: Shutdown,
    pub(super) coordinators: Shutdown,
    pub(super) controller: Shutdown,
    pub(super) background: Shutdown,
    /// Asks the broker to end because it has no disk left.
    pub(super) all_dirs_failed: Shutdown,
}

/// A broker that was started.
pub struct Running {
    pub(super) broker_id: BrokerId,
    pub(super) cluster_id: String,
    pub(super) ports: Vec<(String, u16)>,
    pub(super) admin_address: Option<SocketAddr>,
    pub(super) shutdown: Shutdown,
    pub(super) stops: Stops,
    pub(super) tasks: Tasks,
    /// `None` when the operator wants no controlled shutdown.
    pub(super) farewell: Option<Farewell>,
    pub(super) registry: Registry,
    pub(super) logs: Arc<log::Manager>,
    pub(super) maintenance: Maintenance,
    pub(super) previous: PreviousSession,
    pub(super) clock: SharedClock,
    pub(super) readiness: Arc<Readiness>,
}

impl Running {
    #[must_use]
    pub fn broker_id(&self) -> BrokerId {
        self.broker_id
    }

    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The bound port of each listener, by its name.
    #[must_use]
    pub fn ports(&self) -> &[(String, u16)] {
        &self.ports
    }

    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Asks the broker to stop; `wait` then stops it.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Waits until clients are served what they were served before a restart.
    pub async fn until_ready(&self) {
        self.readiness.wait(READY_MAX).await;
    }

    /// Serves until a stop is requested or this broker lost its place in the
    /// cluster, then stops in order.
    pub async fn wait(mut self) -> Result<(), RunError> {
        let mut early = None;
        tokio::select! {
            () = self.shutdown.requested() => {}
            () = self.stops.all_dirs_failed.requested() => {}
            ended = &mut self.tasks.membership => early = Some(ended),
        }
        let membership = match early {
            Some(ended) => ended?.map_err(RunError::from),
            None => Ok(()),
        };
        if let Err(error) = &membership {
            tracing::error!(%error, "this broker lost its place in the cluster and stops");
        }
        let all_dirs_failed = self.stops.all_dirs_failed.is_requested();
        let stopped = self.stop().await;
        if all_dirs_failed {
            return Err(RunError::AllDirsFailed);
        }
        membership.and(stopped)
    }

    async fn stop(mut self) -> Result<(), RunError> {
        if let Some(farewell) = &self.farewell {
            farewell.say().await;
        }
        self.stops.clients.request();
        self.stop_tasks().await?;
        let (logs, maintenance) = (self.logs.clone(), self.maintenance.clone());
        // The epoch of the newest registration: it changes with each session.
        let epoch = maintenance.replicas.broker_epoch();
        let clock = self.clock.clone();
        let close = move || {
            maintenance.checkpoint_high_watermarks();
            logs.shutdown_cleanly(epoch, clock.wall_ms())
        };
        let closed = task::spawn_blocking("close logs", close).await?;
        if tokio::time::timeout(FAREWELL_MAX, self.leave_cluster())
            .await
            .is_err()
        {
            // The session stays remembered, so the next start closes it.
            tracing::warn!("the coordinator cannot be reached: the session stays until it expires");
        }
        Ok(closed?)
    }

    /// Clients first, then what they wait for, then what runs in the background.
    async fn stop_tasks(&mut self) -> Result<(), RunError> {
        for listener in self.tasks.clients.drain(..) {
            listener.await?;
        }
        self.stops.coordinators.request();
        for coordinator in &mut self.tasks.coordinators {
            coordinator.await?;
        }
        self.stops.controller.request();
        (&mut self.tasks.controller).await?;
        self.stops.background.request();
        for task in self.tasks.background.drain(..) {
            task.await?;
        }
        if let Some(admin) = self.tasks.admin.take() {
            admin.await?;
        }
        Ok(())
    }

    async fn leave_cluster(&self) {
        if let Err(error) = self.registry.deregister(self.broker_id).await {
            tracing::warn!(%error, "the registration stays until its session ends");
        }
        self.registry.client().close().await;
        self.previous.forget();
    }
}
