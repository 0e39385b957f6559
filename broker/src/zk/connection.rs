//! One connection: handshake, pipelined requests, pings, events, close.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::frame::FrameReader;
use common::jute::{Reader, Record};
use common::zk::{
    AuthPacket, ConnectRequest, ConnectResponse, ErrorCode, EventType, OpCode, PASSWORD_LEN,
    ReplyHeader, RequestHeader, WatcherEvent, xid,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::client::Config;
use super::error::Error;
use super::session::{Control, Request, SessionToken, Tracker, WatchRequest};
use super::watches::WatchKind;

/// How long a server may take to answer closeSession.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How a connection came to its end.
pub(super) enum Ended {
    Lost { was_connected: bool },
    Expired,
    AuthFailed,
    Closed,
}

pub(super) struct Connection<'a> {
    config: &'a Config,
    tracker: &'a mut Tracker,
    frames: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// Encoded but not yet written.
    out: BytesMut,
    in_flight: VecDeque<InFlight>,
    next_xid: i32,
    timeout: Duration,
    last_sent: Duration,
    last_heard: Duration,
    /// The port of ours that the server can knock at.
    listens_at: Option<u16>,
    /// Told when the server answered closeSession.
    closing: Option<oneshot::Sender<()>>,
}

struct InFlight {
    xid: i32,
    op: OpCode,
    watch: Option<WatchRequest>,
    reply: oneshot::Sender<Result<Bytes, Error>>,
}

impl<'a> Connection<'a> {
    pub(super) fn new(config: &'a Config, tracker: &'a mut Tracker, stream: TcpStream) -> Self {
        let own_ip = stream.local_addr().ok().map(|address| address.ip());
        let listens_at = config.listens_at.filter(|at| {
            // The server knocks at the address that it sees.
            at.ip().is_unspecified() || Some(at.ip()) == own_ip
        });
        let (read, writer) = stream.into_split();
        let now = config.clock.monotonic();
        Self {
            listens_at: listens_at.map(|at| at.port()),
            frames: FrameReader::new(read, config.reply_bytes_max),
            config,
            tracker,
            writer,
            out: BytesMut::new(),
            in_flight: VecDeque::new(),
            next_xid: 1,
            timeout: config.session_timeout,
            last_sent: now,
            last_heard: now,
            closing: None,
        }
    }

    /// Runs until the connection ends; every unanswered request is answered
    /// with the reason.
    pub(super) async fn run(
        mut self,
        requests: &mut mpsc::Receiver<Request>,
        control: &mut mpsc::Receiver<Control>,
    ) -> Ended {
        match self.shake_hands().await {
            Ok(()) => {}
            Err(ended) => return ended,
        }
        let ended = self.exchange(requests, control).await;
        let reason = match ended {
            Ended::Lost { .. } => Error::ConnectionLoss,
            Ended::Expired => Error::SessionExpired,
            Ended::AuthFailed => Error::AuthFailed,
            Ended::Closed => Error::Closed,
        };
        for pending in self.in_flight.drain(..) {
            let _ = pending.reply.send(Err(reason.clone()));
        }
        if let Some(done) = self.closing.take() {
            let _ = done.send(());
            return Ended::Closed;
        }
        ended
    }

