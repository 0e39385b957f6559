//! Accepts the connections of one listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use common::net::{self, BindError, Buffers};
use common::shutdown::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::limits::Limits;
use super::memory::RequestMemory;
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
    /// Shared by all listeners.
    pub memory: RequestMemory,
    /// `socket.receive.buffer.bytes`, `socket.send.buffer.bytes`,
    /// `socket.listen.backlog.size`.
    pub buffers: Buffers,
}

/// Bound sockets; connections wait in their backlog until the listener runs.
#[derive(Debug)]
pub struct Listener {
    name: Arc<str>,
    sockets: Vec<TcpListener>,
    port: u16,
    config: Config,
}

impl Listener {
    /// Binds every address of `host` (every address at all when it is empty),
    /// early, so that a busy port is known before anything else starts.
    pub async fn bind(
        name: &str,
        host: &str,
        port: u16,
        config: Config,
    ) -> Result<Self, BindError> {
        let mut sockets: Vec<TcpListener> = Vec::new();
        let mut bound_port = port;
        let mut refusal = None;
        for ip in addresses(host, port).await? {
            match net::bind_with(SocketAddr::new(ip, bound_port), config.buffers) {
                Ok(socket) => {
                    bound_port = port_of(&socket, bound_port);
                    sockets.push(socket);
                }
                Err(busy @ BindError::Busy(_)) => return Err(busy),
                // One family of addresses may be switched off on this host.
                Err(error) => refusal = Some(error),
            }
        }
        match (sockets.is_empty(), refusal) {
            (true, Some(error)) => Err(error),
            _ => Ok(Self {
                name: name.into(),
                sockets,
                port: bound_port,
                config,
            }),
        }
    }

    /// The port that was bound, also when 0 was asked for.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Accepts until a stop is requested, then waits for the connections.
    pub async fn run<S: Service>(self, service: Arc<S>, limits: Limits, shutdown: Shutdown) {
        let Self {
            name,
            sockets,
            config,
            ..
        } = self;
        let accepting = sockets.into_iter().map(|socket| {
            Socket {
                name: name.clone(),
                socket,
                config: config.clone(),
            }
            .run(service.clone(), limits.clone(), shutdown.clone())
        });
        futures::future::join_all(accepting).await;
    }
}

fn port_of(socket: &TcpListener, default: u16) -> u16 {
    socket
        .local_addr()
        .map_or(default, |address| address.port())
}

/// The addresses to bind for `host`.
async fn addresses(host: &str, port: u16) -> Result<Vec<IpAddr>, BindError> {
    if host.is_empty() {
        let any = [IpAddr::from([0_u16; 8]), IpAddr::from([0_u8; 4])];
        // The IPv6 wildcard takes IPv4 too; the second is for hosts without IPv6.
        let both = net::bind(SocketAddr::new(any[0], 0)).await.is_ok();
        return Ok(vec![any[usize::from(!both)]]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let mut ips: Vec<IpAddr> = found
        .map_err(|source| BindError::Unresolved {
            host: host.to_owned(),
            source,
        })?
        .map(|address| address.ip())
        .collect();
    ips.sort_unstable();
    ips.dedup();
    Ok(ips)
}

/// One socket of a listener.
struct Socket {
    name: Arc<str>,
    socket: TcpListener,
    config: Config,
}

impl Socket {
    async fn run<S: Service>(self, service: Arc<S>, limits: Limits, shutdown: Shutdown) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, address)) => {
                        self.pause(limits.accept_pause(&self.name), &shutdown).await;
                        if let Err(pause) = limits.admit(&self.name, address.ip()) {
                            let stop = shutdown.child();
                            connections.spawn(close_later(stream, pause, stop));
                            continue;
                        }
                        let entered = tokio::select! {
                            () = shutdown.requested() => break,
                            entered = limits.enter(&self.name, address.ip()) => entered,
                        };
                        let Ok(place) = entered else {
                            tracing::warn!(%address, "connection refused: too many of the address");
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

    /// Nobody is accepted for a while.
    async fn pause(&self, pause: Duration, shutdown: &Shutdown) {
        if pause.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
}

/// A connection that comes too early waits in vain, and then is closed.
async fn close_later(stream: TcpStream, pause: Duration, shutdown: Shutdown) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = shutdown.requested() => {}
    }
    drop(stream);
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
