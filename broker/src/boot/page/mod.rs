//! The page of metrics: Kafka's, under the names that its users' monitors know.
//!
//! They are those which the widely used rules of the Prometheus JMX exporter make
//! of Kafka's MBeans: `kafka.server:type=ReplicaManager,name=LeaderCount` is
//! `kafka_server_replicamanager_leadercount`, a meter `...PerSec` is a counter
//! `..._total`. A timer is a histogram here, with the `_count` that the rules make,
//! and buckets in place of quantiles: those can be added up and have any window.
//!
//! **Invariant:** everything is looked up when the page is asked for; only what
//! happens and leaves no trace is counted before (`metrics`).

mod coordination;
mod machine;
mod replicas;
mod requests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use common::metrics::{Labels, Page};

use crate::cluster::Cluster;
use crate::metrics::Metrics;
use crate::replica::Manager;
use crate::server::Limits;
use crate::{controller, group, log, txn, zk};

/// How long the page waits for a coordinator or the controller to count.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Where the numbers come from.
pub(super) struct Sources {
    pub(super) metrics: Arc<Metrics>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) replicas: Arc<Manager>,
    pub(super) logs: Arc<log::Manager>,
    pub(super) controller: controller::Handle,
    pub(super) groups: group::Handle,
    pub(super) transactions: txn::Handle,
    pub(super) session: zk::Client,
    pub(super) limits: Limits,
}

impl Sources {
    /// All of it as text. What does not answer in time is left out.
    pub(super) async fn render(&self) -> String {
        let (controller, groups, transactions) = tokio::join!(
            in_time(self.controller.census()),
            in_time(self.groups.census()),
            in_time(self.transactions.census()),
        );
        let mut page = Page::default();
        replicas::write(&mut page, self);
        requests::write(&mut page, &self.metrics.requests);
        coordination::write_controller(&mut page, self, controller.flatten());
        coordination::write_groups(&mut page, &self.metrics, groups);
        coordination::write_transactions(&mut page, &self.metrics, transactions);
        machine::write(&mut page, self);
        page.render()
    }
}

async fn in_time<T>(count: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(ANSWER_MAX, count).await.ok()
}

/// The label that tells topics apart.
fn of_topic(topic: &str) -> Labels {
    vec![("topic", topic.to_owned())]
}
