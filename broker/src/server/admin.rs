//! The admin pages: liveness, readiness, metrics, topics.
//!
//! **Invariant:** nothing can be changed through them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use common::metrics;
use common::page::{document, escape};
use futures::future::BoxFuture;

/// What the pages show; the daemon's wiring implements it.
pub trait Status: Send + Sync + 'static {
    /// `Ok` when clients are served, otherwise why not.
    fn ready(&self) -> Result<(), String>;
    /// A few facts: ids, addresses, counts.
    fn overview(&self) -> serde_json::Value;
    /// Every topic with its partitions.
    fn topics(&self) -> serde_json::Value;
    /// All metrics in Prometheus' text form.
    fn metrics(&self) -> BoxFuture<'_, String>;
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

/// The facts and where to look on, for people.
async fn index(State(status): Shared) -> Response {
    let (class, state) = match status.ready() {
        Ok(()) => ("state", "serving".to_owned()),
        Err(why) => ("state bad", why),
    };
    let overview = status.overview();
    let facts = overview.as_object().into_iter().flatten();
    let cards: String = facts
        .map(|(name, value)| {
            let (name, value) = (escape(&name.replace('_', " ")), escape(&shown(value)));
            format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")
        })
        .collect();
    let links: String = ["topics", "metrics", "health", "ready"]
        .map(|page| format!("<li><a href=\"/{page}\">{page}</a></li>\n"))
        .concat();
    let body = format!(
        "<h1>Broker</h1>\n<p class=\"{class}\">{}</p>\n<dl class=\"facts\">\n{cards}</dl>\n\
         <h2>More</h2>\n<ul class=\"links\">\n{links}</ul>\n",
        escape(&state)
    );
    document("Broker", &body, None)
}

/// A fact as people write it.
fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "–".to_owned(),
        serde_json::Value::Array(items) => {
            let items: Vec<String> = items.iter().map(shown).collect();
            items.join(" ")
        }
        other => other.to_string(),
    }
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
    (
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)],
        status.metrics().await,
    )
        .into_response()
}

async fn topics(State(status): Shared) -> Json<serde_json::Value> {
    Json(status.topics())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn facts_are_for_reading() {
        for (value, text) in [
            (json!("PLAINTEXT://a:1"), "PLAINTEXT://a:1"),
            (json!(["a", "b"]), "a b"),
            (json!(null), "–"),
            (json!(7), "7"),
        ] {
            assert_eq!(shown(&value), text);
        }
    }
}
