//! What the admin pages show of a running broker.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use common::clock::SharedClock;
use common::metrics::{self, Gauge, Registry as MetricsRegistry};
use serde_json::{Value, json};

use super::readiness::Readiness;
use crate::cluster::Cluster;
use crate::controller;
use crate::model::BrokerId;
use crate::protocol::interbroker::Endpoint;
use crate::replica::Manager;
use crate::server::Limits;
use crate::server::admin::Status;
use crate::zk;

/// Reads everything when it is asked; keeps nothing.
pub(super) struct BrokerStatus {
    pub(super) broker_id: BrokerId,
    pub(super) cluster_id: String,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) replicas: Arc<Manager>,
    pub(super) controller: controller::Handle,
    pub(super) session: zk::Client,
    pub(super) limits: Limits,
    pub(super) clock: SharedClock,
    pub(super) started_ms: i64,
    pub(super) readiness: Arc<Readiness>,
}

impl Status for BrokerStatus {
    fn ready(&self) -> Result<(), String> {
        self.readiness.check()
    }

    fn overview(&self) -> Value {
        let endpoints = self.endpoints.iter();
        let endpoints: Vec<_> = endpoints
            .map(|e| format!("{}://{}:{}", e.listener, e.host, e.port))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "broker_id": self.broker_id,
            "cluster_id": self.cluster_id,
            "controller_id": self.controller.controller_id(),
            "endpoints": endpoints,
            "session": self.session.session().map(|session| format!("0x{:x}", session.id)),
            "connections": self.limits.count(),
            "partitions": self.replicas.partitions().len(),
            "uptime_ms": self.clock.wall_ms() - self.started_ms,
        })
    }

    fn topics(&self) -> Value {
        let snapshot = self.cluster.snapshot();
        let topics = snapshot.topics.iter();
        let topics: Vec<_> = topics
            .map(|(name, topic)| {
                let partitions = topic.partitions.values().map(|p| self.partition(&p.state));
                json!({
                    "name": name.as_str(),
                    "id": topic.id.to_string(),
                    "partitions": partitions.collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({ "topics": topics })
    }

    fn metrics(&self) -> String {
        let mut registry = MetricsRegistry::default();
        for (name, help, value) in self.gauges() {
            let gauge: Gauge<u64, AtomicU64> = Gauge::default();
            gauge.set(value);
            registry.register(name, help, gauge);
        }
        metrics::render(&registry)
    }
}

impl BrokerStatus {
    fn partition(&self, state: &crate::protocol::interbroker::PartitionState) -> Value {
        let mut shown = json!({
            "partition": state.topic_partition.partition,
            "leader": state.leader,
            "leader_epoch": state.leader_epoch,
            "replicas": state.replicas,
            "isr": state.isr,
        });
        if let Ok(replica) = self.replicas.partition(&state.topic_partition) {
            let (start, end, size) = replica.extent();
            shown["log_start_offset"] = json!(start);
            shown["log_end_offset"] = json!(end);
            shown["high_watermark"] = json!(replica.high_watermark());
            shown["size_bytes"] = json!(size);
        }
        shown
    }

    /// Kafka's metric names, as its Prometheus exporters write them.
    fn gauges(&self) -> [(&'static str, &'static str, u64); 7] {
        let partitions = self.replicas.partitions();
        let led = partitions.iter().filter(|p| p.leads_in().is_some()).count();
        let bytes: u64 = partitions.iter().map(|p| p.extent().2).sum();
        let snapshot = self.cluster.snapshot();
        let all = snapshot
            .topics
            .values()
            .flat_map(|topic| topic.partitions.values());
        let offline = all.filter(|p| p.state.leader < 0).count();
        let active = u64::from(self.controller.is_active());
        [
            (
                "kafka_server_replicamanager_partitioncount",
                "Replicas on this broker",
                partitions.len() as u64,
            ),
            (
                "kafka_server_replicamanager_leadercount",
                "Partitions that this broker leads",
                led as u64,
            ),
            (
                "kafka_controller_kafkacontroller_activecontrollercount",
                "1 on the controller",
                active,
            ),
            (
                "kafka_controller_kafkacontroller_offlinepartitionscount",
                "Partitions without a leader",
                offline as u64,
            ),
            (
                "kafka_server_socketservermetrics_connection_count",
                "Open client connections",
                self.limits.count() as u64,
            ),
            (
                "kafka_log_size_bytes",
                "Bytes in all logs of this broker",
                bytes,
            ),
            (
                "kafka_cluster_brokers",
                "Live brokers of the cluster",
                snapshot.brokers.len() as u64,
            ),
        ]
    }
}
