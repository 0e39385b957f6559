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
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;

    use super::*;

    const IDLE_MAX: Duration = Duration::from_secs(60);

    /// Answers a frame with itself, in the way that its first byte says.
    struct Echo {
        permits: Arc<Semaphore>,
        /// Kinds of the requests that were answered.
        served: Served,
    }

    type Served = Arc<Mutex<Vec<u32>>>;

    impl Service for Echo {
        fn call<'a>(&'a self, _: &'a Peer, frame: Bytes, kind: &'a Kind) -> Call<'a> {
            if let [_, number, ..] = frame[..] {
                kind.set(number.into());
            }
            let permits = self.permits.clone();
            let answer = async move {
                match frame.first() {
                    Some(b'n') => Reply::Now(frame.into()),
                    Some(b'w') => {
                        permits.acquire().await.unwrap().forget();
                        Reply::Now(frame.into())
                    }
                    Some(b'm') => {
                        let pause = Duration::from_secs(3600);
                        Reply::Muting(Box::new(Reply::Now(frame.into())), pause)
                    }
                    Some(b'l') => Reply::Later(Box::pin(async move {
                        permits.acquire().await.unwrap().forget();
                        Outcome::Answer(frame.into())
                    })),
                    _ => Reply::Close,
                }
            };
            Call::Waits(answer.boxed())
        }

        fn served(&self, kind: u32, _: Duration) {
            self.served.lock().push(kind);
        }
    }

    /// A client's end, and what lets the service go on.
    async fn start() -> (TcpStream, Arc<Semaphore>) {
        start_within(RequestMemory::default()).await
    }

    async fn start_within(memory: RequestMemory) -> (TcpStream, Arc<Semaphore>) {
        start_telling(memory, Served::default()).await
    }

    async fn start_telling(memory: RequestMemory, served: Served) -> (TcpStream, Arc<Semaphore>) {
        let listener = common::net::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = common::net::connect("127.0.0.1", address.port())
            .await
            .unwrap();
        let (server, address) = listener.accept().await.unwrap();
        let permits = Arc::new(Semaphore::new(0));
        let service = Echo {
            permits: permits.clone(),
            served,
        };
        common::task::spawn("serve", async move {
            let peer = Peer {
                address,
                listener: "test".into(),
            };
            let config = Config {
                request_bytes_max: 100,
                idle_max: IDLE_MAX,
                memory,
                buffers: common::net::Buffers::default(),
            };
            serve(server, &peer, &service, &config, Shutdown::default()).await
        });
        (client, permits)
    }

    async fn send(client: &mut TcpStream, frames: &[&[u8]]) {
        let mut all = Vec::new();
        for frame in frames {
            all.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
            all.extend_from_slice(frame);
        }
        client.write_all(&all).await.unwrap();
    }

    async fn expect(client: &mut TcpStream, frames: &[&[u8]]) {
        for frame in frames {
            let mut got = vec![0; 4 + frame.len()];
            client.read_exact(&mut got).await.unwrap();
            assert_eq!(&got[4..], *frame);
        }
    }

    #[tokio::test]
    async fn an_answer_does_not_wait_for_later_requests() {
        let (mut client, permits) = start().await;
        send(&mut client, &[b"n1", b"n2", b"w3", b"n4"]).await;
        expect(&mut client, &[b"n1", b"n2"]).await;
        permits.add_permits(1);
        expect(&mut client, &[b"w3", b"n4"]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_quiet_connection_is_idle() {
        let (mut client, _permits) = start().await;
        for _ in 0..3 {
            tokio::time::sleep(IDLE_MAX * 2 / 3).await;
            send(&mut client, &[b"n1"]).await;
            expect(&mut client, &[b"n1"]).await;
        }
        let mut byte = [0];
        let almost = IDLE_MAX - Duration::from_secs(1);
        let early = tokio::time::timeout(almost, client.read(&mut byte));
        assert!(early.await.is_err());
        let closed = tokio::time::timeout(Duration::from_secs(2), client.read(&mut byte));
        assert_eq!(closed.await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn without_memory_the_requests_of_others_wait() {
        let memory = RequestMemory::new(1);
        let (mut first, permits) = start_within(memory.clone()).await;
        let (mut second, _permits) = start_within(memory.clone()).await;
        send(&mut first, &[b"w1"]).await;
        // Once its memory is taken, nobody else gets any.
        while memory.lease(1).now_or_never().is_some() {
            tokio::task::yield_now().await;
        }
        send(&mut second, &[b"n2"]).await;
        let answered = expect(&mut second, &[b"n2"]);
        tokio::pin!(answered);
        assert!((&mut answered).now_or_never().is_none());
        permits.add_permits(1);
        expect(&mut first, &[b"w1"]).await;
        answered.await;
    }

    #[tokio::test]
    async fn who_used_too_much_is_answered_and_not_read_for_a_while() {
        let (mut client, _permits) = start().await;
        send(&mut client, &[b"n1", b"m2", b"n3"]).await;
        expect(&mut client, &[b"n1", b"m2"]).await;
        let answered = expect(&mut client, &[b"n3"]);
        tokio::pin!(answered);
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(
                (&mut answered).now_or_never().is_none(),
                "an hour is not over"
            );
        }
    }

    #[tokio::test]
    async fn answers_keep_the_order_of_their_requests() {
        let served = Served::default();
        let (mut client, permits) = start_telling(RequestMemory::default(), served.clone()).await;
        send(&mut client, &[b"n1", b"l2", b"n3", b"l4", b"n5"]).await;
        expect(&mut client, &[b"n1"]).await;
        permits.add_permits(2);
        expect(&mut client, &[b"l2", b"n3", b"l4", b"n5"]).await;
        let (mut other, _permits) = start().await;
        while served.lock().len() < 5 {
            send(&mut other, &[b"n1"]).await;
            expect(&mut other, &[b"n1"]).await;
        }
        assert_eq!(*served.lock(), b"12345".map(u32::from), "each is told once");
    }

    #[tokio::test]
    async fn answers_before_a_refused_request_are_sent() {
        let (mut client, _permits) = start().await;
        send(&mut client, &[b"n1", b"n2", b"x"]).await;
        expect(&mut client, &[b"n1", b"n2"]).await;
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }
}
