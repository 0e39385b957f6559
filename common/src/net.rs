//! Sockets: the one place that binds and connects.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("port {port} is already in use on {ip}: another process listens there", port = .0.port(), ip = .0.ip())]
    Busy(SocketAddr),
    #[error("cannot listen on {address}: {source}")]
    Io {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("host {host} has no address: {source}")]
    Unresolved { host: String, source: io::Error },
}

/// Listens on `address`; port 0 takes a free one.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::Busy(address),
            _ => BindError::Io { address, source },
        })
}

/// Connects to the first address of `host` that answers, without Nagle's delay.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to exactly this address.
pub async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}
