//! The start, step by step.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use common::clock::{self, SharedClock};
use common::net::BindError;
use common::shutdown::Shutdown;
use common::task;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cleaning::{Cleaning, Settings};
use super::configs::{self, Follower, Switches};
use super::dir_failures::DirFailures;
use super::farewell::Farewell;
use super::full_dirs::FullDirs;
use super::identity;
use super::maintenance::Maintenance;
use super::network::Sockets;
use super::previous_session::PreviousSession;
use super::readiness::Readiness;
use super::replication;
use super::running::{Running, Stops, Tasks};
use crate::cluster::Cluster;
use crate::config::{Config, Dynamic, Layers, millis};
use crate::handlers::{TopicConfigs, accounts};
use crate::log::{self, Disk, LockedDirs, LogConfig};
use crate::metrics::Metrics;
use crate::model::{BrokerId, TopicName};
use crate::registry::{self, RegisterError, Registry};
use crate::replica;
use crate::zk;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Logs(#[from] log::OpenError),
    #[error(transparent)]
    Checkpoint(#[from] log::CheckpointError),
    #[error("zookeeper.connect={connect}: {source}")]
    ConnectString {
        connect: String,
        source: zk::ConnectStringError,
    },
    #[error("the coordinator at {connect} cannot be reached within {seconds} s: {source}")]
    Unreachable {
        connect: String,
        seconds: u64,
        source: zk::Error,
    },
    #[error("the coordinator refused: {0}")]
    Zk(#[from] zk::Error),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Register(#[from] RegisterError),
    #[error("the defaults of topics are wrong: {0}")]
    TopicDefaults(#[from] log::ConfigError),
    #[error("a part of the start failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Starts a broker with `config`; it accepts clients when this returns, and is
/// ready a little later (`Running::until_ready`).
pub async fn start(mut config: Config) -> Result<Running, StartError> {
    let clock = clock::system();
    let started_ms = clock.wall_ms();
    let layers = Layers::new(config.values.clone(), config.written.clone());
    let topic_configs = TopicConfigs::new(Dynamic::new(layers))?;
    let sockets = Sockets::bind(&config).await?;
    let dirs = LockedDirs::acquire(&config.log_dirs)?;
    let previous = PreviousSession::in_dir(&dirs.paths()[0]);
    let listens_at = sockets.listens_at(&config);
    let registry = connect(&config, &previous, listens_at, &clock).await?;
    let cluster_id = registry.cluster_id_or_create().await?;
    let broker_id = identity::broker_id(&config, &registry, dirs.paths()).await?;
    configs::load(&registry, broker_id, &topic_configs).await?;
    config.values = topic_configs.broker().values().clone();
    let (on_dir_failure, dir_failures, full_dirs) = DirFailures::new(config.log_dirs.len());
    let logs = Logs {
        config: &config,
        topic_configs: &topic_configs,
        registry: &registry,
        clock: &clock,
    };
    let identity = log::Identity {
        cluster_id: cluster_id.clone(),
        broker_id,
    };
    let logs = Arc::new(logs.open(dirs, identity, on_dir_failure).await?);
    let stops = Stops::default();
    let watcher = dir_failures.follow(broker_id, logs.clone(), registry.clone(), &stops);
    let started = Started {
        stops,
        watchers: vec![watcher],
        full_dirs,
        broker_id,
        cluster_id,
        registry,
        logs,
        topic_configs,
        previous,
        clock,
        metrics: Metrics::new(accounts()),
        started_ms,
    };
    started.serve(config, sockets).await
}

/// Closes what the last run left behind, and opens a session of our own.
async fn connect(
    config: &Config,
    previous: &PreviousSession,
    listens_at: Option<SocketAddr>,
    clock: &SharedClock,
) -> Result<Registry, StartError> {
    let coordinator = &config.coordinator;
    let connect = coordinator
        .connect
        .parse()
        .map_err(|source| StartError::ConnectString {
            connect: coordinator.connect.clone(),
            source,
        })?;
    let mut client = zk::Config::new(connect, clock.clone());
    client.session_timeout = coordinator.session_timeout;
    client.max_in_flight = coordinator.in_flight_max;
    client.listens_at = listens_at;
    let limit = coordinator.connection_timeout;
    let unreachable = |source| StartError::Unreachable {
        connect: coordinator.connect.clone(),
        seconds: limit.as_secs(),
        source,
    };
    previous.close(&client, limit).await.map_err(unreachable)?;
    let client = zk::Client::connect(client);
    client.wait_connected(limit).await.map_err(unreachable)?;
    client.ensure_chroot().await?;
    let registry = Registry::new(client, clock.clone()).speaking(config.inter_broker_version);
    registry.ensure_paths().await?;
    Ok(registry)
}

/// What opening the logs needs.
struct Logs<'a> {
    config: &'a Config,
    topic_configs: &'a TopicConfigs,
    registry: &'a Registry,
    clock: &'a SharedClock,
}

impl Logs<'_> {
    async fn open(
        &self,
        dirs: LockedDirs,
        identity: log::Identity,
        on_dir_failure: log::FailureHook,
    ) -> Result<log::Manager, StartError> {
        let values = &self.config.values;
        let config = log::ManagerConfig {
            identity,
            recovery_threads_per_dir: usize::try_from(
                values.i32("num.recovery.threads.per.data.dir"),
            )
            .unwrap_or(1),
            producer_expiration_ms: i64::from(values.i32("producer.id.expiration.ms")),
            defaults: (*self.topic_configs.defaults()).clone(),
            on_dir_failure,
            boot_id: identity::boot_id(),
        };
        let per_topic = self.per_topic().await?;
        let defaults = config.defaults.clone();
        let now_ms = self.clock.wall_ms();
        let open = move || {
            let config_of = |topic: &str| {
                per_topic
                    .get(topic)
                    .cloned()
                    .unwrap_or_else(|| defaults.clone())
            };
            log::Manager::open(dirs, config, Arc::new(Disk), now_ms, &config_of)
        };
        Ok(task::spawn_blocking("open logs", open).await??)
    }

    /// The configuration of every topic that has its own.
    async fn per_topic(&self) -> Result<HashMap<String, LogConfig>, StartError> {
        let topics = self.registry.topics(None).await?;
        let read = topics.into_iter().map(|topic| async move {
            let overrides = self.registry.topic_config(&topic).await?;
            match self.topic_configs.check(&overrides) {
                Ok(config) => Ok(Some((topic.as_str().to_owned(), config))),
                Err(error) => {
                    tracing::warn!(%topic, %error, "the topic's configuration is not valid");
                    Ok(None)
                }
            }
        });
        let read: Result<Vec<_>, registry::Error> =
            futures::future::join_all(read).await.into_iter().collect();
        Ok(read?.into_iter().flatten().collect())
    }
}

/// A broker that knows who it is and has its logs open.
pub(super) struct Started {
    stops: Stops,
    /// What must run before anything is served.
    watchers: Vec<JoinHandle<()>>,
    full_dirs: FullDirs,
    pub(super) broker_id: BrokerId,
    pub(super) cluster_id: String,
    pub(super) registry: Registry,
    pub(super) logs: Arc<log::Manager>,
    pub(super) topic_configs: TopicConfigs,
    pub(super) previous: PreviousSession,
    pub(super) clock: SharedClock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) started_ms: i64,
}

impl Started {
    async fn serve(mut self, config: Config, sockets: Sockets) -> Result<Running, StartError> {
        let stops = std::mem::take(&mut self.stops);
        let cluster = Arc::new(Cluster::default());
        let replicas = self.replicas(&config, &cluster, &stops)?;
        let groups = self.groups(&config, &cluster, &replicas);
        let transactions = self.transactions(&config, &cluster, &replicas, groups.handle());
        let handles = (groups.handle(), transactions.handle());
        let control = self.control(&cluster, &replicas, handles.clone());
        let peers = Arc::new(replication::peers(self.broker_id, &config));
        let endpoints = sockets.endpoints(&config, &identity::own_host(&config).await);
        let membership = self.membership(&config, &endpoints, &replicas);
        membership.join(&self.logs, &config).await?;
        let layers = self.topic_configs.broker();
        let switches = Switches::load(&config, &layers, &self.clock, &self.registry).await?;
        let (service, controller) =
            self.controller(&config, control.clone(), peers.clone(), &switches);
        let handlers = Arc::new(self.handlers(&config, control, controller.clone(), &switches));
        let readiness = Arc::new(self.readiness(&cluster, &replicas).await?);
        let maintenance = Maintenance::new(&self.logs, &replicas, &self.clock);
        let farewell = Farewell {
            broker_id: self.broker_id,
            cluster,
            replicas,
            controller: controller.clone(),
            peers,
            attempts_max: config.values.i32("controlled.shutdown.max.retries"),
            pause_max: millis(&config.values, "controlled.shutdown.retry.backoff.ms"),
        };
        let sources = self.sources(&farewell, handles, &switches);
        let status = self.status(sources, endpoints, &readiness);
        let is_announced = config.values.bool("controlled.shutdown.enable");
        let background = self.background(&config, &maintenance, &farewell, &switches, &stops);
        let coordinators = [
            task::spawn("groups", groups.run(stops.coordinators.clone())),
            task::spawn("transactions", transactions.run(stops.coordinators.clone())),
        ];
        let keep = membership.keep(controller, stops.background.clone());
        let controller_task = task::spawn("controller", service.run(stops.controller.clone()));
        let serving = sockets.serve(
            &handlers,
            &switches.limits,
            Arc::new(status),
            &stops.clients,
            &stops.background,
        );
        Ok(Running {
            broker_id: self.broker_id,
            cluster_id: self.cluster_id,
            ports: serving.ports,
            admin_address: serving.admin_address,
            shutdown: Shutdown::new(),
            stops,
            tasks: Tasks {
                clients: serving.clients,
                coordinators,
                controller: controller_task,
                background,
                admin: serving.admin,
                membership: task::spawn("membership", keep),
            },
            farewell: is_announced.then_some(farewell),
            registry: self.registry,
            logs: self.logs,
            maintenance,
            previous: self.previous,
            clock: self.clock,
            readiness,
        })
    }

    /// Starts what runs beside the service.
    fn background(
        &mut self,
        config: &Config,
        maintenance: &Maintenance,
        farewell: &Farewell,
        switches: &Switches,
        stops: &Stops,
    ) -> Vec<JoinHandle<()>> {
        let mut tasks = std::mem::take(&mut self.watchers);
        let full_dirs = std::mem::take(&mut self.full_dirs);
        tasks.push(full_dirs.follow(maintenance, &self.registry, &stops.background));
        tasks.extend(replication::keep_isrs(
            config,
            farewell,
            &self.registry,
            &self.clock,
            stops,
        ));
        tasks.extend(maintenance.start(&config.values, &stops.background));
        let mut follower = Follower::new(
            farewell,
            &self.registry,
            &self.logs,
            &self.topic_configs,
            switches,
        );
        if let Some(settings) = Settings::of(&config.values) {
            let (sender, settings) = watch::channel(settings);
            follower.cleaner = Some(sender);
            let cleaning = Cleaning {
                logs: maintenance.logs.clone(),
                replicas: maintenance.replicas.clone(),
                clock: maintenance.clock.clone(),
            };
            let run = cleaning.run(settings, stops.background.clone());
            tasks.push(task::spawn("cleaning", run));
        }
        let follow = follower.run(stops.background.clone());
        tasks.push(task::spawn("config feed", follow));
        tasks.push(switches.follow_features(&self.registry, &stops.background));
        tasks
    }

    /// The partitions in the directories whose topics still exist get roles.
    async fn readiness(
        &self,
        cluster: &Arc<Cluster>,
        replicas: &Arc<replica::Manager>,
    ) -> Result<Readiness, StartError> {
        let topics: HashSet<TopicName> = self.registry.topics(None).await?.into_iter().collect();
        let logs = self.logs.all().into_iter().map(|(id, _)| id);
        Ok(Readiness::new(
            self.broker_id,
            cluster.clone(),
            replicas.clone(),
            self.logs.clone(),
            self.registry.client().clone(),
            logs.filter(|id| topics.contains(&id.topic)).collect(),
        ))
    }
}
