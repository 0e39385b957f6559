//! Integration tests of the broker, one binary.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod controller_cluster;
mod controller_cut_off;
mod controller_election;
mod lost_tails;
mod replication;
mod serving_basics;
mod serving_bounds;
mod serving_configs;
mod serving_fetch_sessions;
mod serving_metrics;
mod serving_old_versions;
mod serving_records;
mod serving_restart;
mod several_brokers;
mod support;
mod zk_client;
mod zk_registry;
