//! The commands of ZooKeeper's AdminServer: `GET /commands/<name>`.
//!
//! **Invariant:** names, other names and fields are those of ZooKeeper 3.9 on a
//! single server, and so is the status: what is wrong is said in the field `error`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::fields::Fields;
use super::{Shared, json};
use crate::metrics::Reading;
use crate::server::monitor::{environment, version};
use crate::server::{ConnectionInfo, Server};

type Arguments = BTreeMap<String, String>;
type Run = fn(&Server, &Arguments) -> Fields;

/// A command: its name, its other names, and what it answers.
struct Command(&'static str, &'static [&'static str], Run);

const COMMANDS: &[Command] = &[
    Command("configuration", &["conf", "config"], configuration),
    Command("connection_stat_reset", &["crst"], |server, _| {
        server.reset_connections();
        Fields::default()
    }),
    Command("connections", &["cons"], |server, _| {
        connections(server, Fields::default(), full)
    }),
    Command("dirs", &[], |server, _| {
        let sizes = server.dir_sizes();
        Fields::default()
            .with("datadir_size", sizes.data)
            .with("logdir_size", sizes.log)
    }),
    Command("dump", &[], dump),
    Command("environment", &["env", "envi"], |_, _| {
        let mut fields = Fields::default();
        for (name, value) in environment() {
            fields.add(name, value);
        }
        fields
    }),
    Command("get_trace_mask", &["gtmk"], |server, _| {
        let mask = server.stats.trace_mask.load(Relaxed);
        Fields::default().with("tracemask", mask)
    }),
    // No digests of the tree are kept, as with digest.enabled=false.
    Command("hash", &[], |_, _| {
        Fields::default().with("digests", json!([]))
    }),
    Command("initial_configuration", &["icfg"], |server, _| {
        let written = server.config.written.as_str();
        Fields::default().with("initial_configuration", written)
    }),
    Command("is_read_only", &["isro"], |_, _| {
        Fields::default().with("read_only", false)
    }),
    Command("last_snapshot", &["lsnp"], last_snapshot),
    Command("leader", &["lead"], |_, _| {
        Fields::default().with("error", "server is not initialized")
    }),
    Command("monitor", &["mntr"], |server, _| monitor(server)),
    Command("observer_connection_stat_reset", &["orst"], |_, _| {
        Fields::default()
    }),
    Command("observers", &["obsr"], |_, _| {
        Fields::default()
            .with("synced_observers", 0)
            .with("observers", json!([]))
    }),
    Command("ruok", &[], |_, _| Fields::default()),
    Command("server_stats", &["srvr"], |server, _| server_stats(server)),
    Command("set_trace_mask", &["stmk"], set_trace_mask),
    Command("stat_reset", &["srst"], |server, _| {
        server.reset_statistics();
        Fields::default()
    }),
    Command("stats", &["stat"], |server, _| {
        connections(server, server_stats(server), brief)
    }),
    Command("system_properties", &["sysp"], |server, _| {
        system_properties(server)
    }),
    Command("voting_view", &[], |_, _| {
        Fields::default().with("current_config", json!({}))
    }),
    Command("watch_summary", &["wchs"], |server, _| {
        let summary = server
            .pipeline
            .with_watches(crate::watch::Registry::summary);
        Fields::default()
            .with("num_connections", summary.connections)
            .with("num_paths", summary.paths)
            .with("num_total_watches", summary.watches)
    }),
    Command("watches", &["wchc"], |server, _| {
        let watches = server.pipeline.data_watches_by_session();
        Fields::default().with_object("session_id_to_watched_paths", &watches)
    }),
    Command("watches_by_path", &["wchp"], |server, _| {
        let watches = server.pipeline.data_watches_by_path();
        Fields::default().with_object("path_to_session_ids", &watches)
    }),
    Command("zabstate", &[], |_, _| {
        Fields::default().with("voting", false).with("zabstate", "")
    }),
];

/// Commands that are served elsewhere, since they ask who the caller is.
const GUARDED: [&str; 2] = ["restore", "snapshot"];

/// The names of all commands, in order.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<_> = COMMANDS.iter().map(|Command(name, ..)| *name).collect();
    names.extend(GUARDED);
    names.sort_unstable();
    names
}

/// The list of links that ZooKeeper shows where no command is named.
pub(super) async fn list(State(admin): State<Shared>) -> Html<String> {
    let mut page = String::new();
    for name in names() {
        // Writing to a String does not fail.
        let _ = writeln!(
            page,
            "<a href=\"{}/{name}\">{name}</a>\n<br/>",
            admin.commands()
        );
    }
    Html(page)
}

pub(super) async fn run(
    State(admin): State<Shared>,
    Path(name): Path<String>,
    Query(arguments): Query<Arguments>,
) -> Response {
    let found = COMMANDS
        .iter()
        .find(|Command(own, others, _)| *own == name || others.contains(&name.as_str()));
    let Some(Command(name, _, run)) = found else {
        let error = format!("Unknown command: {name}");
        return answer(StatusCode::OK, Fields::default(), &name, Some(&error));
    };
    answer(StatusCode::OK, run(&admin.server, &arguments), name, None)
}

/// An answer with the two fields that all have.
pub(super) fn answer(
    status: StatusCode,
    mut fields: Fields,
    command: &str,
    error: Option<&str>,
) -> Response {
    fields.add("command", command);
    if !fields.has("error") {
        fields.add("error", error);
    }
    (status, json(&fields)).into_response()
}

fn configuration(server: &Server, _: &Arguments) -> Fields {
    let config = &server.config;
    let storage = &config.storage;
    Fields::default()
        .with("client_port", server.client_port())
        .with("data_dir", storage.snapshot_folder().display().to_string())
        .with("data_log_dir", storage.log_folder().display().to_string())
        .with_object("tick_time", &config.tick.as_millis())
        .with("max_client_cnxns", config.connections_per_ip_max)
        .with("min_session_timeout", config.session_timeout_ms_min)
        .with("max_session_timeout", config.session_timeout_ms_max)
        .with("server_id", 0)
        .with("client_port_listen_backlog", -1)
}

fn connections(server: &Server, fields: Fields, describe: fn(&ConnectionInfo) -> Fields) -> Fields {
    let all: Vec<Fields> = server.connections().iter().map(describe).collect();
    fields
        .with_object("connections", &all)
        .with("secure_connections", json!([]))
}

fn brief(info: &ConnectionInfo) -> Fields {
    Fields::default()
        .with("remote_socket_address", info.peer.to_string())
        .with("interest_ops", info.interest_ops())
        .with("outstanding_requests", info.queued)
        .with("packets_received", info.traffic.received)
        .with("packets_sent", info.traffic.sent)
}

fn full(info: &ConnectionInfo) -> Fields {
    let traffic = &info.traffic;
    brief(info)
        .with("session_id", info.session.unwrap_or(0))
        .with("last_operation", traffic.last_op)
        .with("established", info.established_ms)
        .with("session_timeout", info.timeout_ms)
        .with("last_cxid", traffic.last_xid)
        .with("last_zxid", traffic.last_zxid)
        .with("last_response_time", traffic.last_response_ms)
        .with("last_latency", traffic.latency_ms_last)
        .with("min_latency", traffic.latency_ms_min)
        .with("avg_latency", traffic.latency_ms_avg)
        .with("max_latency", traffic.latency_ms_max)
}

fn dump(server: &Server, _: &Arguments) -> Fields {
    let ephemerals: BTreeMap<i64, Vec<String>> = server.pipeline.with_state(|state| {
        let owners = state.tree.ephemerals().iter();
        let owned = owners.map(|(session, paths)| {
            let paths = paths.iter().map(ToString::to_string);
            (*session, paths.collect())
        });
        owned.collect()
    });
    let due = server.pipeline.sessions().buckets();
    Fields::default()
        .with_object("expiry_time_to_session_ids", &due)
        .with_object("session_id_to_ephemeral_paths", &ephemerals)
}

/// The newest snapshot on the disk, by its file.
fn last_snapshot(server: &Server, _: &Arguments) -> Fields {
    let dir = server.config.storage.snapshot_folder();
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let newest = files
        .filter_map(|file| {
            let name = file.file_name();
            let zxid = name.to_str()?.strip_prefix("snapshot.")?;
            let zxid = i64::from_str_radix(zxid, 16).ok()?;
            let modified = file.metadata().ok()?.modified().ok()?;
            let age = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some((zxid, i64::try_from(age.as_secs()).unwrap_or(i64::MAX)))
        })
        .max();
    let (zxid, timestamp) = newest.unwrap_or((-1, -1));
    Fields::default()
        .with("zxid", format!("{zxid:x}"))
        .with("timestamp", timestamp)
}

fn monitor(server: &Server) -> Fields {
    let mut fields = Fields::default()
        .with("version", version())
        .with("server_state", "standalone");
    for (name, reading) in server.monitor() {
        match reading {
            Reading::Whole(value) => fields.add(name, value),
            Reading::Fraction(value) => fields.add(name, value),
            Reading::Count(value) => fields.add(name, value),
            Reading::Summary(summary) => {
                fields.add(format!("avg_{name}"), summary.avg());
                for (part, value) in summary.whole_parts() {
                    fields.add(format!("{part}_{name}"), value);
                }
            }
        }
    }
    fields
}

fn server_stats(server: &Server) -> Fields {
    let latency = server.pipeline.metrics().request_latency();
    let (zxid, nodes) = server
        .pipeline
        .with_state(|state| (state.zxid, state.tree.reported_len()));
    let uptime = server.stats.uptime(server.clock.monotonic());
    let (last, min, max) = server.stats.response_sizes.read();
    let sizes = Fields::default()
        .with("last_buffer_size", last)
        .with("min_buffer_size", min)
        .with("max_buffer_size", max);
    let dirs = server.dir_sizes();
    let stats = Fields::default()
        .with("packets_sent", server.stats.sent())
        .with("packets_received", server.stats.received())
        .with(
            "fsync_threshold_exceed_count",
            server.pipeline.metrics().slow_syncs(),
        )
        .with_object("client_response_stats", &sizes)
        .with("provider_null", false)
        .with("data_dir_size", dirs.data)
        .with("log_dir_size", dirs.log)
        .with("last_processed_zxid", zxid)
        .with("outstanding_requests", server.outstanding())
        .with("server_state", "standalone")
        .with("avg_latency", latency.avg())
        .with("max_latency", latency.max() as u64)
        .with("min_latency", latency.min() as u64)
        .with("num_alive_client_connections", server.connection_count())
        .with_object("uptime", &uptime.as_millis())
        .with("auth_failed_count", server.stats.auth_failed())
        .with("non_mtlsremote_conn_count", 0)
        .with("non_mtlslocal_conn_count", 0);
    Fields::default()
        .with("version", version())
        .with("read_only", false)
        .with_object("server_stats", &stats)
        .with_object("client_response", &sizes)
        .with("node_count", nodes)
}

fn set_trace_mask(server: &Server, arguments: &Arguments) -> Fields {
    let wanted = "setTraceMask requires long traceMask argument";
    let Some(text) = arguments.get("traceMask") else {
        return Fields::default().with("error", wanted);
    };
    match text.parse::<i64>() {
        Ok(mask) => {
            server.stats.trace_mask.store(mask, Relaxed);
            Fields::default().with("tracemask", mask)
        }
        Err(_) => Fields::default().with("error", format!("{wanted}, got {text}")),
    }
}

/// ZooKeeper shows the properties of its JVM; here are the keys with their values,
/// under the names that they have as system properties.
fn system_properties(server: &Server) -> Fields {
    let mut fields = Fields::default();
    for setting in &server.config.settings {
        let name = match setting.key {
            "jute.maxbuffer" => setting.key.to_owned(),
            key => format!("zookeeper.{key}"),
        };
        fields.add(name, Value::from(setting.value.clone()));
    }
    fields
}
