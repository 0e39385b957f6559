//! A Kafka broker in ZooKeeper mode.

pub mod cluster;
pub mod config;
pub mod controller;
pub mod group;
pub mod handlers;
pub mod log;
pub mod model;
pub mod peer;
pub mod protocol;
pub mod record;
pub mod registry;
pub mod replica;
pub mod server;
pub mod state_log;
pub mod zk;
