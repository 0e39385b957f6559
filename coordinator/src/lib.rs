//! A ZooKeeper-compatible coordination service.
//!
//! `start` wires it: storage is recovered into a state; the pipeline orders all
//! changes of that state; the server speaks ZooKeeper's protocol; the admin port
//! shows what goes on. Layers, a lower one never uses a higher one:
//! `tree`, `watch`, `session`, `metrics` -> `txn` -> `storage` -> `pipeline` -> `server`, `admin`.

mod admin;
pub mod command;
pub mod config;
mod metrics;
mod pipeline;
mod server;
mod session;
mod storage;
mod tree;
mod txn;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;

use common::clock::SharedClock;
use common::net::BindError;
use common::shutdown::Shutdown;
use common::{http, net, task};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use config::Config;
pub use pipeline::{Access, Rules};
pub use storage::{Error as StorageError, Options as StorageOptions};

use pipeline::{Failure, Handle, Solo, Writer};
use server::Server;
use session::Tracker;
use storage::Storage;

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the admin port: {0}")]
    BindAdmin(BindError),
    #[error("metricsProvider.httpPort: {0}")]
    BindMetrics(BindError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("a task of the start ended early")]
    Aborted,
}

/// Why the daemon stopped although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(String);

/// What was recovered, for the operator.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    pub zxid: i64,
    pub snapshot_zxid: i64,
    pub replayed: u32,
    pub sessions: usize,
    pub nodes: usize,
}

/// A daemon that serves.
#[derive(Debug)]
pub struct Running {
    client_address: SocketAddr,
    admin_address: Option<SocketAddr>,
    metrics_address: Option<SocketAddr>,
    recovery: Recovery,
    shutdown: Shutdown,
    handle: HandleForStop,
    writer: Option<std::thread::JoinHandle<Result<(), Failure>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What stopping needs of the pipeline.
struct HandleForStop(Handle);

impl std::fmt::Debug for HandleForStop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Running {
    /// Where clients connect.
    #[must_use]
    pub fn client_address(&self) -> SocketAddr {
        self.client_address
    }

    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Where Prometheus has a port of its own, if it has one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    #[must_use]
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Requesting it stops the daemon; it is also requested when the daemon fails.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Waits for a stop and carries it out: connections, then the pipeline, then
    /// the log with the mark of an orderly end.
    pub async fn wait(mut self) -> Result<(), RunError> {
        self.shutdown.requested().await;
        self.end_tasks().await;
        self.handle.0.stop();
        self.join_writer().await
    }

    /// Stops and waits until everything has ended.
    pub async fn stop(self) -> Result<(), RunError> {
        self.shutdown.request();
        self.wait().await
    }

    /// Ends as a killed process would: what is not committed is lost, and the log
    /// gets no mark of an orderly end. For tests.
    pub async fn kill(mut self) {
        self.shutdown.request();
        self.handle.0.abandon();
        drop(self.join_writer().await);
        self.end_tasks().await;
    }

    async fn end_tasks(&mut self) {
        for running in self.tasks.drain(..) {
            drop(running.await);
        }
    }

    async fn join_writer(&mut self) -> Result<(), RunError> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let ended = task::spawn_blocking("join", move || writer.join()).await;
        match ended {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(failure))) => Err(RunError(failure.to_string())),
            Ok(Err(_)) | Err(_) => Err(RunError("the pipeline panicked".to_owned())),
        }
    }
}

impl Drop for Running {
    /// Whoever drops it without a stop gets the end of a killed process.
    fn drop(&mut self) {
        self.shutdown.request();
        self.handle.0.abandon();
    }
}

/// Starts a daemon; it serves when this returns.
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_with_clock(config, common::clock::system()).await
}

