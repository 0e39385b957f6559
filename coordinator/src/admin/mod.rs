//! The admin port: the state of the server over HTTP.
//!
//! `/commands/...` has the names and fields of ZooKeeper's AdminServer, `/metrics`
//! the names of its Prometheus provider, `/health` and `/ready` are for whoever
//! supervises us; `/brokers`, `/controller`, `/topics`, `/sessions`, `/watches`,
//! `/tree` and `/config` are for operators, and `/` shows it all on one page.
//!
//! **Invariant:** nobody has proven anything here: what the world may not read in the
//! tree is not shown, and no header says who a caller is.
//! **Invariant:** nothing here changes the tree; `/backup` and the command `snapshot`
//! have a snapshot written, for callers on this machine.

mod backup;
mod commands;
mod fields;
mod guarded;
mod kafka;
mod look;
mod page;
mod prometheus;
mod sessions;
mod tree;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::config::Admin;
use crate::server::Server;
use look::Look;

/// What the pages need.
struct Pages {
    server: Arc<Server>,
    limiter: guarded::Limiter,
}

type Shared = Arc<Pages>;

impl Pages {
    fn new(server: Arc<Server>) -> Shared {
        let limiter = guarded::Limiter::default();
        Arc::new(Self { server, limiter })
    }

    /// Where the commands are.
    fn commands(&self) -> &str {
        let admin = self.server.config.admin.as_ref();
        admin.map_or("/commands", |admin| &admin.command_url)
    }

    fn look<T>(&self, look: impl FnOnce(Look<'_>) -> T) -> T {
        let access = &self.server.config.rules.access;
        self.server
            .pipeline
            .with_state(|state| look(Look { state, access }))
    }

    /// Whether all is served; if not, why.
    fn state(&self) -> Result<(), String> {
        if self.server.shutdown.is_requested() {
            return Err("stopping".to_owned());
        }
        match self.server.pipeline.trouble() {
            Some(trouble) => Err(format!("reads only: {trouble}")),
            None => Ok(()),
        }
    }
}

/// Everything, for the admin port.
pub(crate) fn router(server: Arc<Server>, config: &Admin) -> Router {
    let commands = &config.command_url;
    Router::new()
        .route("/", get(page::index))
        .route(commands, get(commands::list))
        .route(&format!("{commands}/"), get(commands::list))
        .route(&format!("{commands}/{{name}}"), get(commands::run))
        .route(&format!("{commands}/restore"), get(guarded::restore))
        .route(&format!("{commands}/rest"), get(guarded::restore))
        .route(&format!("{commands}/snapshot"), get(guarded::snapshot))
        .route(&format!("{commands}/snap"), get(guarded::snapshot))
        .route("/brokers", get(kafka::brokers))
        .route("/config", get(settings))
        .route("/controller", get(kafka::controller))
        .route("/health", get(health))
        .route("/metrics", get(prometheus::metrics))
        .route("/ready", get(ready))
        .route("/backup", get(backup::backup))
        .route("/sessions", get(sessions::sessions))
        .route("/topics", get(kafka::topics))
        .route("/tree", get(part_of_tree))
        .route("/watches", get(sessions::watches))
        .with_state(Pages::new(server))
}

/// Only the metrics, for a port of their own.
pub(crate) fn metrics_router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/metrics", get(prometheus::metrics))
        .with_state(Pages::new(server))
}

async fn health(State(admin): State<Shared>) -> Response {
    alive(&admin, "ok\n")
}

async fn ready(State(admin): State<Shared>) -> Response {
    alive(&admin, "ready\n")
}

fn alive(admin: &Pages, word: &'static str) -> Response {
    match admin.state() {
        Ok(()) => word.into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n").into_response(),
    }
}

async fn settings(State(admin): State<Shared>) -> Response {
    json_response(&admin.server.config.settings)
}

/// JSON, or a page for people whose browser asks for one.
async fn part_of_tree(
    State(admin): State<Shared>,
    Query(asked): Query<tree::Asked>,
    headers: HeaderMap,
) -> Response {
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let for_people = accepted.is_some_and(|accepted| accepted.contains("text/html"))
        && asked.format.as_deref() != Some("json");
    let part = match asked.part() {
        Ok(part) => part,
        Err(problem) => return bad_request(&problem),
    };
    match admin.look(|look| tree::show(look, &part)) {
        None => not_found(&format!("no node {}", part.path)),
        Some(shown) if for_people => page::tree(&shown).into_response(),
        Some(shown) => json_response(&shown),
    }
}

/// An object as indented JSON with a newline behind it.
fn json(value: &impl Serialize) -> ([(HeaderName, &'static str); 1], String) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text + "\n")
}

fn json_response(value: &impl Serialize) -> Response {
    json(value).into_response()
}

fn bad_request(problem: &str) -> Response {
    refuse(StatusCode::BAD_REQUEST, problem)
}

fn not_found(problem: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, problem)
}

fn refuse(status: StatusCode, problem: &str) -> Response {
    let body = serde_json::json!({ "error": problem });
    (status, json(&body)).into_response()
}
