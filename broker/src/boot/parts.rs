//! What a broker is made of, from its configuration and the parts before.

use std::sync::Arc;

use super::configs::Switches;
use super::farewell::Farewell;
use super::membership::Membership;
use super::page::Sources;
use super::readiness::Readiness;
use super::replication;
use super::running::Stops;
use super::start::{StartError, Started};
use super::status::BrokerStatus;
use super::transactions;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::controller;
use crate::group;
use crate::handlers::control::{Channel, Control};
use crate::handlers::{AutoCreateConfig, Handlers, Parts, TopicDefaults};
use crate::model::{GROUP_METADATA_TOPIC, TopicName};
use crate::peer::Peers;
use crate::protocol::interbroker::Endpoint;
use crate::replica;
use crate::state_log::ReplicatedLog;
use crate::txn;

impl Started {
    pub(super) fn replicas(
        &self,
        config: &Config,
        cluster: &Arc<Cluster>,
        stops: &Stops,
    ) -> Result<Arc<replica::Manager>, StartError> {
        let replication = replication::manager_config(self.broker_id, config, self.metrics.clone());
        let checkpointed = self.logs.read_high_watermarks()?.into_iter().collect();
        Ok(Arc::new(replica::Manager::new(
            replication,
            self.logs.clone(),
            cluster.clone(),
            checkpointed,
            self.clock.clone(),
            stops.background.clone(),
        )))
    }

    pub(super) fn groups(
        &self,
        config: &Config,
        cluster: &Arc<Cluster>,
        replicas: &Arc<replica::Manager>,
    ) -> group::Service {
        let config = group::Config::from_values(&config.values);
        let topic = TopicName::new(GROUP_METADATA_TOPIC).expect("Kafka's own topic name");
        let (cluster, replicas) = (cluster.clone(), replicas.clone());
        let log = ReplicatedLog::new(topic, cluster, replicas, config.commit_timeout);
        let metrics = self.metrics.clone();
        group::Service::new(config, Arc::new(log), self.clock.clone(), metrics)
    }

    pub(super) fn transactions(
        &self,
        config: &Config,
        cluster: &Arc<Cluster>,
        replicas: &Arc<replica::Manager>,
        groups: group::Handle,
    ) -> txn::Service {
        let (clock, metrics) = (&self.clock, &self.metrics);
        transactions::service(config, cluster, replicas, groups, clock, metrics)
    }

    pub(super) fn membership(
        &self,
        config: &Config,
        endpoints: &[Endpoint],
        replicas: &Arc<replica::Manager>,
    ) -> Membership {
        Membership {
            broker_id: self.broker_id,
            endpoints: endpoints.to_vec(),
            rack: config.rack.clone(),
            registry: self.registry.clone(),
            replicas: replicas.clone(),
            previous: self.previous.clone(),
            clock: self.clock.clone(),
            // A killed broker's session may live for its timeout and a tick.
            wait_max: config.coordinator.session_timeout.mul_f32(1.5),
        }
    }

    pub(super) fn control(
        &self,
        cluster: &Arc<Cluster>,
        replicas: &Arc<replica::Manager>,
        (groups, transactions): (group::Handle, txn::Handle),
    ) -> Control {
        Control {
            cluster: cluster.clone(),
            replicas: replicas.clone(),
            groups,
            transactions,
            registry: self.registry.clone(),
            topic_configs: self.topic_configs.clone(),
            turn: Arc::default(),
        }
    }

    pub(super) fn controller(
        &self,
        config: &Config,
        control: Control,
        peers: Arc<Peers>,
        switches: &Switches,
    ) -> (controller::Service, controller::Handle) {
        let channel = Channel {
            own_id: self.broker_id,
            control,
            peers,
        };
        let controller = controller::Config {
            broker_id: self.broker_id,
            inter_broker_listener: config.inter_broker_listener.clone(),
            unclean_leader_election: switches.unclean_leader_election.clone(),
            delete_topic_enable: config.values.bool("delete.topic.enable"),
            rebalance: replication::rebalance(config),
            metrics: self.metrics.clone(),
        };
        controller::Service::new(
            controller,
            self.registry.clone(),
            Arc::new(channel),
            self.clock.clone(),
        )
    }

    pub(super) fn handlers(
        &self,
        config: &Config,
        control: Control,
        controller: controller::Handle,
        switches: &Switches,
    ) -> Handlers {
        let values = &config.values;
        let int = |name| values.i32(name);
        let size = |name| usize::try_from(values.i32(name)).unwrap_or(0);
        Handlers::new(Parts {
            broker_id: self.broker_id,
            cluster_id: self.cluster_id.clone(),
            cluster: control.cluster.clone(),
            replicas: control.replicas.clone(),
            groups: control.groups.clone(),
            registry: self.registry.clone(),
            topic_configs: self.topic_configs.clone(),
            producer_id_blocks: replication::producer_id_blocks(config, &control, &controller),
            auto_create: AutoCreateConfig::from_values(values),
            topic_defaults: TopicDefaults {
                partitions: int("num.partitions"),
                replication_factor: int("default.replication.factor"),
            },
            deletion_enabled: values.bool("delete.topic.enable"),
            fetch_bytes_max: size("fetch.max.bytes"),
            fetch_session_slots: size("max.incremental.fetch.session.cache.slots"),
            clock: self.clock.clone(),
            values: values.clone(),
            control,
            controller,
            features: switches.features.subscribe(),
            verifier: transactions::verifier(config, self.broker_id),
            quotas: switches.quotas.clients.clone(),
            metrics: self.metrics.clone(),
        })
    }

    /// What operators are shown.
    pub(super) fn status(
        &self,
        sources: Sources,
        endpoints: Vec<Endpoint>,
        readiness: &Arc<Readiness>,
    ) -> BrokerStatus {
        BrokerStatus {
            broker_id: self.broker_id,
            cluster_id: self.cluster_id.clone(),
            endpoints,
            sources,
            clock: self.clock.clone(),
            started_ms: self.started_ms,
            readiness: readiness.clone(),
        }
    }

    pub(super) fn sources(
        &self,
        farewell: &Farewell,
        (groups, transactions): (group::Handle, txn::Handle),
        switches: &Switches,
    ) -> Sources {
        Sources {
            metrics: self.metrics.clone(),
            cluster: farewell.cluster.clone(),
            replicas: farewell.replicas.clone(),
            logs: self.logs.clone(),
            controller: farewell.controller.clone(),
            groups,
            transactions,
            session: self.registry.client().clone(),
            limits: switches.limits.clone(),
        }
    }
}
