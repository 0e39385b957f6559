//! The task that owns a session: connects, re-attaches, expires, renews.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use common::zk::{EventType, OpCode, PASSWORD_LEN};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::client::{Config, State, Status};
use super::connection::{Connection, Ended};
use super::error::Error;
use super::transaction::strip;
use super::watcher::{Mailbox, WatchEvent};
use super::watches::{WatchKind, WatcherId, Watches};

/// Pause after all servers were tried in vain; doubles up to the second value.
const BACKOFF: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// A connection that lived shorter counts as a failed attempt, so that a server
/// that drops us each time is not stormed.
const SETTLED: Duration = Duration::from_secs(1);

/// What lets another connection, or another process, continue a session.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken {
    pub id: i64,
    pub password: [u8; PASSWORD_LEN],
}

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "session 0x{:x}", self.id)
    }
}

pub(super) struct Request {
    pub(super) op: OpCode,
    pub(super) body: Bytes,
    pub(super) watch: Option<WatchRequest>,
    pub(super) reply: oneshot::Sender<Result<Bytes, Error>>,
}

/// The watch that a read leaves when it succeeds.
pub(super) struct WatchRequest {
    pub(super) kind: WatchKind,
    pub(super) path: String,
    pub(super) mailbox: Arc<Mailbox>,
}

pub(super) enum Control {
    /// Answered once the old session is forgotten.
    Renew(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// Starts the task; it ends when the client is closed or dropped.
pub(super) fn start(
    config: Config,
    previous: Option<SessionToken>,
    requests: mpsc::Receiver<Request>,
    control: mpsc::Receiver<Control>,
) -> watch::Receiver<Status> {
    let (status, receiver) = watch::channel(Status {
        state: State::Disconnected,
        generation: 0,
        session: None,
        session_timeout: config.session_timeout,
        disconnects: 0,
        expirations: 0,
    });
    let session = Session {
        tracker: Tracker {
            chroot: config.connect.chroot.clone(),
            token: previous,
            is_taken_over: true,
            last_zxid: 0,
            watches: Watches::default(),
            mailboxes: HashMap::new(),
            status,
        },
        next_host: random_index(config.connect.hosts.len()),
        failures: 0,
        config,
        requests,
        control,
    };
    common::task::spawn("zk session", session.run());
    receiver
}

fn random_index(count: usize) -> usize {
    let random = getrandom::u32().unwrap_or(0);
    random as usize % count.max(1)
}

struct Session {
    config: Config,
    tracker: Tracker,
    requests: mpsc::Receiver<Request>,
    control: mpsc::Receiver<Control>,
    next_host: usize,
    /// Attempts in vain since the last connection.
    failures: u32,
}

/// What outlives a connection; `connection` feeds it.
pub(super) struct Tracker {
    chroot: String,
    pub(super) token: Option<SessionToken>,
    /// The token came from another process and was never confirmed.
    is_taken_over: bool,
    pub(super) last_zxid: i64,
    pub(super) watches: Watches,
    mailboxes: HashMap<WatcherId, Weak<Mailbox>>,
    status: watch::Sender<Status>,
}

/// Why the task leaves a phase.
enum Next {
    Continue,
    Stop,
}

impl Session {
    async fn run(mut self) {
        loop {
            let stream = match self.connect().await {
                Some(stream) => stream,
                None => break,
            };
            let started = self.config.clock.monotonic();
            let connection = Connection::new(&self.config, &mut self.tracker, stream);
            let ended = connection.run(&mut self.requests, &mut self.control).await;
            let next = match ended {
                Ended::Lost { was_connected } => {
                    let lived = self.config.clock.monotonic().saturating_sub(started);
                    let has_settled = was_connected && lived >= SETTLED;
                    self.failures = if has_settled { 0 } else { self.failures + 1 };
                    self.tracker.set_state(State::Disconnected);
                    Next::Continue
                }
                Ended::Expired => self.on_expired().await,
                Ended::AuthFailed => {
                    self.tracker.set_state(State::AuthFailed);
                    self.rest(Error::AuthFailed).await
                }
                Ended::Closed => Next::Stop,
            };
            if matches!(next, Next::Stop) {
                break;
            }
        }
        self.tracker.set_state(State::Closed);
    }

    /// The next server that accepts a connection; `None` when told to close.
    async fn connect(&mut self) -> Option<TcpStream> {
        let hosts = self.config.connect.hosts.len();
        loop {
            let pause = self.pause();
            let (host, port) = self.config.connect.hosts[self.next_host % hosts].clone();
            self.next_host = (self.next_host + 1) % hosts;
            let limit = self.config.session_timeout / u32::try_from(hosts).unwrap_or(u32::MAX);
            let attempt = async {
                tokio::time::sleep(pause).await;
                tokio::time::timeout(limit, common::net::connect(&host, port)).await
            };
            tokio::pin!(attempt);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    request = self.requests.recv() => {
                        // Not sent, but the caller need not tell the difference.
                        let _ = request?.reply.send(Err(Error::ConnectionLoss));
                    }
                    control = self.control.recv() => match control? {
                        Control::Renew(done) => {
                            let _ = done.send(());
                        }
                        Control::Close(done) => {
                            let _ = done.send(());
                            return None;
                        }
                    }
                }
            };
            match outcome {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => tracing::debug!(%host, port, %error, "cannot connect"),
                Err(_) => tracing::debug!(%host, port, "no connection in time"),
            }
            self.failures += 1;
            if self.failures == 1 {
                tracing::warn!(%host, port, "the coordinator cannot be reached, trying on");
            }
        }
    }

