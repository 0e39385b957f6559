//! A Kafka broker in ZooKeeper mode, as a library that the daemon and the tests start.
//!
//! The modules stand in the order of their layers; each imports only those
//! above it. `boot` is the single place that sees all of them.

pub mod model;
pub mod record;

pub mod log;
pub mod metrics;
pub mod protocol;
pub mod quota;
pub mod zk;

pub mod peer;

pub mod cluster;
pub mod registry;
pub mod replica;

pub mod controller;
pub mod group;
pub mod state_log;
pub mod txn;

pub mod handlers;
pub mod server;

mod boot;
pub mod config;

pub use boot::{RunError, Running, StartError, start};
pub use config::Config;
