//! Accepts the connections of one listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::net::{self, BindError};
use common::shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::limits::Limits;
use super::{Peer, Service, connection};

/// How long accepting rests when the process has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every connection of a listener obeys.
#[derive(Debug, Clone)]
pub struct Config {
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `connections.max.idle.ms`.
    pub idle_max: Duration,
}

/// A bound socket; connections wait in its backlog until it runs.
#[derive(Debug)]
pub struct Listener {
    name: Arc<str>,
    socket: TcpListener,
    config: Config,
}

impl Listener {
    /// Binds early, so that a busy port is known before anything else starts.
    pub async fn bind(name: &str, address: SocketAddr, config: Config) -> Result<Self, BindError> {
        Ok(Self {
            name: name.into(),
            socket: net::bind(address).await?,
            config,
        })
    }

    /// The address that was bound.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Accepts until a stop is requested, then waits for its connections.
    pub async fn run<S: Service>(self, service: Arc<S>, limits: Limits, shutdown: Shutdown) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        let Some(place) = limits.enter(address.ip()) else {
                            tracing::warn!(%address, "connection refused: too many connections");
                            continue;
                        };
                        let peer = Peer { address, listener: self.name.clone() };
                        let serving =
                            serve(stream, peer, service.clone(), self.config.clone(), shutdown.child());
                        connections.spawn(async move {
                            serving.await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        while connections.join_next().await.is_some() {}
    }
}

async fn serve<S: Service>(
    stream: TcpStream,
    peer: Peer,
    service: Arc<S>,
    config: Config,
    shutdown: Shutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a socket option cannot be set");
    }
    let address = peer.address;
    match connection::serve(stream, &peer, &*service, &config, shutdown).await {
        Ok(()) => tracing::trace!(%address, "connection closed"),
        Err(error) if error.is_clients_fault() => {
            tracing::warn!(%address, %error, "connection closed: the client's bytes are no requests");
        }
        Err(error) => tracing::debug!(%address, %error, "connection closed"),
    }
}
