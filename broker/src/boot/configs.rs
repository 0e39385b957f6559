//! Puts changed configurations of topics and brokers in effect.
//!
//! Flow: a note in `/config/changes` -> `Follower` -> partitions, cleaner, connection
//! limits, controller. At the start `load` reads what was changed before.
//!
//! **Invariant:** what is not legal never takes the place of what is.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use common::task;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cleaning::Settings;
use super::farewell::Farewell;
use super::network;
use super::quotas::Quotas;
use crate::config::{Config, Layers, ListenerAddress, ListenerBounds, Props, Scope};
use crate::controller;
use crate::handlers::TopicConfigs;
use crate::log;
use crate::model::{BrokerId, TopicName};
use crate::registry::{
    self, ConfigChange, ConfigEntity, ConfigFeed, EntityType, FeatureFeed, FinalizedFeatures,
    Registry,
};
use crate::replica;
use crate::server::Limits;

const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How the znode of what all brokers have in common is named.
const DEFAULT_NAME: &str = "<default>";

/// Reads what was changed of this broker's configuration while brokers ran.
pub(super) async fn load(
    registry: &Registry,
    broker_id: BrokerId,
    configs: &TopicConfigs,
) -> Result<(), registry::Error> {
    let own = broker_id.to_string();
    for (scope, name) in [
        (Scope::Cluster, DEFAULT_NAME),
        (Scope::Broker, own.as_str()),
    ] {
        let entity = ConfigEntity {
            entity_type: EntityType::Brokers,
            name: name.to_owned(),
        };
        let props = registry.config(&entity).await?.into_iter().collect();
        install(configs, scope, &props);
    }
    Ok(())
}

/// Sets the limits of replication, which only a broker's own node has.
pub(super) fn limit_replication(
    replicas: &replica::Manager,
    props: &indexmap::IndexMap<String, String>,
) {
    let limit = |name: &str| props.get(name)?.trim().parse::<u64>().ok();
    let quotas = replicas.quotas();
    let of_leader = limit("leader.replication.throttled.rate");
    let of_follower = limit("follower.replication.throttled.rate");
    let of_moves = limit("replica.alter.log.dirs.io.max.bytes.per.second");
    tracing::debug!(?of_leader, ?of_follower, ?of_moves, "limits of replication");
    quotas.leader.limit(of_leader);
    quotas.follower.limit(of_follower);
    quotas.log_dirs.limit(of_moves);
}

fn install(configs: &TopicConfigs, scope: Scope, props: &Props) -> bool {
    let next = configs.broker().read(scope, props);
    match configs.install(next) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(?scope, %error, "a changed broker configuration is not valid: the old one stays");
            false
        }
    }
}

/// What other parts look at whenever they need it, and a change sets.
#[derive(Clone)]
pub(super) struct Switches {
    pub(super) limits: Limits,
    pub(super) unclean_leader_election: Arc<AtomicBool>,
    pub(super) features: Arc<watch::Sender<FinalizedFeatures>>,
    pub(super) quotas: Quotas,
    listeners: Arc<Listeners>,
}

/// Whom bounds of single listeners may concern.
struct Listeners {
    addresses: Vec<ListenerAddress>,
    inter_broker: String,
}

impl Listeners {
    fn bounds(&self, layers: &Layers) -> ListenerBounds {
        let bounds = ListenerBounds::of(layers.raw(), &self.addresses, &self.inter_broker);
        bounds.unwrap_or_else(|error| {
            tracing::error!(%error, "listeners have no bounds of their own");
            ListenerBounds::default()
        })
    }
}

impl Switches {
    /// Takes the broker's configuration, and the quotas that are set already.
    pub(super) async fn load(
        config: &Config,
        layers: &Layers,
        clock: &SharedClock,
        registry: &Registry,
    ) -> Result<Self, registry::Error> {
        let values = &config.values;
        let listeners = Listeners {
            addresses: config.listeners.clone(),
            inter_broker: config.inter_broker_listener.clone(),
        };
        let bounds = listeners.bounds(layers);
        let quotas = Quotas::new(values, &bounds);
        quotas.load(registry).await?;
        let rates = quotas.connections.clone();
        let is_unclean = values.bool("unclean.leader.election.enable");
        Ok(Self {
            limits: Limits::new(network::limits(values, bounds).await, rates, clock.clone()),
            listeners: Arc::new(listeners),
            unclean_leader_election: Arc::new(AtomicBool::new(is_unclean)),
            features: Arc::default(),
            quotas,
        })
    }

    /// Follows the cluster's finalized features until a stop.
    pub(super) fn follow_features(&self, registry: &Registry, stop: &Shutdown) -> JoinHandle<()> {
        let feed = FeatureFeed::new(registry.clone());
        let follow = follow(feed, self.features.clone(), stop.clone());
        task::spawn("feature feed", follow)
    }
}

