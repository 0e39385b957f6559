//! One connection: frames in, replies out, in order.

use std::time::Duration;

use common::frame::{self, FrameReader};
use common::shutdown::Shutdown;
use common::wire::Frame;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::listener::Config;
use super::{Outcome, Peer, Reply, Service};

/// Requests of one connection that may wait for their answers; the next frame
/// is not read before one of them is answered.
const IN_FLIGHT_MAX: usize = 16;
/// How long a stop waits for answers that are under way; then even a client
/// that reads none of them is left.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// Why a connection ended other than by the client closing it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Frame(#[from] frame::Error),
    #[error("an answer cannot be sent: {0}")]
    Send(std::io::Error),
    #[error("the request cannot be served")]
    Refused,
    #[error("idle for too long")]
    Idle,
}

impl Error {
    /// Says whether somebody should look at the client. `Refused` was logged
    /// with its reason where it was decided.
    pub(super) fn is_clients_fault(&self) -> bool {
        matches!(
            self,
            Self::Frame(frame::Error::Negative(_) | frame::Error::TooLarge { .. })
        )
    }
}

/// Serves until the client closes, misbehaves, idles too long, or a stop.
pub(super) async fn serve<S: Service>(
    stream: TcpStream,
    peer: &Peer,
    service: &S,
    config: &Config,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let overdue = async {
        shutdown.requested().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        ended = serve_frames(stream, peer, service, config, &shutdown) => ended,
        () = overdue => Ok(()),
    }
}

async fn serve_frames<S: Service>(
    stream: TcpStream,
    peer: &Peer,
    service: &S,
    config: &Config,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    let (read, write) = stream.into_split();
    let mut connection = Connection {
        frames: FrameReader::new(read, config.request_bytes_max),
        waiting: FuturesOrdered::new(),
    };
    loop {
        let may_read = connection.waiting.len() < IN_FLIGHT_MAX;
        let is_idle = connection.waiting.is_empty();
        tokio::select! {
            biased;
            Some(outcome) = connection.waiting.next(), if !is_idle => {
                send(write.as_ref(), outcome).await?;
            }
            frame = connection.frames.next(), if may_read => {
                let Some(frame) = frame? else { return Ok(()) };
                let reply = service.call(peer, frame).await;
                connection.take(write.as_ref(), reply).await?;
            }
            () = shutdown.requested() => break,
            () = tokio::time::sleep(config.idle_max), if is_idle => return Err(Error::Idle),
        }
    }
    connection.drain(write.as_ref()).await
}

struct Connection {
    frames: FrameReader<OwnedReadHalf>,
    waiting: FuturesOrdered<BoxFuture<'static, Outcome>>,
}

impl Connection {
    async fn take(&mut self, stream: &TcpStream, reply: Reply) -> Result<(), Error> {
        match reply {
            Reply::Now(frame) if self.waiting.is_empty() => send_frame(stream, frame).await,
            Reply::Now(frame) => {
                let ready = Box::pin(std::future::ready(Outcome::Answer(frame)));
                self.waiting.push_back(ready);
                Ok(())
            }
            Reply::Later(waiting) => {
                self.waiting.push_back(waiting);
                Ok(())
            }
            Reply::Nothing => Ok(()),
            Reply::Close => Err(Error::Refused),
        }
    }

    /// Sends what is answered soon; the rest is retried by the clients.
    async fn drain(mut self, stream: &TcpStream) -> Result<(), Error> {
        while let Some(outcome) = self.waiting.next().await {
            send(stream, outcome).await?;
        }
        Ok(())
    }
}

async fn send(stream: &TcpStream, outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Answer(frame) => send_frame(stream, frame).await,
        Outcome::Nothing => Ok(()),
        Outcome::Close => Err(Error::Refused),
    }
}

async fn send_frame(stream: &TcpStream, frame: Frame) -> Result<(), Error> {
    frame.send(stream).await.map_err(Error::Send)
}
