//! The transaction coordinator of this broker, wired together.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;

use crate::cluster::Cluster;
use crate::config::{Config, millis};
use crate::group;
use crate::handlers::{MarkerConfig, MarkersByWire, VerifierConfig};
use crate::metrics::Metrics;
use crate::model::{BrokerId, TRANSACTION_STATE_TOPIC, TopicName};
use crate::replica::Manager;
use crate::state_log::ReplicatedLog;
use crate::txn;

/// Each change has a limit of its own, its transaction's timeout.
const UNLIMITED: Duration = Duration::from_secs(365 * 24 * 3600);

/// The service; its handle tells it which partitions are its.
pub(super) fn service(
    config: &Config,
    cluster: &Arc<Cluster>,
    replicas: &Arc<Manager>,
    groups: group::Handle,
    clock: &SharedClock,
    metrics: &Arc<Metrics>,
) -> txn::Service {
    let topic = TopicName::new(TRANSACTION_STATE_TOPIC).expect("Kafka's own topic name");
    let log = ReplicatedLog::new(topic, cluster.clone(), replicas.clone(), UNLIMITED);
    let markers = MarkerConfig {
        own_id: replicas.broker_id(),
        listener: config.inter_broker_listener.clone(),
        timeout: millis(&config.values, "request.timeout.ms"),
        version: config.inter_broker_version.write_txn_markers_version(),
    };
    let channel = MarkersByWire::new(markers, cluster.clone(), replicas.clone(), groups);
    txn::Service::new(
        txn::Config::from_values(&config.values),
        Arc::new(log),
        cluster.clone(),
        Arc::new(channel),
        clock.clone(),
        metrics.clone(),
    )
}

/// How the coordinators of transactions are asked.
pub(super) fn verifier(config: &Config, own_id: BrokerId) -> VerifierConfig {
    VerifierConfig {
        own_id,
        listener: config.inter_broker_listener.clone(),
        timeout: millis(&config.values, "request.timeout.ms"),
        version: config.inter_broker_version.verification_version(),
    }
}
