//! Accepts connections, as many as the limits allow.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
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
    let place = match Place::take(server, peer.ip()) {
        Ok(place) => place,
        Err(full) => {
            server.pipeline.metrics().connection_rejected.increment();
            tracing::warn!(%peer, "{full}");
            return;
        }
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

/// Why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Full {
    #[error("too many connections from this address (maxClientCnxns={0})")]
    OfAddress(usize),
    #[error("too many connections (maxCnxns={0})")]
    InAll(usize),
}

/// How many connections there are, in all and from each address.
#[derive(Debug, Default)]
pub(super) struct Places {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
}

impl Places {
    /// A limit of 0 is none.
    fn take(&mut self, ip: IpAddr, limits: (usize, usize)) -> Result<(), Full> {
        let (per_ip_max, total_max) = limits;
        if total_max != 0 && self.total >= total_max {
            return Err(Full::InAll(total_max));
        }
        let count = self.per_ip.entry(ip).or_default();
        if per_ip_max != 0 && *count >= per_ip_max {
            return Err(Full::OfAddress(per_ip_max));
        }
        *count += 1;
        self.total += 1;
        Ok(())
    }

    fn free(&mut self, ip: IpAddr) {
        self.total = self.total.saturating_sub(1);
        if let Some(count) = self.per_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

/// One of the places, free again when it is dropped.
struct Place {
    server: Arc<Server>,
    ip: IpAddr,
}

impl Place {
    fn take(server: &Arc<Server>, ip: IpAddr) -> Result<Self, Full> {
        let config = &server.config;
        let limits = (config.connections_per_ip_max, config.connections_max);
        server.places.lock().take(ip, limits)?;
        Ok(Self {
            server: Arc::clone(server),
            ip,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.places.lock().free(self.ip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_for_each_address_and_in_all() {
        let mut places = Places::default();
        let [a, b] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
        let limits = (2, 3);
        assert_eq!(places.take(a, limits), Ok(()));
        assert_eq!(places.take(a, limits), Ok(()));
        assert_eq!(places.take(a, limits), Err(Full::OfAddress(2)));
        assert_eq!(places.take(b, limits), Ok(()));
        assert_eq!(places.take(b, limits), Err(Full::InAll(3)));
        places.free(a);
        assert_eq!(places.take(b, limits), Ok(()));
        assert_eq!(places.take(a, (0, 0)), Ok(()));
    }
}
