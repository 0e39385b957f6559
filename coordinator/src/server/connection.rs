//! One client connection: handshake, requests in order, replies and events in order.
//!
//! Flow: `run` reads the first bytes (a four-letter word or a connect request),
//! then each frame becomes a request. A read, or a ping, is served
//! here unless requests of this connection are in the pipeline, in which case it
//! queues behind them.
//!
//! **Invariant:** `pending` counts this connection's requests in the pipeline;
//! only when it is 0 may a request be answered here.

mod account;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use common::frame::{self, FrameReader};
use common::jute::{Reader, Record};
use common::zk::{
    ErrorCode, Id, KeeperState, OpCode, ReplyHeader, RequestHeader, WatcherEvent, xid,
};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use super::auth::DigestMd5;
use super::death::{self, Listens};
use super::error::{Error, code_of};
use super::outbound::{HIGH_WATER, Outbound, Sent};
use super::stats::Traffic;
use super::{Server, codec};
use crate::pipeline::{
    Answer, Arrival, Client, Event, Origin, Read, Reply, Request, Submission, Write,
};
use crate::session::Session;
use crate::watch::WatcherId;

pub(crate) use account::ConnectionInfo;

/// How long a socket may stay without a session.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the bytes are thrown away that a client sends after its last reply.
const LINGER: Duration = Duration::from_secs(1);

/// What the connection's task and the pipeline share.
pub(crate) struct Connection {
    id: WatcherId,
    pub(super) peer: SocketAddr,
    server: Arc<Server>,
    pub(super) outbound: Outbound,
    ids: Mutex<Arc<[Id]>>,
    pub(super) session: OnceLock<Arc<Session>>,
    /// Where the answer to the request for a session goes.
    pub(super) opened: Mutex<Option<oneshot::Sender<Arc<Session>>>>,
    pending: AtomicUsize,
    /// No more is read: the connection ends when what is under way is answered.
    draining: AtomicBool,
    established_ms: i64,
    pub(super) traffic: Traffic,
}

impl Connection {
    fn new(server: Arc<Server>, peer: SocketAddr, sink: Arc<OwnedWriteHalf>) -> Self {
        let established_ms = server.clock.wall_ms();
        let address: Arc<[Id]> = Arc::from([Id::new("ip", peer.ip().to_string())]);
        Self {
            id: server.next_connection_id(),
            peer,
            server,
            outbound: Outbound::new(sink),
            ids: Mutex::new(address),
            session: OnceLock::new(),
            opened: Mutex::default(),
            pending: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            established_ms,
            traffic: Traffic::default(),
        }
    }

    /// The client has proved to be these, too.
    pub(super) fn add_ids(&self, proven: Vec<Id>) {
        let mut ids = self.ids.lock();
        let mut all = ids.to_vec();
        for id in proven {
            if !all.contains(&id) {
                all.push(id);
            }
        }
        *ids = all.into();
    }

    fn push_reply(&self, xid: i32, zxid: i64, result: Result<Reply, ErrorCode>) {
        let mut size = 0;
        self.outbound.push(|out| {
            let before = out.len();
            codec::encode_reply(out, xid, zxid, result);
            size = out.len() - before;
        });
        self.count_sent();
        self.server.stats.response_sizes.add(size);
        if size > self.server.config.frame_max {
            self.note_large_reply(xid, size);
        }
        let metrics = self.server.pipeline.metrics();
        metrics.response_bytes.add(size as u64);
    }
}

impl Client for Connection {
    fn watcher_id(&self) -> WatcherId {
        self.id
    }

    fn ids(&self) -> Arc<[Id]> {
        Arc::clone(&self.ids.lock())
    }

    fn on_reply(&self, answer: Answer) {
        match answer.result {
            Ok(Reply::Session(session)) => {
                if let Some(opened) = self.opened.lock().take() {
                    // A client that is gone leaves its session to the expiry.
                    drop(opened.send(session));
                }
            }
            result => self.push_reply(answer.xid, answer.zxid, result),
        }
        self.count_answered(answer.xid, answer.zxid, answer.received);
        if answer.queued {
            // After the reply is in its place, so that whoever sees 0 comes behind it.
            self.pending.fetch_sub(1, Ordering::Release);
        }
    }

    fn on_event(&self, event: Event<'_>) {
        let header = ReplyHeader {
            xid: xid::NOTIFICATION,
            zxid: event.zxid,
            err: 0,
        };
        let body = WatcherEvent {
            event_type: event.event_type.code(),
            state: KeeperState::SyncConnected.code(),
            path: event.path.to_owned(),
        };
        let mut size = 0;
        self.outbound.push(|out| {
            let before = out.len();
            header.encode(out);
            body.encode(out);
            size = out.len() - before;
        });
        self.count_sent();
        let metrics = self.server.pipeline.metrics();
        metrics.watch_bytes.add(size as u64);
    }

    fn wake(&self) {
        self.outbound.send_or_wake();
        if self.draining.load(Ordering::Acquire) {
            self.outbound.wake();
        }
    }

