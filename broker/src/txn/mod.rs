//! The coordinators of transactions (KIP-98, KIP-360, KIP-447, KIP-588, KIP-664,
//! KIP-890): which producer owns a transactional id, and how its transactions end.
//!
//! Flow: `Handle` (routes by transactional id) -> the shard of that partition of
//! `__transaction_state` -> decide on the id's pure state -> append through
//! `state_log` -> take over when committed -> answer. Once an end is committed,
//! `markers` carries it to the leaders of the partitions, and when all of them
//! have it, the shard writes that the transaction is complete. `Handle::load`
//! reads the same records when this broker becomes the partition's leader, and
//! goes on with every end that was decided.
//! State: each shard is owned by one task, which `state_log` runs.
//!
//! **Invariant:** no marker is sent before the decision is committed.
//! **Invariant:** nothing here knows Kafka's wire types or sockets.

mod api;
mod config;
mod error;
mod markers;
mod records;
mod service;
mod shard;
mod state;

pub use api::{Census, Description, InitRequest, Initialized, Producer, TransactionRef};
pub use config::Config;
pub use error::Error;
pub use markers::{ChannelError, Marker, MarkerChannel, MarkerOutcome, MarkerResult};
pub use service::{Handle, Service};
pub use shard::Found;
pub use state::{End, State};
