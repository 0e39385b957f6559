//! What the admin pages show of a running broker.

use std::sync::Arc;

use common::clock::SharedClock;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::page::Sources;
use super::readiness::Readiness;
use crate::model::BrokerId;
use crate::protocol::interbroker::Endpoint;
use crate::server::admin::Status;

/// Reads everything when it is asked; keeps nothing.
pub(super) struct BrokerStatus {
    pub(super) broker_id: BrokerId,
    pub(super) cluster_id: String,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) sources: Sources,
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
            "controller_id": self.sources.controller.controller_id(),
            "endpoints": endpoints,
            "session": self.sources.session.session().map(|session| format!("0x{:x}", session.id)),
            "connections": self.sources.limits.count(),
            "partitions": self.sources.replicas.partitions().len(),
            "uptime_ms": self.clock.wall_ms() - self.started_ms,
        })
    }

    fn topics(&self) -> Value {
        let snapshot = self.sources.cluster.snapshot();
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

    fn metrics(&self) -> BoxFuture<'_, String> {
        self.sources.render().boxed()
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
        if let Ok(replica) = self.sources.replicas.partition(&state.topic_partition) {
            let (start, end, size) = replica.extent();
            shown["log_start_offset"] = json!(start);
            shown["log_end_offset"] = json!(end);
            shown["high_watermark"] = json!(replica.high_watermark());
            shown["size_bytes"] = json!(size);
        }
        shown
    }
}
