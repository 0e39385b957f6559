//! How this broker replicates, read from its configuration.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use tokio::task::JoinHandle;

use super::farewell::Farewell;
use super::running::Stops;
use crate::config::{Config, millis};
use crate::controller::{self, Rebalance};
use crate::handlers::ProducerIdBlocks;
use crate::handlers::control::Control;
use crate::handlers::in_sync::{ByController, ByZnodes, PastController};
use crate::metrics::Metrics;
use crate::model::BrokerId;
use crate::peer::{self, Peers};
use crate::protocol::interbroker::{InterbrokerKey, version_in};
use crate::registry::Registry;
use crate::replica::{FetchConfig, IsrChannel, ManagerConfig, Windows};

/// Longer intervals mean "never", and do not fit a timer.
const REBALANCE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) fn manager_config(
    broker_id: BrokerId,
    config: &Config,
    metrics: Arc<Metrics>,
) -> ManagerConfig {
    let values = &config.values;
    let int = |name: &str| values.i32(name);
    let int_ms = |name: &str| Duration::from_millis(u64::from(int(name).unsigned_abs()));
    let windows = |prefix: &str| Windows {
        count: usize::try_from(int(&format!("{prefix}replication.quota.window.num"))).unwrap_or(1),
        size: Duration::from_secs(u64::from(
            int(&format!("{prefix}replication.quota.window.size.seconds")).unsigned_abs(),
        )),
    };
    ManagerConfig {
        broker_id,
        moves_at_a_time: values
            .opt_i32("num.replica.alter.log.dirs.threads")
            .and_then(|count| usize::try_from(count).ok()),
        replication_windows: windows(""),
        log_dirs_windows: windows("alter.log.dirs."),
        metrics,
        lag_max: millis(values, "replica.lag.time.max.ms"),
        fetch: FetchConfig {
            lanes: usize::try_from(int("num.replica.fetchers")).unwrap_or(1),
            wait_max_ms: int("replica.fetch.wait.max.ms"),
            bytes_min: int("replica.fetch.min.bytes"),
            bytes_max: int("replica.fetch.response.max.bytes"),
            partition_bytes_max: int("replica.fetch.max.bytes"),
            backoff_max: int_ms("replica.fetch.backoff.ms"),
            timeout: int_ms("replica.socket.timeout.ms"),
            receive_buffer: values
                .opt_i32("replica.socket.receive.buffer.bytes")
                .and_then(|bytes| usize::try_from(bytes).ok())
                .filter(|bytes| *bytes > 0),
            version: config.inter_broker_version,
        },
    }
}

/// When the controller moves leaders back, if it does.
pub(super) fn rebalance(config: &Config) -> Option<Rebalance> {
    let values = &config.values;
    let seconds = values.i64("leader.imbalance.check.interval.seconds");
    let rebalance = Rebalance {
        interval: Duration::from_secs(seconds.unsigned_abs()).min(REBALANCE_MAX),
        percentage: values.i32("leader.imbalance.per.broker.percentage"),
    };
    values
        .bool("auto.leader.rebalance.enable")
        .then_some(rebalance)
}

/// Connections to other brokers, for one purpose.
pub(super) fn peers(broker_id: BrokerId, config: &Config) -> Peers {
    Peers::new(peer::Config {
        broker_id,
        listener: config.inter_broker_listener.clone(),
        request_timeout: millis(&config.values, "controller.socket.timeout.ms"),
        version: config.inter_broker_version,
    })
}

/// Where producer ids come from; its connections are its own, too.
pub(super) fn producer_id_blocks(
    config: &Config,
    control: &Control,
    controller: &controller::Handle,
) -> ProducerIdBlocks {
    let own_id = control.replicas.broker_id();
    ProducerIdBlocks {
        own_id,
        registry: control.registry.clone(),
        controller: controller.clone(),
        cluster: control.cluster.clone(),
        replicas: control.replicas.clone(),
        peers: Arc::new(peers(own_id, config)),
    }
}

/// The way to whoever decides on ISRs; its connections are its own, so that it
/// waits for nothing else.
fn isr_channel(
    config: &Config,
    farewell: &Farewell,
    registry: &Registry,
    clock: &SharedClock,
) -> Arc<dyn IsrChannel> {
    let znodes = ByZnodes {
        registry: registry.clone(),
    };
    if !config.inter_broker_version.has_alter_partition() {
        return Arc::new(znodes);
    }
    let peers = peers(farewell.broker_id, config);
    let controller = ByController {
        own_id: farewell.broker_id,
        controller: farewell.controller.clone(),
        cluster: farewell.cluster.clone(),
        peers: Arc::new(peers),
        version: version_in(config.inter_broker_version, InterbrokerKey::AlterPartition),
    };
    Arc::new(PastController::new(controller, znodes, clock.clone()))
}

/// Starts what keeps the ISRs of the partitions that this broker leads.
pub(super) fn keep_isrs(
    config: &Config,
    farewell: &Farewell,
    registry: &Registry,
    clock: &SharedClock,
    stops: &Stops,
) -> Vec<JoinHandle<()>> {
    let channel = isr_channel(config, farewell, registry, clock);
    farewell.replicas.keep_isrs(channel, &stops.background)
}
