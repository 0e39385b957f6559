//! Accepts connections, as many as the limits allow.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::task;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::{Server, connection};

/// The pause after an accept that failed, which is mostly a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves clients until a stop is requested, and waits for their connections to end.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = server.shutdown.requested() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                // On a socket for both families IPv4 addresses come mapped.
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                accept(&server, stream, peer, &connections);
            }
            Err(error) => {
                tracing::error!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Starts a connection unless its address has too many.
fn accept(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr, connections: &TaskTracker) {
    let Some(place) = Place::take(server, peer.ip()) else {
        server.stats.rejected.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            %peer,
            limit = server.config.connections_per_ip_max,
            "too many connections from this address (maxClientCnxns)"
        );
        return;
    };
    // Replies are small and somebody waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection gone");
        return;
    }
    let server = Arc::clone(server);
    let serving = connections.track_future(async move {
        connection::run(server, stream, peer).await;
        drop(place);
    });
    task::spawn("connection", serving);
}

/// One of the connections that an address may have.
struct Place {
    server: Arc<Server>,
    ip: IpAddr,
}

impl Place {
    fn take(server: &Arc<Server>, ip: IpAddr) -> Option<Self> {
        let limit = server.config.connections_per_ip_max;
        let mut per_ip = server.per_ip.lock();
        let count = per_ip.entry(ip).or_default();
        if limit != 0 && *count >= limit {
            return None;
        }
        *count += 1;
        Some(Self {
            server: Arc::clone(server),
            ip,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut per_ip = self.server.per_ip.lock();
        if let Some(count) = per_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(&self.ip);
            }
        }
    }
}
