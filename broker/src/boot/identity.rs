//! Who this broker is: its id, its cluster, and what it registers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::start::StartError;
use crate::config::{Config, is_wildcard};
use crate::log;
use crate::model::BrokerId;
use crate::protocol::interbroker::Endpoint;
use crate::registry::{BrokerRegistration, Registry};

/// The configured id, the one of an earlier run, or a new one.
pub(super) async fn broker_id(
    config: &Config,
    registry: &Registry,
    dirs: &[PathBuf],
) -> Result<BrokerId, StartError> {
    if let Some(id) = config.broker_id {
        return Ok(id);
    }
    for dir in dirs {
        if let Some(id) = log::stored_broker_id(dir)? {
            return Ok(id);
        }
    }
    let id = registry
        .next_broker_id(config.reserved_broker_id_max)
        .await?;
    tracing::info!("broker.id is not set: this broker is {id} from now on");
    Ok(id)
}

/// The kernel's name for the time since the machine started, if it tells.
pub(super) fn boot_id() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(told.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The registration of this broker, as of now.
pub(super) fn registration(
    id: BrokerId,
    endpoints: Vec<Endpoint>,
    rack: Option<String>,
    timestamp_ms: i64,
) -> BrokerRegistration {
    const NO_JMX: i32 = -1;
    BrokerRegistration {
        id,
        endpoints,
        rack,
        jmx_port: NO_JMX,
        timestamp_ms,
        features: BTreeMap::new(),
    }
}

/// The name by which others reach this host, as far as it knows itself; empty
/// when no address needs it.
pub(super) async fn own_host(config: &Config) -> String {
    let told = match config.advertised_listeners.is_empty() {
        true => &config.listeners,
        false => &config.advertised_listeners,
    };
    if !told.iter().any(|address| is_wildcard(&address.host)) {
        return String::new();
    }
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if tokio::net::lookup_host((name.as_str(), 0)).await.is_ok() {
        return name;
    }
    tracing::warn!(
        "the host name '{name}' has no address, clients are told 'localhost' \
         (set advertised.listeners to choose)"
    );
    "localhost".to_owned()
}
