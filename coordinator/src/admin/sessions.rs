//! `/sessions` and `/watches`: who is here, and what they wait for.

use std::collections::{BTreeMap, HashMap};

use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Shared, bad_request, json_response};
use crate::server::{ConnectionInfo, Server};

/// The most sessions, or watched paths, on one page.
const LIMIT_MAX: usize = 10_000;
const LIMIT_DEFAULT: usize = 1000;
/// Of more ephemeral nodes of one session only the first are named.
const EPHEMERALS_SHOWN: usize = 100;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    limit: Option<usize>,
    /// The session, or the path, behind which the page begins.
    after: Option<String>,
}

impl Asked {
    fn limit(&self) -> Result<usize, Box<Response>> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        match (1..=LIMIT_MAX).contains(&limit) {
            true => Ok(limit),
            false => {
                let problem = format!("limit is a number from 1 to {LIMIT_MAX}");
                Err(Box::new(bad_request(&problem)))
            }
        }
    }
}

/// A live session.
#[derive(Debug, Serialize)]
pub(super) struct ShownSession {
    pub(super) id: String,
    pub(super) timeout_ms: i32,
    /// How long its client may stay silent from now on; 0 if it is about to expire.
    pub(super) expires_in_ms: u64,
    pub(super) closing: bool,
    /// Its connection here, if it has one now.
    pub(super) connection: Option<ShownConnection>,
    pub(super) ephemeral_count: usize,
    pub(super) ephemerals: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ShownConnection {
    pub(super) address: String,
    pub(super) outstanding: usize,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) last_operation: &'static str,
    pub(super) last_latency_ms: u64,
}

impl From<&ConnectionInfo> for ShownConnection {
    fn from(info: &ConnectionInfo) -> Self {
        Self {
            address: info.peer.to_string(),
            outstanding: info.queued,
            received: info.traffic.received,
            sent: info.traffic.sent,
            last_operation: info.traffic.last_op,
            last_latency_ms: info.traffic.latency_ms_last,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Sessions {
    pub(super) total: usize,
    pub(super) sessions: Vec<ShownSession>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<String>,
}

pub(super) async fn sessions(State(admin): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let limit = match asked.limit() {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    let after = match asked.after.as_deref() {
        None | Some("") => None,
        Some(text) => match session_id(text) {
            Some(id) => Some(id),
            None => return bad_request("after is the id of a session, as 0x10000a3c40000"),
        },
    };
    json_response(&sessions_of(&admin.server, after, limit))
}

/// Ids are written as unsigned numbers in hexadecimal.
fn session_id(text: &str) -> Option<i64> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let id = u64::from_str_radix(digits, 16).ok()?;
    Some(i64::from_ne_bytes(id.to_ne_bytes()))
}

pub(super) fn sessions_of(server: &Server, after: Option<i64>, limit: usize) -> Sessions {
    let all = server.pipeline.sessions().all();
    let (total, now) = (all.len(), server.clock.monotonic());
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let begin = match after {
        None => 0,
        Some(after) => all.partition_point(|session| session.id <= after),
    };
    let page = &all[begin..total.min(begin + limit)];
    let connections = server.connections();
    let by_session: HashMap<i64, &ConnectionInfo> = connections
        .iter()
        .filter_map(|info| Some((info.session?, info)))
        .collect();
    let sessions = server.pipeline.with_state(|state| {
        let shown = page.iter().map(|session| {
            let ephemerals = || state.tree.ephemerals_of(session.id);
            let first = ephemerals().take(EPHEMERALS_SHOWN);
            ShownSession {
                id: format!("{:#x}", session.id),
                timeout_ms: session.timeout_ms(),
                expires_in_ms: session.deadline_ms().saturating_sub(now_ms),
                closing: session.is_closing(),
                connection: by_session.get(&session.id).map(|info| (*info).into()),
                ephemeral_count: ephemerals().count(),
                ephemerals: first.map(ToString::to_string).collect(),
            }
        });
        shown.collect()
    });
    let last = page.last().filter(|_| begin + limit < total);
    Sessions {
        total,
        sessions,
        next: last.map(|session| format!("{:#x}", session.id)),
    }
}

pub(super) async fn watches(State(admin): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let limit = match asked.limit() {
        Ok(limit) => limit,
        Err(refusal) => return *refusal,
    };
    let pipeline = &admin.server.pipeline;
    let after = asked.after.unwrap_or_default();
    let all = pipeline.watched_paths();
    let behind = all.range::<str, _>((
        std::ops::Bound::Excluded(after.as_str()),
        std::ops::Bound::Unbounded,
    ));
    let page: BTreeMap<&String, _> = behind.clone().take(limit).collect();
    let more = behind.count() > page.len();
    let next = page.keys().next_back().filter(|_| more);
    let summary = pipeline.with_watches(crate::watch::Registry::summary);
    json_response(&json!({
        "connections": summary.connections,
        "watches": pipeline.with_watches(crate::watch::Registry::count),
        "paths_watched": all.len(),
        "next": next,
        "paths": page,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_sessions_are_unsigned() {
        assert_eq!(session_id("0x10"), Some(16));
        assert_eq!(session_id("0xffffffffffffffff"), Some(-1));
        assert_eq!(session_id("zz"), None);
    }
}
