//! The texts of the words that say something about the state.

// Writing to a String does not fail.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::super::date::Date;
use super::super::monitor::{environment, version};
use super::super::{ConnectionInfo, Server};
use crate::metrics::Reading;

/// ZooKeeper looks after its connections in steps of this length.
const CONNECTION_STEP_MS: i64 = 10_000;

pub(super) fn srvr(server: &Server) -> String {
    statistics(server, "")
}

pub(super) fn stat(server: &Server) -> String {
    let mut clients = "Clients:\n".to_owned();
    for info in server.connections() {
        let _ = writeln!(clients, "{})", brief(&info));
    }
    clients.push('\n');
    statistics(server, &clients)
}

fn statistics(server: &Server, clients: &str) -> String {
    let latency = server.pipeline.metrics().request_latency();
    let (zxid, nodes) = server
        .pipeline
        .with_state(|state| (state.zxid, state.tree.reported_len()));
    // A line that ZooKeeper does not have, and that is only there when it matters.
    let trouble = server.pipeline.trouble();
    let trouble = trouble.map_or_else(String::new, |text| format!("Reads only: {text}\n"));
    format!(
        "Zookeeper version: {}\n{clients}\
         Latency min/avg/max: {:.0}/{:?}/{:.0}\n\
         Received: {}\n\
         Sent: {}\n\
         Connections: {}\n\
         Outstanding: {}\n\
         Zxid: {zxid:#x}\n\
         Mode: standalone\n\
         Node count: {nodes}\n{trouble}",
        version(),
        latency.min().floor(),
        latency.avg(),
        latency.max().floor(),
        server.stats.received(),
        server.stats.sent(),
        server.connection_count(),
        server.outstanding(),
    )
}

/// The beginning of a connection's line, without its last bracket.
fn brief(info: &ConnectionInfo) -> String {
    format!(
        " /{}[{}](queued={},recved={},sent={}",
        info.peer,
        info.interest_ops(),
        info.queued,
        info.traffic.received,
        info.traffic.sent
    )
}

pub(super) fn cons(server: &Server) -> String {
    let mut text = String::new();
    for info in server.connections() {
        text.push_str(&brief(&info));
        if let Some(session) = info.session {
            let traffic = &info.traffic;
            let _ = write!(
                text,
                ",sid={session:#x},lop={},est={},to={}",
                traffic.last_op, info.established_ms, info.timeout_ms
            );
            if traffic.last_xid >= 0 {
                let _ = write!(text, ",lcxid={:#x}", traffic.last_xid);
            }
            let _ = write!(
                text,
                ",lzxid={:#x},lresp={},llat={},minlat={},avglat={},maxlat={}",
                traffic.last_zxid,
                traffic.last_response_ms,
                traffic.latency_ms_last,
                traffic.latency_ms_min,
                traffic.latency_ms_avg,
                traffic.latency_ms_max
            );
        }
        text.push_str(")\n");
    }
    text.push('\n');
    text
}

pub(super) fn mntr(server: &Server) -> String {
    let mut text = format!("zk_version\t{}\nzk_server_state\tstandalone\n", version());
    for (name, reading) in server.monitor() {
        match reading {
            Reading::Whole(value) => {
                let _ = writeln!(text, "zk_{name}\t{value}");
            }
            Reading::Fraction(value) => {
                let _ = writeln!(text, "zk_{name}\t{value:?}");
            }
            Reading::Count(value) => {
                let _ = writeln!(text, "zk_{name}\t{value}");
            }
            Reading::Summary(summary) => {
                let _ = writeln!(text, "zk_avg_{name}\t{:?}", summary.avg());
                for (part, value) in summary.whole_parts() {
                    let _ = writeln!(text, "zk_{part}_{name}\t{value}");
                }
            }
        }
    }
    text
}

pub(super) fn conf(server: &Server) -> String {
    let config = &server.config;
    let storage = &config.storage;
    let sizes = server.dir_sizes();
    format!(
        "clientPort={}\nsecureClientPort=-1\ndataDir={}\ndataDirSize={}\ndataLogDir={}\n\
         dataLogSize={}\ntickTime={}\nmaxClientCnxns={}\nminSessionTimeout={}\n\
         maxSessionTimeout={}\nclientPortListenBacklog=-1\nserverId=0\n",
        server.client_port(),
        storage.snapshot_folder().display(),
        sizes.data,
        storage.log_folder().display(),
        sizes.log,
        config.tick.as_millis(),
        config.connections_per_ip_max,
        config.session_timeout_ms_min,
        config.session_timeout_ms_max,
    )
}

