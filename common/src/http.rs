//! The admin HTTP server of a daemon.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::net::{self, BindError};
use crate::shutdown::Shutdown;
use crate::task;

/// How many ports above a busy default are tried.
const PORTS_TRIED: u16 = 32;

/// How long a stop waits for answers that are under way.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// How long a connection may wait with its next request.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// More connections than this wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// The pause after an accept that failed, which is mostly a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the port comes from, which decides what a busy one means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortOrigin {
    /// Written by the operator: busy is an error.
    Configured,
    /// The built-in default: busy moves to the next free port, because several
    /// daemons on one host differ only in what their operator had to change.
    Default,
}

/// Listens for the admin server.
pub async fn bind_admin(
    ip: IpAddr,
    port: u16,
    origin: PortOrigin,
) -> Result<TcpListener, BindError> {
    let first = SocketAddr::new(ip, port);
    let busy = match net::bind(first).await {
        Err(error @ BindError::Busy(_)) if origin == PortOrigin::Default => error,
        done => return done,
    };
    for next in port.saturating_add(1)..=port.saturating_add(PORTS_TRIED) {
        match net::bind(SocketAddr::new(ip, next)).await {
            Ok(listener) => {
                tracing::warn!(
                    "admin port {port} is in use, listening on {next} instead \
                     (set admin.serverPort to choose)"
                );
                return Ok(listener);
            }
            Err(BindError::Busy(_)) => {}
            Err(other) => return Err(other),
        }
    }
    Err(busy)
}

/// Serves `router` until a stop is requested; then answers what was asked, but
/// does not wait for those who have not finished asking.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    serve_with(listener, router, shutdown, IDLE_MAX).await;
}

/// As [`serve`]; a connection that stays `idle` without a whole request is closed.
/// Handlers find the caller's address as [`axum::extract::ConnectInfo`].
pub async fn serve_with(listener: TcpListener, router: Router, stop: Shutdown, idle: Duration) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle);
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Some((stream, peer, place)) = accept(&listener, &places, &stop).await {
        let router = router.clone().layer(Extension(ConnectInfo(peer)));
        let service = TowerToHyperService::new(router);
        let mut connection = Box::pin(http.serve_connection(TokioIo::new(stream), service));
        let stop = stop.clone();
        let serving = connections.track_future(async move {
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = stop.requested() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "a connection of the admin server ended");
            }
            drop(place);
        });
        task::spawn("admin connection", serving);
    }
    drop(listener);
    connections.close();
    // What is still under way after that is left to the end of the process.
    let drained = tokio::time::timeout(DRAIN_MAX, connections.wait());
    drop(drained.await);
}

/// The next connection, as soon as there is a place for it; `None` on a stop.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &Shutdown,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accepting = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                // On a socket for both families IPv4 addresses come mapped.
                Ok((stream, peer)) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    return Some((stream, peer, place));
                }
                Err(error) => {
                    tracing::error!(%error, "the admin server cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        accepted = accepting => accepted,
        () = stop.requested() => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_default_moves_and_a_busy_configured_port_is_an_error() {
        let ip = IpAddr::from([127, 0, 0, 1]);
        let held = bind_admin(ip, 0, PortOrigin::Configured).await.unwrap();
        let port = held.local_addr().unwrap().port();
        let error = bind_admin(ip, port, PortOrigin::Configured)
            .await
            .unwrap_err();
        assert!(matches!(error, BindError::Busy(_)), "{error}");
        let moved = bind_admin(ip, port, PortOrigin::Default).await.unwrap();
        assert!(moved.local_addr().unwrap().port() > port);
    }

    #[tokio::test]
    async fn a_caller_who_asks_nothing_is_let_go_and_one_who_asks_is_known() {
        use axum::routing::get;
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let who = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string();
        let router = Router::new().route("/who", get(who));
        let ip = IpAddr::from([127, 0, 0, 1]);
        let listener = bind_admin(ip, 0, PortOrigin::Configured).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Shutdown::new();
        let idle = Duration::from_millis(50);
        let serving = task::spawn("admin", serve_with(listener, router, stop.clone(), idle));

        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut asking = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        asking
            .write_all(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        // It is kept for the next request, which does not come.
        asking.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let own = asking.local_addr().unwrap().to_string();
        assert!(answer.ends_with(&own), "{answer}");
        let _ = silent.read_to_end(&mut Vec::new()).await.unwrap();
        stop.request();
        serving.await.unwrap();
    }
}
