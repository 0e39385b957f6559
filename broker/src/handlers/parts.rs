//! What the handlers are made of.

use std::sync::Arc;

use common::clock::SharedClock;
use common::config::Values;
use tokio::sync::watch;

use super::accounts::Accounts;
use super::auto_create::AutoCreate;
use super::control::Control;
use super::fetch;
use super::groups::Groups;
use super::init_producer_id::ProducerIds;
use super::interbroker::Interbroker;
use super::offset_znodes::OffsetZnodes;
use super::partitions::Partitions;
use super::throttle::Meter;
use super::topic_admin::TopicAdmin;
use super::transactions::Transactions;
use super::verification::Verifier;
use super::write_txn_markers::Markers;
use super::{
    AutoCreateConfig, Handlers, ProducerIdBlocks, TopicConfigs, TopicDefaults, VerifierConfig,
};
use crate::cluster::Cluster;
use crate::controller;
use crate::group;
use crate::metrics::Metrics;
use crate::model::BrokerId;
use crate::quota::ClientQuotas;
use crate::registry::{FinalizedFeatures, Registry};
use crate::replica::Manager;

/// What the handlers need to be built.
pub struct Parts {
    pub broker_id: BrokerId,
    pub cluster_id: String,
    pub cluster: Arc<Cluster>,
    pub replicas: Arc<Manager>,
    pub groups: group::Handle,
    pub registry: Registry,
    pub topic_configs: TopicConfigs,
    pub producer_id_blocks: ProducerIdBlocks,
    pub auto_create: AutoCreateConfig,
    pub topic_defaults: TopicDefaults,
    /// `delete.topic.enable`.
    pub deletion_enabled: bool,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    pub clock: SharedClock,
    /// The broker's own configuration.
    pub values: Values,
    /// What the controller asks of this broker.
    pub control: Control,
    /// The controller of this process, whether active or not.
    pub controller: controller::Handle,
    /// What clients may use.
    pub quotas: Arc<ClientQuotas>,
    /// What the cluster's brokers agreed on.
    pub features: watch::Receiver<FinalizedFeatures>,
    /// How transactions are verified.
    pub verifier: VerifierConfig,
    /// What requests are counted by; see [`super::accounts`].
    pub metrics: Arc<Metrics>,
}

impl Handlers {
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let admin = Arc::new(TopicAdmin {
            registry: parts.registry.clone(),
            cluster: parts.cluster.clone(),
            deletion_enabled: parts.deletion_enabled,
        });
        let partitions = Partitions {
            replicas: parts.replicas,
            cluster: parts.cluster.clone(),
        };
        Self {
            broker_id: parts.broker_id,
            cluster_id: parts.cluster_id,
            cluster: parts.cluster.clone(),
            groups: Groups {
                handle: parts.groups,
                cluster: parts.cluster.clone(),
                znodes: OffsetZnodes::new(parts.registry.clone(), &parts.values),
            },
            transactions: Transactions {
                handle: parts.control.transactions.clone(),
                groups: parts.control.groups.clone(),
                cluster: parts.cluster.clone(),
                group_partition_count: parts.auto_create.group_metadata.partitions,
            },
            clock: parts.clock.clone(),
            markers: Markers {
                known: partitions.clone(),
                groups: parts.control.groups.clone(),
                timeout: parts.verifier.timeout,
            },
            verifier: Verifier::new(
                parts.verifier,
                parts.cluster.clone(),
                parts.control.transactions.clone(),
                parts.topic_configs.clone(),
            ),
            topic_configs: parts.topic_configs,
            auto_create: AutoCreate::new(parts.auto_create, admin.clone()),
            admin,
            topic_defaults: parts.topic_defaults,
            producer_ids: ProducerIds::new(parts.producer_id_blocks),
            meter: Meter {
                quotas: parts.quotas,
                clock: parts.clock.clone(),
            },
            fetches: fetch::Source {
                known: partitions.clone(),
                bytes_max: parts.fetch_bytes_max,
                sessions: Arc::new(fetch::Sessions::new(
                    parts.fetch_session_slots,
                    fetch::watch_max(&parts.values),
                    parts.clock,
                )),
                broker_id: parts.broker_id,
                rack_aware: parts.values.str("replica.selector.class")
                    == fetch::nearest::RACK_AWARE,
            },
            partitions,
            config_turn: tokio::sync::Mutex::default(),
            interbroker: Interbroker {
                control: parts.control,
                controller: parts.controller,
            },
            features: parts.features,
            accounts: Accounts::new(parts.metrics),
        }
    }
}
