//! Integration tests of the broker, one binary.

mod controller_cluster;
mod controller_election;
mod support;
mod zk_client;
mod zk_registry;