async fn follow(
    mut feed: FeatureFeed,
    features: Arc<watch::Sender<FinalizedFeatures>>,
    stop: Shutdown,
) {
    loop {
        let found = tokio::select! {
            () = stop.requested() => return,
            found = feed.next() => found,
        };
        match found {
            Ok(found) => drop(features.send_replace(found)),
            Err(error) => {
                tracing::debug!(%error, "finalized features cannot be followed right now");
                tokio::select! {
                    () = stop.requested() => return,
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
        }
    }
}

/// What a change may concern.
pub(super) struct Follower {
    broker_id: BrokerId,
    registry: Registry,
    configs: TopicConfigs,
    replicas: Arc<replica::Manager>,
    logs: Arc<log::Manager>,
    controller: controller::Handle,
    switches: Switches,
    /// `None` when compaction is off.
    pub(super) cleaner: Option<watch::Sender<Settings>>,
}

impl Follower {
    pub(super) fn new(
        farewell: &Farewell,
        registry: &Registry,
        logs: &Arc<log::Manager>,
        configs: &TopicConfigs,
        switches: &Switches,
    ) -> Self {
        Self {
            broker_id: farewell.broker_id,
            registry: registry.clone(),
            configs: configs.clone(),
            replicas: farewell.replicas.clone(),
            logs: logs.clone(),
            controller: farewell.controller.clone(),
            switches: switches.clone(),
            cleaner: None,
        }
    }

    /// Follows the changes until a stop.
    pub(super) async fn run(self, stop: Shutdown) {
        let own = ConfigEntity {
            entity_type: EntityType::Brokers,
            name: self.broker_id.to_string(),
        };
        match self.registry.config(&own).await {
            Ok(props) => limit_replication(&self.replicas, &props),
            Err(error) => tracing::warn!(%error, "the limits of replication cannot be read"),
        }
        let mut feed = ConfigFeed::new(self.registry.clone());
        loop {
            let change = tokio::select! {
                () = stop.requested() => return,
                change = feed.next() => change,
            };
            match change {
                Ok(change) => self.apply(&change).await,
                Err(error) => {
                    tracing::debug!(%error, "configuration changes cannot be followed right now");
                    tokio::select! {
                        () = stop.requested() => return,
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                    }
                }
            }
        }
    }

    async fn apply(&self, change: &ConfigChange) {
        let name = change.entity.name.as_str();
        match change.entity.entity_type {
            EntityType::Topics => {
                if let Ok(topic) = TopicName::new(name) {
                    self.set_topic(topic, &change.config).await;
                }
            }
            EntityType::Brokers => {
                let scope = match name {
                    DEFAULT_NAME => Scope::Cluster,
                    id if id == self.broker_id.to_string() => Scope::Broker,
                    _ => return,
                };
                if scope == Scope::Broker {
                    limit_replication(&self.replicas, &change.config);
                }
                let props = change.config.clone().into_iter().collect();
                if install(&self.configs, scope, &props) {
                    self.take_effect().await;
                }
            }
            EntityType::Clients | EntityType::Users | EntityType::Ips => {
                self.switches.quotas.apply(&change.entity, &change.config);
            }
        }
    }

    async fn set_topic(&self, topic: TopicName, overrides: &indexmap::IndexMap<String, String>) {
        match self.configs.check(overrides) {
            Ok(config) => {
                self.replicas.set_topic_config(&topic, &config);
                if config.unclean_leader_election_enable {
                    self.controller.unclean_election_allowed(topic).await;
                }
            }
            Err(error) => {
                tracing::warn!(%topic, %error, "a changed configuration is not valid: the old one stays");
            }
        }
    }

    /// Gives what is in effect now to whom it concerns.
    async fn take_effect(&self) {
        let layers = self.configs.broker();
        let values = layers.values();
        let bounds = self.switches.listeners.bounds(&layers);
        self.switches.quotas.reconfigure(values, &bounds);
        let limits = network::limits(values, bounds).await;
        self.switches.limits.set(limits);
        let expiration_ms = i64::from(values.i32("producer.id.expiration.ms"));
        self.logs.set_producer_expiration(expiration_ms);
        let fetchers = usize::try_from(values.i32("num.replica.fetchers"));
        self.replicas.set_fetchers(fetchers.unwrap_or(1));
        let is_unclean = values.bool("unclean.leader.election.enable");
        let was_unclean = self
            .switches
            .unclean_leader_election
            .swap(is_unclean, Ordering::Relaxed);
        if is_unclean && !was_unclean {
            self.controller.unclean_elections_allowed().await;
        }
        if let (Some(cleaner), Some(settings)) = (&self.cleaner, Settings::of(values)) {
            cleaner.send_if_modified(|current| {
                let is_other = *current != settings;
                *current = settings;
                is_other
            });
        }
        let partitions = self.replicas.partitions().into_iter();
        let topics: HashSet<TopicName> = partitions
            .map(|partition| partition.id().topic.clone())
            .collect();
        for topic in topics {
            match self.registry.topic_config(&topic).await {
                Ok(overrides) => self.set_topic(topic, &overrides).await,
                Err(error) => {
                    tracing::warn!(%topic, %error, "the topic keeps the defaults of before: its configuration cannot be read");
                }
            }
        }
    }
}