    async fn shake_hands(&mut self) -> Result<(), Ended> {
        const LOST: Ended = Ended::Lost {
            was_connected: false,
        };
        let (session_id, password) = match &self.tracker.token {
            Some(token) => (token.id, Bytes::copy_from_slice(&token.password)),
            None => (0, Bytes::from_static(&[0; PASSWORD_LEN])),
        };
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.tracker.last_zxid,
            timeout_ms: i32::try_from(self.config.session_timeout.as_millis()).unwrap_or(i32::MAX),
            session_id,
            password: Some(password),
            read_only: Some(false),
            listens_at: self.listens_at,
        };
        put_frame(&mut self.out, &[&hello.to_bytes()]);
        let answer = async {
            self.writer.write_all_buf(&mut self.out).await?;
            self.frames.next().await
        };
        let answer = tokio::time::timeout(self.config.session_timeout, answer).await;
        let frame = match answer {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) | Err(_) => return Err(LOST),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no handshake");
                return Err(LOST);
            }
        };
        let Ok(welcome) = ConnectResponse::from_bytes(frame) else {
            tracing::warn!("the server's handshake cannot be decoded; is it a ZooKeeper?");
            return Err(LOST);
        };
        let Ok(timeout_ms @ 1..) = u64::try_from(welcome.timeout_ms) else {
            return Err(Ended::Expired);
        };
        let password = welcome.password.unwrap_or_default();
        let Ok(password) = <[u8; PASSWORD_LEN]>::try_from(&password[..]) else {
            tracing::warn!("the server's handshake has no password");
            return Err(LOST);
        };
        self.timeout = Duration::from_millis(timeout_ms);
        self.restore_context();
        let token = SessionToken {
            id: welcome.session_id,
            password,
        };
        tracing::info!(
            session = format_args!("0x{:x}", token.id),
            timeout_ms,
            "connected to the coordinator"
        );
        self.tracker.on_connected(token, self.timeout);
        let now = self.config.clock.monotonic();
        (self.last_sent, self.last_heard) = (now, now);
        Ok(())
    }

    /// Queues credentials and watches, which go before every request.
    fn restore_context(&mut self) {
        for (scheme, auth) in &self.config.auth {
            let header = RequestHeader {
                xid: xid::AUTH,
                op: OpCode::Auth.code(),
            };
            let body = AuthPacket {
                auth_type: 0,
                scheme: Some(scheme.clone()),
                auth: Some(auth.clone()),
            };
            put_frame(&mut self.out, &[&header.to_bytes(), &body.to_bytes()]);
        }
        for body in self.tracker.watches.rearm(self.tracker.last_zxid) {
            let header = RequestHeader {
                xid: xid::SET_WATCHES,
                op: OpCode::SetWatches.code(),
            };
            put_frame(&mut self.out, &[&header.to_bytes(), &body.to_bytes()]);
        }
    }

    async fn exchange(
        &mut self,
        requests: &mut mpsc::Receiver<Request>,
        control: &mut mpsc::Receiver<Control>,
    ) -> Ended {
        const LOST: Ended = Ended::Lost {
            was_connected: true,
        };
        loop {
            let now = self.config.clock.monotonic();
            let ping_in = (self.last_sent + self.timeout / 3).saturating_sub(now);
            let silence_ends = self.last_heard + self.timeout * 2 / 3;
            if now >= silence_ends {
                tracing::warn!("the server is silent, leaving it");
                return LOST;
            }
            if ping_in.is_zero() {
                self.send(xid::PING, OpCode::Ping, &Bytes::new());
                continue;
            }
            let wait = ping_in.min(silence_ends.saturating_sub(now));
            let has_room =
                self.in_flight.len() < self.config.max_in_flight && self.closing.is_none();
            let has_output = !self.out.is_empty();
            tokio::select! {
                frame = self.frames.next() => match frame {
                    Ok(Some(frame)) => {
                        self.last_heard = self.config.clock.monotonic();
                        if let Err(ended) = self.on_frame(frame) {
                            return ended;
                        }
                    }
                    Ok(None) => return LOST,
                    Err(error) => {
                        tracing::warn!(%error, "the connection to the coordinator broke");
                        return LOST;
                    }
                },
                written = self.writer.write_buf(&mut self.out), if has_output => {
                    if let Err(error) = written {
                        tracing::debug!(%error, "the connection to the coordinator broke");
                        return LOST;
                    }
                }
                request = requests.recv(), if has_room => match request {
                    Some(request) => self.on_request(request),
                    None => self.close(None),
                },
                control = control.recv(), if self.closing.is_none() => match control {
                    Some(Control::Renew(done)) => {
                        let _ = done.send(());
                    }
                    Some(Control::Close(done)) => self.close(Some(done)),
                    None => self.close(None),
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn on_request(&mut self, request: Request) {
        let xid = self.next_xid;
        self.next_xid = self.next_xid.checked_add(1).unwrap_or(1);
        self.send(xid, request.op, &request.body);
        let Request {
            op, watch, reply, ..
        } = request;
        self.in_flight.push_back(InFlight {
            xid,
            op,
            watch,
            reply,
        });
    }

    fn close(&mut self, done: Option<oneshot::Sender<()>>) {
        // The answer, or the end of the connection, ends `exchange`.
        self.timeout = self.timeout.min(CLOSE_LIMIT);
        let (unheard, _) = oneshot::channel();
        self.closing = Some(done.unwrap_or(unheard));
        let xid = self.next_xid;
        self.send(xid, OpCode::CloseSession, &Bytes::new());
    }

    fn send(&mut self, xid: i32, op: OpCode, body: &Bytes) {
        let header = RequestHeader { xid, op: op.code() };
        put_frame(&mut self.out, &[&header.to_bytes(), body]);
        self.last_sent = self.config.clock.monotonic();
    }

    fn on_frame(&mut self, frame: Bytes) -> Result<(), Ended> {
        const LOST: Ended = Ended::Lost {
            was_connected: true,
        };
        let mut reader = Reader::new(frame);
        let Ok(header) = reader.read::<ReplyHeader>() else {
            tracing::error!("a reply of the coordinator cannot be decoded");
            return Err(LOST);
        };
        match header.xid {
            xid::NOTIFICATION => {
                match reader.read::<WatcherEvent>() {
                    Ok(event) => self.on_event(event),
                    Err(error) => tracing::error!(%error, "a watch event cannot be decoded"),
                }
                return Ok(());
            }
            xid::PING => return Ok(()),
            xid::AUTH if header.err == ErrorCode::AuthFailed.code() => {
                return Err(Ended::AuthFailed);
            }
            xid::AUTH => return Ok(()),
            xid::SET_WATCHES => {
                if header.err != 0 {
                    tracing::error!(code = header.err, "watches could not be set again");
                    return Err(LOST);
                }
                return Ok(());
            }
            _ => {}
        }
        if header.zxid > 0 {
            self.tracker.last_zxid = self.tracker.last_zxid.max(header.zxid);
        }
        if self.in_flight.is_empty() && self.closing.is_some() {
            return Err(Ended::Closed);
        }
        match self.in_flight.pop_front() {
            Some(pending) if pending.xid == header.xid => self.answer(pending, header, reader),
            pending => {
                tracing::error!(xid = header.xid, "a reply out of order, leaving the server");
                self.in_flight.extend(pending);
                Err(LOST)
            }
        }
    }

    fn answer(
        &mut self,
        pending: InFlight,
        header: ReplyHeader,
        body: Reader,
    ) -> Result<(), Ended> {
        let error = Error::from_reply(header.err);
        if let Some(watch) = pending.watch {
            let kind = match (&error, pending.op) {
                (None, OpCode::Exists) => Some(WatchKind::Data),
                (None, _) => Some(watch.kind),
                (Some(error), OpCode::Exists) if error.is(ErrorCode::NoNode) => {
                    Some(WatchKind::Exist)
                }
                (Some(_), _) => None,
            };
            if let Some(kind) = kind {
                self.tracker.add_watch(kind, watch);
            }
        }
        let is_expired = error == Some(Error::SessionExpired);
        let result = match error {
            None => Ok(body.into_rest()),
            Some(error) => Err(error),
        };
        // The caller may have gone away; its watch stays, as on the server.
        let _ = pending.reply.send(result);
        if is_expired {
            Err(Ended::Expired)
        } else {
            Ok(())
        }
    }

    fn on_event(&mut self, event: WatcherEvent) {
        match EventType::from_code(event.event_type) {
            Some(kind) => self.tracker.on_event(kind, event.path),
            None => tracing::warn!(kind = event.event_type, "an unknown watch event"),
        }
    }
}

fn put_frame(out: &mut BytesMut, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = i32::try_from(length).expect("requests are far below 2 GiB");
    out.extend_from_slice(&length.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}