pub(super) fn dirs(server: &Server) -> String {
    let sizes = server.dir_sizes();
    format!("datadir_size: {}\nlogdir_size: {}\n", sizes.data, sizes.log)
}

pub(super) fn envi() -> String {
    let mut text = "Environment:\n".to_owned();
    for (name, value) in environment() {
        let _ = writeln!(text, "{name}={value}");
    }
    text
}

pub(super) fn dump(server: &Server) -> String {
    let (wall_ms, now) = (server.clock.wall_ms(), server.clock.monotonic());
    let date = |due_ms| Date::from_wall_ms(wall_of(due_ms, wall_ms, now)).java();
    let buckets = server.pipeline.sessions().buckets();
    let sessions: usize = buckets.values().map(Vec::len).sum();
    let mut text = "SessionTracker dump:\n".to_owned();
    let _ = writeln!(text, "Session Sets ({})/({sessions}):", buckets.len());
    for (due_ms, sessions) in buckets {
        let _ = writeln!(text, "{} expire at {}:", sessions.len(), date(due_ms));
        for session in sessions {
            let _ = writeln!(text, "\t{session:#x}");
        }
    }
    text.push_str("ephemeral nodes dump:\n");
    server.pipeline.with_state(|state| {
        let owners = state.tree.ephemerals();
        let _ = writeln!(text, "Sessions with Ephemerals ({}):", owners.len());
        for (session, paths) in owners {
            let _ = writeln!(text, "{session:#x}:");
            for path in paths.iter() {
                let _ = writeln!(text, "\t{path}");
            }
        }
    });
    text.push_str("Connections dump:\n");
    dump_connections(server, wall_ms, now, &mut text);
    text
}

fn dump_connections(server: &Server, wall_ms: i64, now: Duration, text: &mut String) {
    let connections = server.connections();
    let mut sets: BTreeMap<i64, Vec<&ConnectionInfo>> = BTreeMap::new();
    for info in &connections {
        let due_ms = match info.deadline_ms {
            Some(deadline_ms) => wall_of(deadline_ms, wall_ms, now),
            None => info.established_ms.saturating_add(CONNECTION_STEP_MS),
        };
        let step = due_ms.div_euclid(CONNECTION_STEP_MS) + 1;
        sets.entry(step).or_default().push(info);
    }
    let (set_count, count) = (sets.len(), connections.len());
    let _ = writeln!(text, "Connections Sets ({set_count})/({count}):");
    for (step, connections) in sets {
        let date = Date::from_wall_ms(step * CONNECTION_STEP_MS).java();
        let _ = writeln!(text, "{} expire at {date}:", connections.len());
        for info in connections {
            let session = info.session.unwrap_or(0);
            let _ = writeln!(text, "\tip: /{} sessionId: {session:#x}", info.peer);
        }
    }
}

/// When something is due that is due at a time of the monotonic clock.
fn wall_of(due_ms: u64, wall_ms: i64, now: Duration) -> i64 {
    let due_ms = i64::try_from(due_ms).unwrap_or(i64::MAX);
    let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    wall_ms.saturating_add(due_ms.saturating_sub(now_ms))
}

pub(super) fn wchc(server: &Server) -> String {
    let mut text = String::new();
    for (session, paths) in server.pipeline.data_watches_by_session() {
        let _ = writeln!(text, "{session:#x}");
        for path in paths {
            let _ = writeln!(text, "\t{path}");
        }
    }
    text.push('\n');
    text
}

pub(super) fn wchp(server: &Server) -> String {
    let mut text = String::new();
    for (path, sessions) in server.pipeline.data_watches_by_path() {
        let _ = writeln!(text, "{path}");
        for session in sessions {
            let _ = writeln!(text, "\t{session:#x}");
        }
    }
    text.push('\n');
    text
}

pub(super) fn wchs(server: &Server) -> String {
    let summary = server
        .pipeline
        .with_watches(crate::watch::Registry::summary);
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        summary.connections, summary.paths, summary.watches
    )
}
