//! Starts and stops a broker: the one place that sees all of its parts.
//!
//! Flow of a start: sockets -> data directories -> coordinator -> identity ->
//! logs -> registration -> controller -> clients. Flow of a stop: clients ->
//! controller and groups -> checkpoints and logs -> session.
//!
//! **Invariant:** whatever can be refused early (a busy port, a locked
//! directory) is refused before the coordinator hears of this broker.

mod cleaning;
mod configs;
mod dir_failures;
mod farewell;
mod full_dirs;
mod identity;
mod last_replica;
mod lost_tails;
mod maintenance;
mod membership;
mod network;
mod page;
mod parts;
mod previous_session;
mod quotas;
mod readiness;
mod replication;
mod running;
mod start;
mod status;
mod transactions;

pub use running::{RunError, Running};
pub use start::{StartError, start};
