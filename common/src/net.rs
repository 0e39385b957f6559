//! Sockets: the one place that binds and connects.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

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

/// Connections that may wait to be accepted where nobody says how many.
const BACKLOG: u32 = 1024;

/// How often the kernel asks the other one on a connection without traffic.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// What the kernel keeps for a listener and for each connection that it accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Buffers {
    /// Bytes of a connection; `None` leaves them to the kernel, which lets them grow.
    pub receive: Option<u32>,
    pub send: Option<u32>,
    /// Connections that may wait to be accepted; a thousand if `None`. The system's
    /// own bound (`net.core.somaxconn`) holds besides.
    pub backlog: Option<u32>,
}

/// Listens on `address`; port 0 takes a free one.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    bind_with(address, Buffers::default())
}

/// As [`bind`], with buffers of a size that accepted connections inherit.
pub fn bind_with(address: SocketAddr, buffers: Buffers) -> Result<TcpListener, BindError> {
    listen(address, buffers).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Busy(address),
        _ => BindError::Io { address, source },
    })
}

fn listen(address: SocketAddr, buffers: Buffers) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = buffers.receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = buffers.send {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(address)?;
    socket.listen(buffers.backlog.unwrap_or(BACKLOG))
}

/// Connects to the first address of `host` that answers, without Nagle's delay.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// As [`connect`], but gives up, and breaks the connection later, when nothing
/// of the other side's kernel is heard for `silence_max`: neither connecting nor
/// asking waits until a cut network has its next packet sent again, which after
/// a cut of twenty seconds is twenty-five after its begin. A process that is
/// slow or paused does not count as silent.
pub async fn connect_watched(
    host: &str,
    port: u16,
    silence_max: Duration,
) -> io::Result<TcpStream> {
    let silent = |_| io::Error::from(io::ErrorKind::TimedOut);
    let connected = tokio::time::timeout(silence_max, connect(host, port));
    let stream = connected.await.map_err(silent)??;
    let millis = u32::try_from(silence_max.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(&stream, millis)?;
    // An answer is waited for without anything sent: the kernel asks meanwhile.
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE_PAUSE)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_PAUSE)?;
    Ok(stream)
}

/// Gives the receiving side of `stream` a buffer of so many bytes.
pub fn set_receive_buffer(stream: &TcpStream, bytes: usize) -> io::Result<()> {
    Ok(sockopt::set_socket_recv_buffer_size(stream, bytes)?)
}

/// Connects to exactly this address.
pub async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await
}
