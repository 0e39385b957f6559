//! The admin pages: liveness, readiness, metrics, topics.
//!
//! **Invariant:** nothing can be changed through them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use common::metrics;

/// What the pages show; the daemon's wiring implements it.
pub trait Status: Send + Sync + 'static {
    /// `Ok` when clients are served, otherwise why not.
    fn ready(&self) -> Result<(), String>;
    /// A few facts: ids, addresses, counts.
    fn overview(&self) -> serde_json::Value;
    /// Every topic with its partitions.
    fn topics(&self) -> serde_json::Value;
    /// All metrics in Prometheus' text form.
    fn metrics(&self) -> String;
}

/// The routes of the admin server.
pub fn router(status: Arc<dyn Status>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics_page))
        .route("/topics", get(topics))
        .with_state(status)
}

type Shared = State<Arc<dyn Status>>;

async fn index(State(status): Shared) -> Html<String> {
    let facts = serde_json::to_string_pretty(&status.overview()).unwrap_or_default();
    Html(format!(
        "<!doctype html><title>broker</title><h1>Broker</h1><pre>{}</pre>\
         <p><a href=\"/health\">health</a> <a href=\"/ready\">ready</a> \
         <a href=\"/metrics\">metrics</a> <a href=\"/topics\">topics</a></p>",
        escape(&facts)
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The process answers; that is all that it says.
async fn health(State(status): Shared) -> Json<serde_json::Value> {
    let mut answer = serde_json::json!({ "status": "ok" });
    answer["broker"] = status.overview();
    Json(answer)
}

async fn ready(State(status): Shared) -> Response {
    match status.ready() {
        Ok(()) => Json(serde_json::json!({ "ready": true })).into_response(),
        Err(reason) => {
            let body = Json(serde_json::json!({ "ready": false, "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

async fn metrics_page(State(status): Shared) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], status.metrics()).into_response()
}

async fn topics(State(status): Shared) -> Json<serde_json::Value> {
    Json(status.topics())
}