    fn pause(&self) -> Duration {
        let hosts = u32::try_from(self.config.connect.hosts.len()).unwrap_or(u32::MAX);
        let rounds = self.failures / hosts;
        match rounds {
            0 => Duration::ZERO,
            _ => (BACKOFF * 2u32.saturating_pow(rounds.min(10) - 1)).min(BACKOFF_MAX),
        }
    }

    async fn on_expired(&mut self) -> Next {
        self.tracker.forget_session();
        if self.tracker.is_taken_over {
            self.tracker.is_taken_over = false;
            tracing::info!("the previous session is gone, starting a new one");
            return Next::Continue;
        }
        tracing::warn!("the session with the coordinator expired");
        self.tracker.set_state(State::Expired);
        self.rest(Error::SessionExpired).await
    }

    /// Answers everything with `error` until told to go on.
    async fn rest(&mut self, error: Error) -> Next {
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    None => return Next::Stop,
                    Some(request) => {
                        let _ = request.reply.send(Err(error.clone()));
                    }
                },
                control = self.control.recv() => match control {
                    Some(Control::Renew(done)) => {
                        self.tracker.set_state(State::Disconnected);
                        let _ = done.send(());
                        return Next::Continue;
                    }
                    Some(Control::Close(done)) => {
                        let _ = done.send(());
                        return Next::Stop;
                    }
                    None => return Next::Stop,
                },
            }
        }
    }
}

impl Tracker {
    fn set_state(&self, state: State) {
        self.status.send_if_modified(|status| {
            let changed = status.state != state;
            match state {
                State::Disconnected if status.state == State::Connected => status.disconnects += 1,
                State::Expired if changed => status.expirations += 1,
                _ => {}
            }
            status.state = state;
            changed
        });
    }

    fn forget_session(&mut self) {
        self.token = None;
        self.last_zxid = 0;
        self.watches.clear();
        self.mailboxes.clear();
        self.status.send_modify(|status| status.session = None);
    }

    /// The server confirmed or granted a session.
    pub(super) fn on_connected(&mut self, token: SessionToken, timeout: Duration) {
        self.is_taken_over = false;
        let is_new = self.status.borrow().session.as_ref() != Some(&token);
        self.token = Some(token.clone());
        self.status.send_modify(|status| {
            status.generation += u64::from(is_new);
            status.session = Some(token);
            status.session_timeout = timeout;
            status.state = State::Connected;
        });
    }

    pub(super) fn add_watch(&mut self, kind: WatchKind, watch: WatchRequest) {
        let id = watch.mailbox.id;
        self.mailboxes
            .entry(id)
            .or_insert_with(|| Arc::downgrade(&watch.mailbox));
        self.watches.add(kind, watch.path, id);
    }

    pub(super) fn on_event(&mut self, kind: EventType, path: String) {
        let watchers = self.watches.fire(kind, &path);
        let generation = self.status.borrow().generation;
        let path = strip(path, &self.chroot);
        for id in watchers {
            match self.mailboxes.get(&id).and_then(Weak::upgrade) {
                Some(mailbox) => {
                    mailbox.put(WatchEvent {
                        kind,
                        path: path.clone(),
                        generation,
                    });
                }
                None => {
                    self.mailboxes.remove(&id);
                    self.watches.remove_watcher(id);
                }
            }
        }
    }
}
