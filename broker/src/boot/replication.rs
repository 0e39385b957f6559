//! How this broker replicates, read from its configuration.

use std::sync::Arc;
use std::time::Duration;

use super::farewell::Farewell;
use crate::config::{Config, millis};
use crate::handlers::in_sync::ByController;
use crate::model::BrokerId;
use crate::peer::{self, Peers};
use crate::replica::{FetchConfig, IsrChannel, ManagerConfig};

pub(super) fn manager_config(broker_id: BrokerId, config: &Config) -> ManagerConfig {
    let values = &config.values;
    let int = |name| values.i32(name);
    let int_ms = |name| Duration::from_millis(u64::from(int(name).unsigned_abs()));
    ManagerConfig {
        broker_id,
        lag_max: millis(values, "replica.lag.time.max.ms"),
        fetch: FetchConfig {
            lanes: usize::try_from(int("num.replica.fetchers")).unwrap_or(1),
            wait_max_ms: int("replica.fetch.wait.max.ms"),
            bytes_min: int("replica.fetch.min.bytes"),
            bytes_max: int("replica.fetch.response.max.bytes"),
            partition_bytes_max: int("replica.fetch.max.bytes"),
            backoff_max: int_ms("replica.fetch.backoff.ms"),
            timeout: int_ms("replica.socket.timeout.ms"),
            version: config.inter_broker_version.fetch_version(),
        },
    }
}

/// The way to whoever decides on ISRs; its connections are its own, so that it
/// waits for nothing else.
pub(super) fn isr_channel(config: &Config, farewell: &Farewell) -> Arc<dyn IsrChannel> {
    let peers = Peers::new(peer::Config {
        broker_id: farewell.broker_id,
        listener: config.inter_broker_listener.clone(),
        request_timeout: millis(&config.values, "controller.socket.timeout.ms"),
    });
    Arc::new(ByController {
        own_id: farewell.broker_id,
        controller: farewell.controller.clone(),
        cluster: farewell.cluster.clone(),
        peers: Arc::new(peers),
        topic_ids: config.inter_broker_version.has_topic_ids(),
    })
}
