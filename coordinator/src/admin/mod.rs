//! The admin port: the state of the server over HTTP.
//!
//! `/commands/...` has the names and fields of ZooKeeper's AdminServer, `/metrics`
//! its Prometheus names, `/health` and `/ready` are for whoever supervises us.
//!
//! **Invariant:** it only looks; nothing here changes anything but `/backup`, which
//! has a snapshot written.

mod backup;

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::config::Admin;
use crate::server::{Server, four_letter};

type Shared = Arc<Server>;

/// The commands with their other names.
const COMMANDS: [(&str, &[&str]); 9] = [
    ("configuration", &["conf", "config"]),
    ("connections", &["cons"]),
    ("environment", &["env", "envi"]),
    ("is_read_only", &["isro"]),
    ("monitor", &["mntr"]),
    ("ruok", &[]),
    ("server_stats", &["srvr"]),
    ("stats", &["stat"]),
    ("watch_summary", &["wchs"]),
];

/// Everything, for the admin port.
pub(crate) fn router(server: Shared, config: &Admin) -> Router {
    let commands = &config.command_url;
    Router::new()
        .route(commands, get(list))
        .route(&format!("{commands}/"), get(list))
        .route(&format!("{commands}/{{name}}"), get(command))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/backup", get(backup::backup))
        .with_state(server)
}

/// Only the metrics, for a port of their own.
pub(crate) fn metrics_router(server: Shared) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(server)
}

async fn list() -> Html<String> {
    let mut page = String::new();
    for (name, _) in COMMANDS {
        let _ = writeln!(page, "<a href=\"/commands/{name}\">{name}</a><br/>");
    }
    Html(page)
}

async fn health(State(server): State<Shared>) -> impl IntoResponse {
    alive(&server, "ok")
}

async fn ready(State(server): State<Shared>) -> impl IntoResponse {
    alive(&server, "ready")
}

fn alive(server: &Server, word: &'static str) -> (StatusCode, String) {
    if server.shutdown.is_requested() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned())
    } else if let Some(trouble) = server.pipeline.trouble() {
        let text = format!("reads only: {trouble}\n");
        (StatusCode::SERVICE_UNAVAILABLE, text)
    } else if word == "ready" {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::OK, "ok\n".to_owned())
    }
}

/// Prometheus' text form, written from the table that `mntr` is written from.
async fn metrics(State(server): State<Shared>) -> impl IntoResponse {
    let mut text = String::new();
    for metric in server.metrics() {
        let kind = if metric.is_counter {
            "counter"
        } else {
            "gauge"
        };
        let name = metric.name;
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {}", metric.value);
    }
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], text)
}

async fn command(State(server): State<Shared>, Path(name): Path<String>) -> impl IntoResponse {
    let known = COMMANDS
        .iter()
        .find(|(command, others)| *command == name || others.contains(&name.as_str()));
    let mut answer = match known {
        Some((command, _)) => fields(&server, command),
        None => Map::new(),
    };
    let error = match known {
        Some(_) => Value::Null,
        None => json!(format!("Unknown command: {name}")),
    };
    answer.insert(
        "command".into(),
        json!(known.map_or(name.as_str(), |(c, _)| c)),
    );
    answer.insert("error".into(), error);
    let text = serde_json::to_string_pretty(&answer).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n")
}

fn fields(server: &Server, command: &str) -> Map<String, Value> {
    let value = match command {
        "configuration" => configuration(server),
        "connections" => json!({
            "connections": connections(server),
            "secure_connections": [],
        }),
        "environment" => json!({
            "zookeeper.version": four_letter::version(),
            "os.name": std::env::consts::OS,
            "os.arch": std::env::consts::ARCH,
        }),
        "is_read_only" => json!({ "read_only": false }),
        "monitor" => monitor(server),
        "server_stats" => server_stats(server),
        "stats" => {
            let mut stats = server_stats(server);
            stats["connections"] = connections(server);
            stats["secure_connections"] = json!([]);
            stats
        }
        "watch_summary" => {
            let summary = server
                .pipeline
                .with_watches(crate::watch::Registry::summary);
            json!({
                "num_connections": summary.connections,
                "num_paths": summary.paths,
                "num_total_watches": summary.watches,
            })
        }
        _ => json!({}),
    };
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn configuration(server: &Server) -> Value {
    let config = &server.config;
    json!({
        "client_port": config.client_address.port(),
        "data_dir": config.storage.data_dir,
        "data_log_dir": config.storage.log_dir,
        "tick_time": config.tick.as_millis(),
        "max_client_cnxns": config.connections_per_ip_max,
        "min_session_timeout": config.session_timeout_ms_min,
        "max_session_timeout": config.session_timeout_ms_max,
        "server_id": 0,
    })
}

fn connections(server: &Server) -> Value {
    let connections = server.connections();
    let described = connections.iter().map(|info| {
        json!({
            "remote_socket_address": info.peer.to_string(),
            "outstanding_requests": info.queued,
            "packets_received": info.received,
            "packets_sent": info.sent,
            "session_id": info.session.unwrap_or(0),
            "session_timeout": info.timeout_ms,
            "last_cxid": info.last_xid,
            "last_latency": info.last_latency_ms,
        })
    });
    described.collect()
}

fn monitor(server: &Server) -> Value {
    let mut fields = Map::new();
    fields.insert("version".into(), json!(four_letter::version()));
    fields.insert("server_state".into(), json!("standalone"));
    for metric in server.metrics() {
        // Whole numbers stay whole in JSON.
        let value = if metric.value.fract() == 0.0 {
            json!(metric.value as i64)
        } else {
            json!(metric.value)
        };
        fields.insert(metric.name.into(), value);
    }
    Value::Object(fields)
}

fn server_stats(server: &Server) -> Value {
    let latency = server.stats.latency();
    let (zxid, nodes) = server
        .pipeline
        .with_state(|state| (state.zxid, state.tree.reported_len()));
    let uptime = server.stats.uptime(server.clock.monotonic());
    json!({
        "version": four_letter::version(),
        "read_only": false,
        "server_stats": {
            "packets_sent": server.stats.sent(),
            "packets_received": server.stats.received(),
            "server_state": "standalone",
            "min_latency": latency.min,
            "avg_latency": latency.avg,
            "max_latency": latency.max,
            "num_alive_client_connections": server.connection_count(),
            "outstanding_requests": server.outstanding(),
            "last_processed_zxid": zxid,
            "uptime": uptime.as_millis(),
        },
        "node_count": nodes,
    })
}