    fn wake_elsewhere(&self) {
        self.outbound.wake();
    }

    fn close(&self) {
        self.outbound.close();
    }
}

/// Serves one socket until it ends.
pub(super) async fn run(server: Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    let (source, sink) = stream.into_split();
    let sink = Arc::new(sink);
    let connection = Connection::new(Arc::clone(&server), peer, Arc::clone(&sink));
    let connection = Arc::new(connection);
    let id = connection.id;
    let weak = Arc::downgrade(&connection);
    server.connections.lock().insert(id, weak);
    let mut task = Task {
        server: &server,
        connection: Arc::clone(&connection),
        sink,
        burst: Vec::new(),
        login: DigestMd5::default(),
        listens: None,
        ended_by_client: false,
    };
    if let Err(error) = task.serve(source).await {
        // Where something was to be sent, a closed socket shows as an error.
        task.ended_by_client |= matches!(error, Error::Io(_));
        error.count(server.pipeline.metrics());
        if error.is_noteworthy() {
            tracing::warn!(%peer, %error, "connection closed");
        } else {
            tracing::debug!(%peer, %error, "connection closed");
        }
    }
    connection.outbound.end();
    server.connections.lock().remove(&id);
    if let Some(session) = connection.session.get() {
        server.pipeline.detach(session.id, id);
        if task.ended_by_client
            && let Some(listens) = task.listens.take()
        {
            death::investigate(&server, Arc::clone(session), listens);
        }
    }
}

/// What the connection's own task holds.
pub(super) struct Task<'a> {
    pub(super) server: &'a Arc<Server>,
    pub(super) connection: Arc<Connection>,
    sink: Arc<OwnedWriteHalf>,
    /// Requests of frames that arrived together and go to the pipeline together.
    burst: Vec<Submission>,
    /// How far the client is with proving who it is.
    pub(super) login: DigestMd5,
    /// Where its process can be found alive.
    pub(super) listens: Option<Arc<Listens>>,
    /// The client, or its host's kernel, closed the socket.
    ended_by_client: bool,
}

