//! `kafka producer-perf-test` and `kafka consumer-perf-test`.
//!
//! **Invariant:** numbers are of records that the brokers acknowledged or sent,
//! never of what was only queued.

pub(crate) mod consumer;
pub(crate) mod producer;
mod stats;

/// Bytes as a fraction of a MiB.
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// `count` in `elapsed_ms`, per second; infinite or no number as in Java.
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn per_second(count: f64, elapsed_ms: i64) -> f64 {
    count / (elapsed_ms as f64 / 1000.0)
}
