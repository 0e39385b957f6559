//! What a producer's test counts. Pure: time enters as a value.

use super::{mib, per_second};

/// How often a line is printed.
pub(super) const WINDOW_MS: i64 = 5000;
/// The most latencies that are kept; of more, each n-th.
const SAMPLES_MAX: u64 = 500_000;

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: u64,
    bytes: u64,
    latency: u64,
    latency_max: u64,
}

impl Sum {
    fn add(&mut self, latency: u64, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
        self.latency += latency;
        self.latency_max = self.latency_max.max(latency);
    }

    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    fn latency_mean(&self) -> f64 {
        self.latency as f64 / self.count as f64
    }
}

/// Counts of all records, and of those since the last line.
#[derive(Debug)]
pub(super) struct Stats {
    started_ms: i64,
    window_ms: i64,
    all: Sum,
    window: Sum,
    sampling: u64,
    latencies: Vec<u64>,
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
impl Stats {
    pub(super) fn new(expected: u64, now_ms: i64) -> Self {
        Self {
            started_ms: now_ms,
            window_ms: now_ms,
            all: Sum::default(),
            window: Sum::default(),
            sampling: (expected / expected.clamp(1, SAMPLES_MAX)).max(1),
            latencies: Vec::new(),
        }
    }

    /// Counts a record; a line when it is time for one.
    pub(super) fn record(&mut self, latency: u64, bytes: u64, now_ms: i64) -> Option<String> {
        if self.all.count.is_multiple_of(self.sampling) {
            self.latencies.push(latency);
        }
        self.all.add(latency, bytes);
        self.window.add(latency, bytes);
        let elapsed = now_ms - self.window_ms;
        if elapsed < WINDOW_MS {
            return None;
        }
        let window = std::mem::take(&mut self.window);
        self.window_ms = now_ms;
        Some(format!(
            "{} records sent, {:.1} records/sec ({:.2} MB/sec), {:.1} ms avg latency, {:.1} ms max latency.",
            window.count,
            per_second(window.count as f64, elapsed),
            per_second(mib(window.bytes), elapsed),
            window.latency_mean(),
            window.latency_max as f64
        ))
    }

    /// The last line.
    pub(super) fn total(&mut self, now_ms: i64) -> String {
        self.latencies.sort_unstable();
        let elapsed = now_ms - self.started_ms;
        let length = self.latencies.len();
        let at = |thousandths: usize| {
            let found = self.latencies.get(thousandths * length / 1000);
            found.copied().unwrap_or_default()
        };
        format!(
            "{} records sent, {:.6} records/sec ({:.2} MB/sec), {:.2} ms avg latency, {:.2} ms max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.all.count,
            per_second(self.all.count as f64, elapsed),
            per_second(mib(self.all.bytes), elapsed),
            self.all.latency_mean(),
            self.all.latency_max as f64,
            at(500),
            at(950),
            at(990),
            at(999)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_kafka_prints_them() {
        let mut stats = Stats::new(4, 1000);
        let mib = 1024 * 1024;
        assert_eq!(stats.record(10, mib, 2000), None);
        assert_eq!(
            stats.record(30, mib, 6000).as_deref(),
            Some(
                "2 records sent, 0.4 records/sec (0.40 MB/sec), 20.0 ms avg latency, 30.0 ms max latency."
            )
        );
        assert_eq!(stats.record(2, mib, 6001), None);
        assert_eq!(stats.record(2, mib, 6002), None);
        assert_eq!(
            stats.total(9000),
            "4 records sent, 0.500000 records/sec (0.50 MB/sec), 11.00 ms avg latency, 30.00 ms max latency, 10 ms 50th, 30 ms 95th, 30 ms 99th, 30 ms 99.9th."
        );
    }
}
