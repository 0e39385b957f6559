//! The commands of AdminServer that ask who the caller is: `snapshot` and `restore`.
//!
//! `snapshot` has one written and sends it, in the format of `coordinator restore`;
//! with `streaming=false` it only says what was written. `restore` is not served:
//! whoever may replace the data does it where the data is.
//!
//! **Invariant:** callers are on this machine and prove, by the header
//! `Authorization: <scheme> <auth>` as in ZooKeeper, that the ACL of the root allows
//! them something.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use common::zk::{Id, perms};
use parking_lot::Mutex;
use serde::Deserialize;

use super::commands::answer;
use super::fields::Fields;
use super::{Pages, Shared, backup};

/// When a snapshot was last asked for, so that it is not done all the time.
#[derive(Debug, Default)]
pub(super) struct Limiter(Mutex<Option<Duration>>);

impl Limiter {
    /// Whether `interval` has passed since the last one that was allowed.
    fn allows(&self, now: Duration, interval: Duration) -> bool {
        let mut last = self.0.lock();
        if last.is_some_and(|last| now.saturating_sub(last) < interval) {
            return false;
        }
        *last = Some(now);
        true
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    streaming: Option<String>,
}

pub(super) async fn restore(
    State(admin): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = admit(&admin, peer, &headers, "restore") {
        return *refusal;
    }
    let remedy = "a backup is restored with `coordinator restore`, while the server is stopped";
    refuse(StatusCode::SERVICE_UNAVAILABLE, "restore", Some(remedy))
}

pub(super) async fn snapshot(
    State(admin): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    const NAME: &str = "snapshot";
    if let Err(refusal) = admit(&admin, peer, &headers, NAME) {
        return *refusal;
    }
    let metrics = admin.server.pipeline.metrics();
    let allowed = admin.server.config.admin.as_ref();
    let Some(config) = allowed.filter(|config| config.snapshots) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, NAME, None);
    };
    let now = admin.server.clock.monotonic();
    if !admin.limiter.allows(now, config.snapshot_interval) {
        metrics.snapshot_rate_limited_count.increment();
        return refuse(StatusCode::TOO_MANY_REQUESTS, NAME, None);
    }
    let snapshot = match backup::snapshot(&admin).await {
        Ok(snapshot) => snapshot,
        Err(why) => {
            metrics.snapshot_error_count.increment();
            tracing::warn!(why, "no snapshot");
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, NAME, Some(&why));
        }
    };
    let mut headers = HeaderMap::new();
    if let Ok(zxid) = HeaderValue::from_str(&format!("{:#x}", snapshot.zxid)) {
        headers.insert("last_zxid", zxid);
    }
    headers.insert("snapshot_size", snapshot.len.into());
    let streaming = asked
        .streaming
        .is_none_or(|text| text.eq_ignore_ascii_case("true"));
    match streaming {
        true => backup::send(snapshot, headers),
        false => (headers, refuse(StatusCode::OK, NAME, None)).into_response(),
    }
}

fn refuse(status: StatusCode, command: &str, error: Option<&str>) -> Response {
    answer(status, Fields::default(), command, error)
}

/// Whether the caller may ask for `command`.
fn admit(
    admin: &Pages,
    peer: SocketAddr,
    headers: &HeaderMap,
    command: &str,
) -> Result<(), Box<Response>> {
    let refused = |status, why| Err(Box::new(refuse(status, command, Some(why))));
    if !peer.ip().is_loopback() {
        return refused(StatusCode::FORBIDDEN, "only for callers on this machine");
    }
    let Some(proof) = headers.get(header::AUTHORIZATION) else {
        return refused(
            StatusCode::UNAUTHORIZED,
            "Auth info is missing for the command",
        );
    };
    let Some(ids) = ids_of(admin, peer, proof) else {
        return refused(StatusCode::UNAUTHORIZED, "Not authenticated");
    };
    let access = &admin.server.config.rules.access;
    let allowed = admin.server.pipeline.with_state(|state| {
        let root = state.tree.get("/");
        root.is_some_and(|root| access.check(root.acl(), perms::ALL, &ids).is_ok())
    });
    match allowed {
        true => Ok(()),
        false => refused(StatusCode::FORBIDDEN, "Not authorized"),
    }
}

fn ids_of(admin: &Pages, peer: SocketAddr, proof: &HeaderValue) -> Option<Vec<Id>> {
    let mut parts = proof.to_str().ok()?.splitn(3, ' ');
    let (scheme, auth) = (parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let mut ids = admin.server.proven_ids(scheme, auth.map(str::as_bytes))?;
    if scheme == "ip" {
        ids.push(Id::new("ip", peer.ip().to_string()));
    }
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_snapshot_in_an_interval() {
        let limiter = Limiter::default();
        let seconds = Duration::from_secs;
        assert!(limiter.allows(seconds(5), seconds(300)));
        assert!(!limiter.allows(seconds(304), seconds(300)));
        assert!(limiter.allows(seconds(305), seconds(300)));
        assert!(!limiter.allows(seconds(305), seconds(300)));
    }
}
