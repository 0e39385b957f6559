//! Kafka's wire protocol as this broker serves it.

pub mod interbroker;
