//! One connection: frames in, replies out, in order.
//!
//! **Invariant:** answers that are there are sent before anything is waited
//! for: only while further requests have arrived whole are they gathered.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use common::frame::{self, FrameReader};
use common::shutdown::Shutdown;
use common::wire::{Frame, Gathered};
use futures::FutureExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, Sleep};

use super::listener::Config;
use super::memory::{Lease, RequestMemory};
use super::waiting::Waiting;
use super::{Call, Kind, Outcome, Peer, Reply, Service};

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
    let is_stopping = AtomicBool::new(false);
    let overdue = async {
        shutdown.requested().await;
        is_stopping.store(true, Ordering::Relaxed);
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        // First, so that what it notes is seen by the other in the same poll.
        biased;
        () = overdue => Ok(()),
        ended = serve_frames(stream, peer, service, config, &is_stopping) => ended,
    }
}

async fn serve_frames<S: Service>(
    stream: TcpStream,
    peer: &Peer,
    service: &S,
    config: &Config,
    is_stopping: &AtomicBool,
) -> Result<(), Error> {
    let (read, write) = stream.into_split();
    let mut connection = Connection {
        frames: FrameReader::new(read, config.request_bytes_max),
        lease: None,
        pause: None,
        waiting: Waiting::default(),
        tickets: VecDeque::new(),
        answers: Answers {
            write,
            gathered: Gathered::default(),
        },
    };
    let mut idle = pin!(tokio::time::sleep(config.idle_max));
    let mut idle_from = now();
    loop {
        let is_muted = connection.pause.is_some();
        let may_read = connection.waiting.len() < IN_FLIGHT_MAX && !is_muted;
        let is_idle = connection.waiting.is_empty();
        if !may_read || !connection.frames.has_frame() {
            connection.answers.flush().await?;
        }
        let mut served = None;
        tokio::select! {
            biased;
            outcome = connection.waiting.next(), if !is_idle => {
                connection.send(outcome).await?;
                served = connection.tickets.pop_front();
            }
            () = over(&mut connection.pause), if is_muted => connection.pause = None,
            frame = next_request(&mut connection.frames, &config.memory, &mut connection.lease),
                if may_read =>
            {
                let Some(frame) = frame? else { return Ok(()) };
                served = connection.answer(peer, service, frame).await?;
            }
            () = poll_fn(|_| noted(is_stopping)) => break,
            () = poll_fn(|context| over_since(idle.as_mut(), idle_from + config.idle_max, context)),
                if is_idle && !is_muted =>
            {
                return Err(Error::Idle);
            }
        }
        if served.is_some() || connection.waiting.is_empty() {
            idle_from = now();
        }
        if let Some(Ticket {
            kind: Some(kind),
            arrived,
        }) = served
        {
            service.served(kind, idle_from - arrived);
        }
    }
    connection.drain().await
}

#[expect(clippy::disallowed_methods, reason = "the clock of tokio's timers")]
fn now() -> Instant {
    Instant::now()
}

