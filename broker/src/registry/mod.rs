//! Kafka's use of the coordinator: its znodes, and what brokers do with them.
//!
//! `znode` is pure (path, encode, decode); `assignment` is pure (which replica
//! goes where); the rest are methods of [`Registry`], thin around a client:
//! `boot`, `registration`, `election`, `fence` (writes of the controller),
//! `listing` (pipelined reads), `topics` (what AdminZkClient does), `configs`,
//! `client_configs` (of users, clients and addresses), `consumer_offsets`,
//! `producer_ids`, `features`, and `changes` (watch events -> what changed).
//!
//! # The start of a broker, in this order
//!
//! 1. `zk::Client::connect_with(config, previous)`; `wait_connected(limit)`;
//!    `ensure_chroot()`.
//! 2. [`Registry::ensure_paths`].
//! 3. [`Registry::cluster_id_or_create`]; compare with `meta.properties`.
//! 4. Open the logs; then [`Registry::register_broker`]: the broker epoch is
//!    known from here on.
//! 5. `controller::Service::new(...)`, `run`; the metadata of the cluster comes
//!    with the controller's first UpdateMetadata.
//!
//! # A session that expired
//!
//! The client rests in `State::Expired`; the controller service resigns on its
//! own. The owner calls `client.renew()`, `wait_connected`, then
//! `register_broker` again (a new broker epoch), then
//! `controller::Handle::session_renewed()`, upon which it competes again.
//!
//! # The stop
//!
//! `controller::Handle::controlled_shutdown` (through the active controller),
//! stop the controller service, [`Registry::deregister`], `client.close()`.
//!
//! **Invariant:** every write that a controller makes is fenced by
//! `/controller_epoch`; a controller that lost the election changes nothing.

pub mod assignment;
pub mod changes;
pub mod znode;

mod boot;
mod client_configs;
mod configs;
mod consumer_offsets;
mod election;
mod features;
mod fence;
mod isr;
mod listing;
mod log_dirs;
mod producer_ids;
mod registration;
mod topics;

use common::clock::SharedClock;

pub use boot::new_uuid;
pub use changes::{Change, ConfigChange, ConfigFeed};
pub use client_configs::NamedConfig;
pub use election::Election;
pub use features::{FeatureFeed, FinalizedFeatures};
pub use fence::{Fence, FencedWrite};
pub use registration::RegisterError;
pub use topics::{
    AddPartitionsError, CreateTopicError, DeleteTopicError, Mode, NewTopic, Placement,
};
pub use znode::{
    BrokerRegistration, ConfigEntity, EntityType, LeaderAndIsr, LeaderRecoveryState, Malformed,
    PartitionLeadership, ProducerIdBlock, ReplicaAssignment, TopicAssignment,
};

use crate::model::{MetadataVersion, NEWEST};
use crate::zk;

/// Kafka's znodes through one client; clones share it.
#[derive(Clone)]
pub struct Registry {
    client: zk::Client,
    clock: SharedClock,
    version: MetadataVersion,
}

/// Why the registry could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Zk(#[from] zk::Error),
    #[error("{path}: {source}")]
    Malformed { path: String, source: Malformed },
    /// `/controller_epoch` moved on: another broker is the controller.
    #[error("the controller moved to another broker")]
    ControllerMoved,
    #[error("all producer ids were handed out")]
    ProducerIdsExhausted,
}

impl Registry {
    #[must_use]
    pub fn new(client: zk::Client, clock: SharedClock) -> Self {
        Self {
            client,
            clock,
            version: NEWEST,
        }
    }

    /// The same for a cluster in which every broker knows `version`: nodes are
    /// written as that has them.
    #[must_use]
    pub fn speaking(self, version: MetadataVersion) -> Self {
        Self { version, ..self }
    }

    /// `inter.broker.protocol.version`
    #[must_use]
    pub fn version(&self) -> MetadataVersion {
        self.version
    }

    #[must_use]
    pub fn client(&self) -> &zk::Client {
        &self.client
    }
}

/// Adds the path to a decoding error.
fn at<T>(path: &str, result: Result<T, Malformed>) -> Result<T, Error> {
    result.map_err(|source| Error::Malformed {
        path: path.to_owned(),
        source,
    })
}
