//! The four-letter words: questions in plain text on the client port.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Server;

pub(super) const LEN: usize = 4;
/// ZooKeeper's version whose protocol and texts these are; tools parse it.
pub(crate) const ZOOKEEPER_VERSION: &str = "3.9.3";

macro_rules! words {
    ($( $word:ident = $text:literal ),+ $(,)?) => {
        /// A word that a client may say instead of a connect request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Word { $( $word ),+ }

        impl Word {
            pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
                $( if bytes == $text.as_bytes() { return Some(Self::$word); } )+
                None
            }

            fn text(self) -> &'static str {
                match self { $( Self::$word => $text ),+ }
            }
        }
    };
}

words! {
    Ruok = "ruok",
    Srvr = "srvr",
    Stat = "stat",
    Mntr = "mntr",
    Conf = "conf",
    Cons = "cons",
    Isro = "isro",
    Envi = "envi",
    Dump = "dump",
    Wchs = "wchs",
}

/// What this program calls itself where ZooKeeper says its version.
pub(crate) fn version() -> String {
    format!(
        "{ZOOKEEPER_VERSION}-odradek-{}, built on {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    )
}

pub(super) fn answer(server: &Arc<Server>, word: Word) -> String {
    if !server.config.allows_word(word.text()) {
        let word = word.text();
        return format!("{word} is not executed because it is not in the whitelist.\n");
    }
    match word {
        Word::Ruok => "imok".to_owned(),
        Word::Isro => "rw".to_owned(),
        Word::Srvr => srvr(server, ""),
        Word::Stat => srvr(server, &clients(server)),
        Word::Mntr => mntr(server),
        Word::Conf => conf(server),
        Word::Cons => cons(server),
        Word::Envi => envi(),
        Word::Dump => dump(server),
        Word::Wchs => wchs(server),
    }
}

fn srvr(server: &Server, clients: &str) -> String {
    let latency = server.stats.latency();
    let (zxid, nodes) = server
        .pipeline
        .with_state(|state| (state.zxid, state.tree.reported_len()));
    // A line that ZooKeeper does not have, and that is only there when it matters.
    let trouble = server.pipeline.trouble();
    let trouble = trouble.map_or_else(String::new, |text| format!("Reads only: {text}\n"));
    format!(
        "Zookeeper version: {}\n{clients}\
         Latency min/avg/max: {}/{:?}/{}\n\
         Received: {}\n\
         Sent: {}\n\
         Connections: {}\n\
         Outstanding: {}\n\
         Zxid: {zxid:#x}\n\
         Mode: standalone\n\
         Node count: {nodes}\n{trouble}",
        version(),
        latency.min,
        latency.avg,
        latency.max,
        server.stats.received(),
        server.stats.sent(),
        server.connection_count(),
        server.outstanding(),
    )
}

fn clients(server: &Server) -> String {
    let mut text = "Clients:\n".to_owned();
    for info in server.connections() {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            " /{}[1](queued={},recved={},sent={})",
            info.peer, info.queued, info.received, info.sent
        );
    }
    text.push('\n');
    text
}

fn cons(server: &Server) -> String {
    let mut text = String::new();
    for info in server.connections() {
        let _ = write!(
            text,
            " /{}[1](queued={},recved={},sent={}",
            info.peer, info.queued, info.received, info.sent
        );
        if let Some(session) = info.session {
            let _ = write!(
                text,
                ",sid={session:#x},to={},lcxid={:#x},llat={}",
                info.timeout_ms, info.last_xid, info.last_latency_ms
            );
        }
        text.push_str(")\n");
    }
    text.push('\n');
    text
}

fn mntr(server: &Server) -> String {
    let mut text = format!("zk_version\t{}\nzk_server_state\tstandalone\n", version());
    for metric in server.metrics() {
        let _ = writeln!(text, "zk_{}\t{}", metric.name, metric.value);
    }
    text
}

fn conf(server: &Server) -> String {
    let config = &server.config;
    format!(
        "clientPort={}\nsecureClientPort=-1\ndataDir={}\ndataLogDir={}\ntickTime={}\n\
         maxClientCnxns={}\nminSessionTimeout={}\nmaxSessionTimeout={}\n\
         clientPortListenBacklog=-1\nserverId=0\n",
        config.client_address.port(),
        config.storage.data_dir.display(),
        config.storage.log_dir.display(),
        config.tick.as_millis(),
        config.connections_per_ip_max,
        config.session_timeout_ms_min,
        config.session_timeout_ms_max,
    )
}

fn envi() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!(
        "Environment:\nzookeeper.version={}\nhost.name={host}\nos.name={}\nos.arch={}\n",
        version(),
        std::env::consts::OS,
        std::env::consts::ARCH,
    )
}

fn dump(server: &Server) -> String {
    let buckets = server.pipeline.sessions().buckets();
    let sessions: usize = buckets.values().map(Vec::len).sum();
    let mut text = format!(
        "SessionTracker dump:\nSession Sets ({})/({sessions}):\n",
        buckets.len()
    );
    let now = u64::try_from(server.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
    for (due_ms, sessions) in buckets {
        let left = due_ms.saturating_sub(now);
        let _ = writeln!(text, "{} expire in {left} ms:", sessions.len());
        for session in sessions {
            let _ = writeln!(text, "\t{session:#x}");
        }
    }
    server.pipeline.with_state(|state| {
        let owners = state.tree.ephemerals();
        let _ = writeln!(
            text,
            "ephemeral nodes dump:\nSessions with Ephemerals ({}):",
            owners.len()
        );
        for (session, paths) in owners {
            let _ = writeln!(text, "{session:#x}:");
            for path in paths {
                let _ = writeln!(text, "\t{path}");
            }
        }
    });
    text.push_str("Connections dump:\n");
    for info in server.connections() {
        let _ = writeln!(text, "\t/{}: {:#x}", info.peer, info.session.unwrap_or(0));
    }
    text
}

fn wchs(server: &Server) -> String {
    let summary = server
        .pipeline
        .with_watches(crate::watch::Registry::summary);
    format!(
        "{} connections watching {} paths\nTotal watches:{}\n",
        summary.connections, summary.paths, summary.watches
    )
}
