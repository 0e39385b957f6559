//! What the server counts, and the table from which `mntr` and `/metrics` are written.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::Server;

/// Counters of this process.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Duration,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    latency_us_min: AtomicU64,
    latency_us_max: AtomicU64,
    latency_us_sum: AtomicU64,
    latency_count: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(crate) stall_ms: AtomicI64,
}

/// Request latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Latency {
    pub(crate) min: u64,
    pub(crate) avg: f64,
    pub(crate) max: u64,
}

impl Stats {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            started: now,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            latency_us_min: AtomicU64::new(u64::MAX),
            latency_us_max: AtomicU64::new(0),
            latency_us_sum: AtomicU64::new(0),
            latency_count: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            stall_ms: AtomicI64::new(0),
        }
    }

    /// A request took `latency` from its last byte to its reply.
    pub(super) fn answered(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.latency_us_min.fetch_min(us, Ordering::Relaxed);
        self.latency_us_max.fetch_max(us, Ordering::Relaxed);
        self.latency_us_sum.fetch_add(us, Ordering::Relaxed);
        self.latency_count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn latency(&self) -> Latency {
        let count = self.latency_count.load(Ordering::Relaxed);
        if count == 0 {
            return Latency {
                min: 0,
                avg: 0.0,
                max: 0,
            };
        }
        let sum = self.latency_us_sum.load(Ordering::Relaxed);
        let avg_us = sum as f64 / count as f64;
        Latency {
            min: self.latency_us_min.load(Ordering::Relaxed) / 1000,
            // Four digits, as ZooKeeper rounds.
            avg: (avg_us * 10.0).round() / 10_000.0,
            max: self.latency_us_max.load(Ordering::Relaxed) / 1000,
        }
    }

    pub(crate) fn uptime(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started)
    }
}

/// A number that monitoring sees under ZooKeeper's name for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) is_counter: bool,
}

impl Server {
    /// All numbers, in the order of `mntr`.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let latency = self.stats.latency();
        let (znodes, ephemerals, data_size, zxid) = self.pipeline.with_state(|state| {
            let tree = &state.tree;
            let counts = (tree.reported_len(), tree.ephemeral_count());
            (counts.0, counts.1, tree.data_size(), state.zxid)
        });
        let uptime = self.stats.uptime(self.clock.monotonic());
        let watches = self.pipeline.with_watches(crate::watch::Registry::count);
        let gauge = |name, value: f64| Metric {
            name,
            value,
            is_counter: false,
        };
        let counter = |name, value: u64| Metric {
            name,
            value: value as f64,
            is_counter: true,
        };
        let stall_ms = self.stats.stall_ms.load(Ordering::Relaxed);
        vec![
            gauge("avg_latency", latency.avg),
            gauge("max_latency", latency.max as f64),
            gauge("min_latency", latency.min as f64),
            counter("packets_received", self.stats.received()),
            counter("packets_sent", self.stats.sent()),
            gauge("num_alive_connections", self.connection_count() as f64),
            gauge("outstanding_requests", self.outstanding() as f64),
            gauge("znode_count", znodes as f64),
            gauge("watch_count", watches as f64),
            gauge("ephemerals_count", ephemerals as f64),
            gauge("approximate_data_size", data_size as f64),
            gauge("global_sessions", self.pipeline.sessions().len() as f64),
            gauge("open_file_descriptor_count", open_files() as f64),
            gauge("max_file_descriptor_count", open_files_max() as f64),
            gauge("uptime", uptime.as_millis() as f64),
            gauge("last_processed_zxid", zxid as f64),
            counter(
                "connection_rejected",
                self.stats.rejected.load(Ordering::Relaxed),
            ),
            counter("process_stall_ms", u64::try_from(stall_ms).unwrap_or(0)),
        ]
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn open_files_max() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.unwrap_or(0)
}
