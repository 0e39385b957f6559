//! Only what both daemons need.
//!
//! **Invariant:** nothing here knows Kafka's or ZooKeeper's semantics; `zk`
//! holds the wire records that the server and our client share, no more.

pub mod checksum;
pub mod clock;
pub mod config;
pub mod frame;
pub mod fs;
pub mod http;
pub mod jute;
pub mod metrics;
pub mod net;
pub mod notify;
pub mod page;
pub mod persist;
pub mod shutdown;
pub mod task;
pub mod telemetry;
pub mod wire;
pub mod zk;
