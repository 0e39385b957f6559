//! Connections, disks, the session, and the process itself.

use common::metrics::Page;

use super::Sources;
use crate::zk::State;

/// The kernel's unit of memory.
const KIB: u64 = 1024;

pub(super) fn write(page: &mut Page, sources: &Sources) {
    page.gauge(
        "kafka_server_socketservermetrics_connection_count",
        "Open client connections",
        sources.limits.count(),
    );
    page.counter(
        "kafka_server_socketservermetrics_connection_creation",
        "Client connections that were accepted",
        sources.limits.accepted(),
    );
    write_dirs(page, sources);
    write_session(page, sources);
    write_process(page);
}

fn write_dirs(page: &mut Page, sources: &Sources) {
    let dirs = sources.logs.dirs();
    page.gauge(
        "kafka_log_logmanager_offlinelogdirectorycount",
        "Log directories that have failed",
        dirs.iter().filter(|dir| !dir.is_online()).count(),
    );
    let of_dir = |path: &std::path::Path| vec![("logdirectory", path.display().to_string())];
    page.gauges(
        "kafka_log_logmanager_logdirectoryoffline",
        "1 where the log directory has failed",
        dirs.iter()
            .map(|dir| (of_dir(dir.path()), i64::from(!dir.is_online()))),
    );
    page.gauges(
        "kafka_log_logmanager_logdirectoryfull",
        "1 where there is no room for records",
        dirs.iter()
            .map(|dir| (of_dir(dir.path()), i64::from(dir.is_full()))),
    );
}

fn write_session(page: &mut Page, sources: &Sources) {
    let status = sources.session.status();
    let status = status.borrow();
    page.gauge(
        "kafka_server_sessionexpirelistener_connected",
        "1 while there is a connection to the coordinator",
        usize::from(status.state == State::Connected),
    );
    page.counter(
        "kafka_server_sessionexpirelistener_sessions",
        "Sessions with the coordinator since the start",
        status.generation,
    );
    for (name, help, count) in [
        (
            "kafka_server_sessionexpirelistener_zookeeperdisconnects",
            "Connections to the coordinator that were lost",
            status.disconnects,
        ),
        (
            "kafka_server_sessionexpirelistener_zookeeperexpires",
            "Sessions with the coordinator that expired",
            status.expirations,
        ),
    ] {
        page.counter(name, help, count);
    }
}

/// What the kernel says, where there is a `/proc`; under the names that all
/// Prometheus clients use.
fn write_process(page: &mut Page) {
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(kib) = resident_kib(&status)
    {
        page.gauge(
            "process_resident_memory_bytes",
            "Memory of this process",
            kib * KIB,
        );
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is this listing's own.
        let count = open.count().saturating_sub(1);
        page.gauge("process_open_fds", "Open file descriptors", count);
    }
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_found() {
        let status = "Name:\tbroker\nVmRSS:\t   18432 kB\nThreads:\t4\n";
        assert_eq!(resident_kib(status), Some(18_432));
        assert_eq!(resident_kib("Name:\tbroker\n"), None);
    }
}