impl Task<'_> {
    async fn serve(&mut self, source: OwnedReadHalf) -> Result<(), Error> {
        let shutdown = self.server.shutdown.clone();
        let opened = tokio::select! {
            opened = tokio::time::timeout(HANDSHAKE_TIMEOUT, self.open(source)) => opened,
            () = shutdown.requested() => return Err(Error::Stopping),
        };
        let Some(mut frames) = opened.map_err(|_| Error::HandshakeTimeout(HANDSHAKE_TIMEOUT))??
        else {
            return Ok(());
        };
        tokio::select! {
            done = self.converse(&mut frames) => done?,
            () = shutdown.requested() => return Err(Error::Stopping),
        }
        if self.connection.draining.load(Ordering::Relaxed) {
            self.linger(frames).await?;
        }
        Ok(())
    }

    /// Reads on for a moment after the last reply: where bytes are left unread the
    /// kernel tells the peer so at once, and what was sent may not be seen.
    async fn linger(&mut self, mut frames: FrameReader<OwnedReadHalf>) -> Result<(), Error> {
        let socket: &TcpStream = (*self.sink).as_ref();
        rustix::net::shutdown(socket, rustix::net::Shutdown::Write)
            .map_err(std::io::Error::from)?;
        let rest = async { while let Ok(Some(_)) = frames.next().await {} };
        // Whoever goes on for longer does not want to hear it.
        let _ = tokio::time::timeout(LINGER, rest).await;
        Ok(())
    }

    async fn converse(&mut self, frames: &mut FrameReader<OwnedReadHalf>) -> Result<(), Error> {
        let connection = Arc::clone(&self.connection);
        let Some(session) = connection.session.get() else {
            return Ok(());
        };
        loop {
            let draining = connection.draining.load(Ordering::Relaxed);
            tokio::select! {
                biased;
                () = connection.outbound.woken() => {}
                frame = frames.next(), if !draining => {
                    match frame {
                        Ok(Some(frame)) => self.on_frame(session, frame).await?,
                        Ok(None) => {
                            self.ended_by_client = true;
                            return Ok(());
                        }
                        Err(frame::Error::TooLarge { length, limit }) => {
                            self.refuse_oversized(frames, (length, limit)).await?;
                        }
                        Err(error) => {
                            let is_cut = matches!(error, frame::Error::Io(_) | frame::Error::Truncated);
                            self.ended_by_client = is_cut;
                            return Err(error.into());
                        }
                    }
                    // Requests that have arrived together are handed on together,
                    // and so are their replies.
                    if frames.has_frame()
                        && connection.outbound.len() < HIGH_WATER
                        && !connection.draining.load(Ordering::Relaxed)
                    {
                        continue;
                    }
                    self.submit_burst()?;
                }
            }
            let is_idle = connection.pending.load(Ordering::Acquire) == 0;
            let is_done = is_idle && connection.draining.load(Ordering::Relaxed);
            if self.flush().await? || is_done {
                return Ok(());
            }
        }
    }

    /// Sends what is queued; says whether the connection is to end now.
    pub(super) async fn flush(&mut self) -> Result<bool, Error> {
        let outbound = &self.connection.outbound;
        loop {
            match outbound.send()? {
                Sent::All => return Ok(false),
                Sent::Close => return Ok(true),
                Sent::Overflow(waiting) => return Err(Error::SlowClient(waiting)),
                Sent::Blocked => tokio::select! {
                    writable = self.sink.writable() => writable?,
                    // More was queued: perhaps too much for a client that does not read.
                    () = outbound.woken() => {}
                },
            }
        }
    }

    async fn on_frame(&mut self, session: &Arc<Session>, frame: Bytes) -> Result<(), Error> {
        let received = self.server.clock.monotonic();
        session.touch(received);
        self.connection.count_received(frame.len() + frame::PREFIX);
        let mut body = Reader::new(frame);
        let header: RequestHeader = body.read().map_err(Error::Header)?;
        let op = OpCode::from_code(header.op);
        let received = Arrival { at: received, op };
        match op {
            Some(OpCode::Auth) => return self.authenticate(header.xid, &mut body, received),
            Some(OpCode::Sasl) => return self.sasl(header.xid, &mut body, received),
            _ if !self.is_admitted(header.xid, received) => return Ok(()),
            _ => {}
        }
        let decoded = match op {
            Some(op) => codec::request(op, &mut body),
            None => Ok(None),
        };
        let request = match decoded {
            Ok(Some(request)) => request,
            // As ZooKeeper: who speaks another protocol is told, and let go.
            Ok(None) => {
                tracing::warn!(peer = %self.connection.peer, op = header.op, "unknown operation");
                self.drain();
                Request::Read(Read::Unknown)
            }
            Err(error) => {
                tracing::info!(peer = %self.connection.peer, op = header.op, %error, "bad request");
                Request::Read(Read::Refused(code_of(&error)))
            }
        };
        if matches!(request, Request::Write(Write::CloseSession)) {
            self.drain();
        }
        let xid = match op {
            Some(OpCode::Ping) => xid::PING,
            _ => header.xid,
        };
        self.dispatch(Arc::clone(session), xid, received, request)
            .await
    }

    pub(super) async fn dispatch(
        &mut self,
        session: Arc<Session>,
        xid: i32,
        received: Arrival,
        request: Request,
    ) -> Result<(), Error> {
        let is_idle = self.connection.pending.load(Ordering::Acquire) == 0;
        let Request::Read(read) = request else {
            return self.submit(session, xid, received, request).await;
        };
        // A sync is a promise about what came before it, so it always queues.
        if !is_idle || matches!(read, Read::Sync { .. }) {
            return self
                .submit(session, xid, received, Request::Read(read))
                .await;
        }
        let origin = self.origin(session, xid, received);
        self.server.pipeline.read(&origin, &read);
        Ok(())
    }

    fn origin(&self, session: Arc<Session>, xid: i32, received: Arrival) -> Origin {
        Origin {
            client: Some(Arc::clone(&self.connection) as _),
            session,
            xid,
            ids: self.connection.ids(),
            received,
        }
    }

    pub(super) fn drain(&self) {
        self.connection.draining.store(true, Ordering::Release);
    }

    /// Adds a request to the burst; waits here, without reading on, while too many
    /// are outstanding.
    pub(super) async fn submit(
        &mut self,
        session: Arc<Session>,
        xid: i32,
        received: Arrival,
        request: Request,
    ) -> Result<(), Error> {
        let permits = Arc::clone(&self.server.outstanding);
        let permit = match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                // What waits here holds permits, and they only come back from there.
                self.submit_burst()?;
                // Nor are the client's pings read meanwhile.
                let hold = session.hold();
                let acquired = permits.acquire_owned().await;
                session.touch(self.server.clock.monotonic());
                drop(hold);
                acquired.map_err(|_| Error::Stopping)?
            }
        };
        let submission = Submission {
            origin: self.origin(session, xid, received),
            request,
            _permit: Some(permit),
        };
        self.connection.pending.fetch_add(1, Ordering::AcqRel);
        self.burst.push(submission);
        Ok(())
    }

    /// Hands the burst to the pipeline.
    pub(super) fn submit_burst(&mut self) -> Result<(), Error> {
        if self.burst.is_empty() {
            return Ok(());
        }
        let submitted = self.server.pipeline.submit_all(&mut self.burst);
        submitted.map_err(|_| Error::Stopping)
    }

    /// Answers what has no place in the order of requests.
    pub(super) fn answer_now(
        &self,
        xid: i32,
        zxid: i64,
        received: Arrival,
        result: Result<Reply, ErrorCode>,
    ) {
        self.connection.push_reply(xid, zxid, result);
        // Proving who one is is no operation, in ZooKeeper's statistics too.
        if !matches!(received.op, Some(OpCode::Auth | OpCode::Sasl)) {
            self.connection.count_answered(xid, zxid, received);
        }
    }
}
