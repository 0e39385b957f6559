//! The admin HTTP server of a daemon.

use std::future::IntoFuture;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use crate::net::{self, BindError};
use crate::shutdown::Shutdown;

/// How many ports above a busy default are tried.
const PORTS_TRIED: u16 = 32;

/// How long a stop waits for answers that are under way.
const DRAIN_MAX: Duration = Duration::from_millis(500);

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
    let stop = shutdown.clone();
    // Handlers may ask who is connected.
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(async move { stop.requested().await })
        .into_future();
    let overdue = async {
        shutdown.requested().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = served => if let Err(error) = served {
            tracing::error!(%error, "the admin server ended");
        },
        () = overdue => {}
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
}