/// As [`start`], with the caller's clock.
pub async fn start_with_clock(config: Config, clock: SharedClock) -> Result<Running, StartError> {
    let config = Arc::new(config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for note in &config.notes {
        tracing::info!("{note}");
    }
    let options = config.storage.clone();
    let begun = clock.monotonic();
    let opened = task::spawn_blocking("recovery", move || Storage::open(options)).await;
    let (storage, state, recovered) = opened.map_err(|_| StartError::Aborted)??;
    let recovering = clock.monotonic() - begun;
    let recovery = Recovery {
        zxid: recovered.zxid,
        snapshot_zxid: recovered.snapshot_zxid,
        replayed: recovered.replayed,
        sessions: state.sessions.len(),
        nodes: state.tree.reported_len(),
    };
    let listener = net::bind(config.client_address).await?;
    let client_address = listener.local_addr()?;
    let operators = Operators::bind(&config).await?;
    let (admin_address, metrics_address) = operators.addresses()?;

    let shutdown = Shutdown::new();
    let sessions = Tracker::new(config.tick);
    let handle = Handle::new(state, sessions, Arc::clone(&clock), config.rules.clone());
    let metrics = handle.metrics();
    metrics.note_slow_syncs(config.fsync_warning);
    metrics.dbinittime.add_time(recovering);
    metrics
        .startup_txns_loaded
        .add(u64::from(recovery.replayed));
    let writer = start_writer(&handle, storage, shutdown.clone())?;
    let server = Arc::new(Server::new(
        config,
        client_address,
        handle.clone(),
        clock,
        shutdown.clone(),
    ));
    let mut tasks = vec![
        task::spawn("clients", server::serve(listener, Arc::clone(&server))),
        task::spawn("expiry", server::expire_sessions(Arc::clone(&server))),
        task::spawn("leftovers", server::remove_leftovers(Arc::clone(&server))),
    ];
    tasks.extend(operators.serve(&server, &shutdown));
    Ok(Running {
        client_address,
        admin_address,
        metrics_address,
        recovery,
        shutdown,
        handle: HandleForStop(handle),
        writer: Some(writer),
        tasks,
    })
}

/// The ports that are not for clients.
struct Operators {
    admin: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Operators {
    async fn bind(config: &Config) -> Result<Self, StartError> {
        let admin = match &config.admin {
            None => None,
            Some(admin) => {
                let bound = http::bind_admin(admin.address, admin.port, admin.origin).await;
                Some(bound.map_err(StartError::BindAdmin)?)
            }
        };
        let metrics = match config.metrics {
            None => None,
            Some(address) => {
                let bound = net::bind(address).await;
                Some(bound.map_err(StartError::BindMetrics)?)
            }
        };
        Ok(Self { admin, metrics })
    }

    fn addresses(&self) -> std::io::Result<(Option<SocketAddr>, Option<SocketAddr>)> {
        let of =
            |port: &Option<TcpListener>| port.as_ref().map(TcpListener::local_addr).transpose();
        Ok((of(&self.admin)?, of(&self.metrics)?))
    }

    fn serve(self, server: &Arc<Server>, shutdown: &Shutdown) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        if let (Some(listener), Some(config)) = (self.admin, &server.config.admin) {
            let router = admin::router(Arc::clone(server), config);
            let idle = config.idle_timeout;
            let serving = http::serve_with(listener, router, shutdown.clone(), idle);
            tasks.push(task::spawn("admin", serving));
        }
        if let Some(listener) = self.metrics {
            let router = admin::metrics_router(Arc::clone(server));
            let serving = http::serve(listener, router, shutdown.clone());
            tasks.push(task::spawn("metrics", serving));
        }
        tasks
    }
}

/// Starts the thread that orders and commits; when it fails, all stops.
fn start_writer(
    handle: &Handle,
    storage: Storage,
    shutdown: Shutdown,
) -> Result<std::thread::JoinHandle<Result<(), Failure>>, StartError> {
    let writer = Writer::new(handle, Box::new(Solo::new(storage)));
    let run = move || {
        let outcome = writer.run();
        if let Err(failure) = &outcome {
            tracing::error!(%failure, "stopping: nothing can be committed any more");
        }
        shutdown.request();
        outcome
    };
    let thread = std::thread::Builder::new().name("writer".into());
    Ok(thread.spawn(run)?)
}
