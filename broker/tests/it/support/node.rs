//! A broker as the controller sees it: a session, a registration, a service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::controller::{Config, Handle, Service};
use broker::metrics::Metrics;
use broker::model::{BrokerEpoch, BrokerId};
use broker::protocol::interbroker::Endpoint;
use broker::registry::{BrokerRegistration, Registry};
use broker::zk::Client;
use common::shutdown::Shutdown;
use tokio::task::JoinHandle;

use super::{RecordingChannel, Space, eventually};

pub(crate) struct Node {
    pub(crate) id: BrokerId,
    pub(crate) epoch: BrokerEpoch,
    pub(crate) client: Client,
    pub(crate) registry: Registry,
    pub(crate) controller: Handle,
    shutdown: Shutdown,
    service: JoinHandle<()>,
}

pub(crate) fn registration(id: BrokerId) -> BrokerRegistration {
    BrokerRegistration {
        id,
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".into(),
            security_protocol: "PLAINTEXT".into(),
            host: "localhost".into(),
            port: 9092,
        }],
        rack: None,
        jmx_port: -1,
        timestamp_ms: common::clock::system().wall_ms(),
        features: BTreeMap::new(),
    }
}

impl Node {
    /// The documented sequence of a broker's start.
    pub(crate) async fn start(
        space: &Space,
        id: BrokerId,
        channel: &Arc<RecordingChannel>,
    ) -> Self {
        let client = space.client().await;
        let clock = common::clock::system();
        let registry = Registry::new(client.clone(), clock.clone());
        registry.ensure_paths().await.unwrap();
        registry.cluster_id_or_create().await.unwrap();
        let wait_max = Duration::from_secs(20);
        let epoch = registry
            .register_broker(&registration(id), None, wait_max)
            .await
            .unwrap();
        let config = Config {
            broker_id: id,
            inter_broker_listener: "PLAINTEXT".to_owned(),
            unclean_leader_election: Arc::default(),
            delete_topic_enable: true,
            rebalance: None,
            metrics: Metrics::new(Vec::new()),
        };
        let (service, controller) = Service::new(config, registry.clone(), channel.clone(), clock);
        let shutdown = Shutdown::new();
        let service = common::task::spawn("controller", service.run(shutdown.clone()));
        Self {
            id,
            epoch,
            client,
            registry,
            controller,
            shutdown,
            service,
        }
    }

    pub(crate) async fn until_active(&self) {
        let what = format!("broker {} is the controller", self.id);
        eventually(&what, || async { self.controller.is_active() }).await;
    }

    /// An orderly stop: the role first, then the session.
    pub(crate) async fn stop(self) {
        self.shutdown.request();
        self.service.await.unwrap();
        self.registry.deregister(self.id).await.unwrap();
        self.client.close().await;
    }
}