fn noted(flag: &AtomicBool) -> Poll<()> {
    match flag.load(Ordering::Relaxed) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

/// Ready from `deadline` on. A timer that was set for an earlier one is moved only when
/// it goes off, since a busy connection's deadline changes with every request.
fn over_since(
    mut timer: Pin<&mut Sleep>,
    deadline: Instant,
    context: &mut Context<'_>,
) -> Poll<()> {
    loop {
        ready!(timer.as_mut().poll(context));
        if now() >= deadline {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}

/// The next request; where memory is bounded, only its first bytes are read
/// before there is memory for it. Cancel safe: `lease` outlives the call.
async fn next_request(
    frames: &mut FrameReader<OwnedReadHalf>,
    memory: &RequestMemory,
    lease: &mut Option<Lease>,
) -> Result<Option<Bytes>, frame::Error> {
    if memory.is_bounded() && lease.is_none() {
        let Some(length) = frames.announcement().await? else {
            return Ok(None);
        };
        *lease = memory.lease(length).await;
    }
    frames.next().await
}

/// Waits for the end of a pause.
async fn over(pause: &mut Option<Pin<Box<Sleep>>>) {
    if let Some(pause) = pause {
        pause.await;
    }
}

/// A request that is not answered yet.
struct Ticket {
    kind: Option<u32>,
    arrived: Instant,
}

struct Connection {
    frames: FrameReader<OwnedReadHalf>,
    /// Memory of the request that is being read or run.
    lease: Option<Lease>,
    /// While it lasts nothing is read: the client used too much.
    pause: Option<Pin<Box<Sleep>>>,
    waiting: Waiting,
    /// Of those that wait, in their order.
    tickets: VecDeque<Ticket>,
    answers: Answers,
}

impl Connection {
    /// Begins a pause, unless there is a longer one.
    fn mute(&mut self, pause: Duration) {
        let pause = Box::pin(tokio::time::sleep(pause));
        let is_longer = |current: &Pin<Box<Sleep>>| current.deadline() > pause.deadline();
        if !self.pause.as_ref().is_some_and(is_longer) {
            self.pause = Some(pause);
        }
    }

    /// Runs a request; its ticket comes back unless the answer is to wait.
    async fn answer<S: Service>(
        &mut self,
        peer: &Peer,
        service: &S,
        frame: Bytes,
    ) -> Result<Option<Ticket>, Error> {
        let (arrived, kind) = (now(), Kind::default());
        let reply = match service.call(peer, frame, &kind) {
            Call::Done(reply) => reply,
            Call::Waits(mut call) => match (&mut call).now_or_never() {
                Some(reply) => reply,
                None => {
                    self.answers.flush().await?;
                    call.await
                }
            },
        };
        self.lease = None;
        let kind = kind.get();
        self.take(reply, Ticket { kind, arrived }).await
    }

    async fn send(&mut self, outcome: Outcome) -> Result<(), Error> {
        if let Outcome::Muting(_, pause) = &outcome {
            self.mute(*pause);
        }
        self.answers.send_outcome(outcome).await
    }

    /// Gives the ticket back unless the answer is to wait.
    async fn take(&mut self, reply: Reply, ticket: Ticket) -> Result<Option<Ticket>, Error> {
        let reply = match reply {
            Reply::Muting(reply, pause) => {
                self.mute(pause);
                *reply
            }
            reply => reply,
        };
        match reply {
            Reply::Now(frame) if self.waiting.is_empty() => self.answers.send(frame).await?,
            Reply::Now(frame) => {
                self.waiting.push_ready(Outcome::Answer(frame));
                self.tickets.push_back(ticket);
                return Ok(None);
            }
            Reply::Later(answer) => {
                self.waiting.push(answer).await;
                self.tickets.push_back(ticket);
                return Ok(None);
            }
            // A pause in a pause is not made.
            Reply::Nothing | Reply::Muting(..) => {}
            Reply::Close => self.answers.refuse().await?,
        }
        Ok(Some(ticket))
    }

    /// Sends what is answered soon; the rest is retried by the clients.
    async fn drain(mut self) -> Result<(), Error> {
        self.answers.flush().await?;
        while !self.waiting.is_empty() {
            let outcome = self.waiting.next().await;
            self.answers.send_outcome(outcome).await?;
            self.answers.flush().await?;
        }
        Ok(())
    }
}

/// The sending half.
struct Answers {
    write: OwnedWriteHalf,
    gathered: Gathered,
}

impl Answers {
    async fn send(&mut self, frame: Frame) -> Result<(), Error> {
        let pushed = self.gathered.push(frame, self.write.as_ref());
        pushed.await.map_err(Error::Send)
    }

    async fn flush(&mut self) -> Result<(), Error> {
        let flushed = self.gathered.flush(self.write.as_ref());
        flushed.await.map_err(Error::Send)
    }

    async fn send_outcome(&mut self, outcome: Outcome) -> Result<(), Error> {
        match outcome {
            Outcome::Answer(frame) | Outcome::Muting(frame, _) => self.send(frame).await,
            Outcome::Nothing => Ok(()),
            Outcome::Close => self.refuse().await,
        }
    }

    /// Ends the connection behind the answers that are there.
    async fn refuse(&mut self) -> Result<(), Error> {
        self.flush().await?;
        Err(Error::Refused)
    }
}

#[cfg(test)]
mod tests;
