//! The numbers that monitoring asks for, and what the server says of itself.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use super::Server;
use crate::metrics::Reading;
use crate::storage::Options;

/// ZooKeeper's version whose protocol and texts these are; tools parse it.
const ZOOKEEPER_VERSION: &str = "3.9.3";

/// What this program calls itself where ZooKeeper says its version.
pub(crate) fn version() -> String {
    format!(
        "{ZOOKEEPER_VERSION}-odradek-{}, built on {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    )
}

/// What ZooKeeper says of the machine and its process; what only a JVM has is left out.
pub(crate) fn environment() -> Vec<(&'static str, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let kernel = |name: &str| read(&format!("/proc/sys/kernel/{name}")).trim().to_owned();
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| "<NA>".to_owned());
    let current_dir = std::env::current_dir();
    let meminfo = read("/proc/meminfo");
    let memory = memory_mb(&meminfo);
    vec![
        ("zookeeper.version", version()),
        ("host.name", kernel("hostname")),
        ("os.name", kernel("ostype")),
        ("os.arch", std::env::consts::ARCH.to_owned()),
        ("os.version", kernel("osrelease")),
        ("user.name", variable("USER")),
        ("user.home", variable("HOME")),
        (
            "user.dir",
            current_dir.map_or_else(|_| "<NA>".to_owned(), |dir| dir.display().to_string()),
        ),
        ("os.memory.free", memory("MemAvailable")),
        ("os.memory.max", memory("MemTotal")),
        ("os.memory.total", memory("MemTotal")),
    ]
}

fn memory_mb(meminfo: &str) -> impl Fn(&str) -> String {
    move |name| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| {
            let number = line.trim_start_matches(':').trim().split(' ').next();
            number.and_then(|number| number.parse::<u64>().ok())
        });
        kib.map_or_else(|| "<NA>".to_owned(), |kib| format!("{}MB", kib / 1024))
    }
}

/// Bytes in the two folders, which may be one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirSizes {
    pub(crate) data: u64,
    pub(crate) log: u64,
}

impl DirSizes {
    fn of(options: &Options) -> Self {
        Self {
            data: size_of_files(&options.snapshot_folder()),
            log: size_of_files(&options.log_folder()),
        }
    }
}

fn size_of_files(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let files = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    files
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}

impl Server {
    pub(crate) fn dir_sizes(&self) -> DirSizes {
        DirSizes::of(&self.config.storage)
    }

    /// What `srst` does.
    pub(crate) fn reset_statistics(&self) {
        self.stats.reset();
        self.pipeline.metrics().reset();
    }

    /// All numbers under ZooKeeper's names: first those that are looked up, then
    /// those that are counted.
    pub(crate) fn monitor(&self) -> Vec<(&'static str, Reading)> {
        let metrics = self.pipeline.metrics();
        let latency = metrics.request_latency();
        let (znodes, ephemerals, data_size) = self.pipeline.with_state(|state| {
            let tree = &state.tree;
            (
                tree.reported_len(),
                tree.ephemeral_count(),
                tree.data_size(),
            )
        });
        let watches = self.pipeline.with_watches(crate::watch::Registry::count);
        let uptime = self.stats.uptime(self.clock.monotonic());
        let (size_last, size_min, size_max) = self.stats.response_sizes.read();
        let floor = |value: f64| Reading::Whole(value as i64);
        let number = |value: usize| Reading::Whole(i64::try_from(value).unwrap_or(i64::MAX));
        let count = |value: u64| Reading::Whole(i64::try_from(value).unwrap_or(i64::MAX));
        let mut all = vec![
            ("ephemerals_count", number(ephemerals)),
            ("num_alive_connections", number(self.connection_count())),
            ("avg_latency", Reading::Fraction(latency.avg())),
            ("outstanding_requests", number(self.outstanding())),
            ("znode_count", number(znodes)),
            ("global_sessions", number(self.pipeline.sessions().len())),
            ("non_mtls_remote_conn_count", Reading::Whole(0)),
            ("last_client_response_size", Reading::Whole(size_last)),
            ("packets_sent", count(self.stats.sent())),
            ("packets_received", count(self.stats.received())),
            ("max_client_response_size", Reading::Whole(size_max)),
            ("connection_drop_probability", Reading::Fraction(0.0)),
            ("watch_count", number(watches)),
            ("auth_failed_count", count(self.stats.auth_failed())),
            ("min_latency", floor(latency.min())),
            ("max_file_descriptor_count", count(open_files_max())),
            ("approximate_data_size", number(data_size)),
            ("open_file_descriptor_count", number(open_files())),
            ("local_sessions", Reading::Whole(0)),
            (
                "uptime",
                Reading::Whole(i64::try_from(uptime.as_millis()).unwrap_or(i64::MAX)),
            ),
            ("max_latency", floor(latency.max())),
            ("outstanding_tls_handshake", Reading::Whole(0)),
            ("min_client_response_size", Reading::Whole(size_min)),
            ("non_mtls_local_conn_count", Reading::Whole(0)),
        ];
        all.extend(metrics.read());
        all
    }

    /// How long this process has not run although it should have.
    pub(crate) fn stall_ms(&self) -> i64 {
        self.stats.stall_ms.load(Relaxed)
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn open_files_max() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_where_linux_says_it() {
        let memory = memory_mb("MemTotal:       24576000 kB\nMemAvailable:   1024 kB\n");
        assert_eq!(memory("MemTotal"), "24000MB");
        assert_eq!(memory("MemAvailable"), "1MB");
        assert_eq!(memory("SwapTotal"), "<NA>");
    }
}
