//! The handle that everyone uses, and the operations.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::clock::SharedClock;
use common::jute::Record;
use common::zk::{
    Acl, CreateMode, CreateRequest, DeleteRequest, GetAclResponse, GetChildren2Response,
    GetDataResponse, MultiResponse, OpCode, PathRequest, PathResponse, PathWatchRequest,
    SetAclRequest, SetDataRequest, Stat, StatResponse,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::connect_string::ConnectString;
use super::error::Error;
use super::session::{self, Control, Request, SessionToken, WatchRequest};
use super::transaction::{self, OpResult, Transaction};
use super::watcher::Watcher;
use super::watches::WatchKind;

/// Kafka's default of `zookeeper.session.timeout.ms`.
pub const DEFAULT_SESSION_TIMEOUT: Duration = Duration::from_secs(18);
/// Requests that wait for their turn; beyond it `submit` waits.
const QUEUE_CAPACITY: usize = 1024;
/// xid and operation before each body.
const HEADER_BYTES: usize = 8;

/// How to reach the servers.
#[derive(Clone)]
pub struct Config {
    pub connect: ConnectString,
    /// What we ask for; the server may grant another one.
    pub session_timeout: Duration,
    /// Unanswered requests at a time (`zookeeper.max.in.flight.requests`).
    pub max_in_flight: usize,
    /// The largest reply that is accepted.
    pub reply_bytes_max: usize,
    /// The largest request that is sent. A server closes the connection on a
    /// larger one, which would be repeated for ever; its limit is
    /// `jute.maxbuffer`.
    pub request_bytes_max: usize,
    /// Credentials sent on each connection: scheme and secret.
    pub auth: Vec<(String, Bytes)>,
    /// Where this process listens as long as it lives. Our coordinator closes
    /// the session at once when the process is dead; others wait for the timeout.
    pub listens_at: Option<SocketAddr>,
    pub clock: SharedClock,
}

impl Config {
    /// Kafka's defaults for `connect`.
    #[must_use]
    pub fn new(connect: ConnectString, clock: SharedClock) -> Self {
        Self {
            connect,
            session_timeout: DEFAULT_SESSION_TIMEOUT,
            max_in_flight: 10,
            reply_bytes_max: 4 * 1024 * 1024,
            request_bytes_max: 0xf_ffff,
            auth: Vec::new(),
            listens_at: None,
            clock,
        }
    }
}

/// What the session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Looking for a server; the session may still live.
    Disconnected,
    Connected,
    /// The session is gone; [`Client::renew`] starts another.
    Expired,
    AuthFailed,
    Closed,
}

/// The state, and which session it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// Counts sessions of this client; 0 before the first.
    pub generation: u64,
    pub session: Option<SessionToken>,
    /// What the server granted.
    pub session_timeout: Duration,
    /// Connections that were lost since the start.
    pub disconnects: u64,
    /// Sessions that expired since the start.
    pub expirations: u64,
}

/// A handle to one session; clones share it. Dropping the last one closes it.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    requests: mpsc::Sender<Request>,
    control: mpsc::Sender<Control>,
    status: watch::Receiver<Status>,
    chroot: String,
    request_bytes_max: usize,
}

impl Client {
    /// Starts connecting in the background with a new session.
    #[must_use]
    pub fn connect(config: Config) -> Self {
        Self::connect_with(config, None)
    }

    /// Tries to re-attach `previous` and falls back to a new session when the
    /// server no longer knows it.
    #[must_use]
    pub fn connect_with(config: Config, previous: Option<SessionToken>) -> Self {
        let (requests, requests_rx) = mpsc::channel(QUEUE_CAPACITY);
        let (control, control_rx) = mpsc::channel(1);
        let chroot = config.connect.chroot.clone();
        let request_bytes_max = config.request_bytes_max;
        let status = session::start(config, previous, requests_rx, control_rx);
        let shared = Shared {
            requests,
            control,
            status,
            chroot,
            request_bytes_max,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Waits for the first connection (or the next one).
    pub async fn wait_connected(&self, limit: Duration) -> Result<(), Error> {
        match tokio::time::timeout(limit, self.connected()).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout(limit)),
        }
    }

    async fn connected(&self) -> Result<(), Error> {
        let mut status = self.shared.status.clone();
        loop {
            match status.borrow_and_update().state {
                State::Connected => return Ok(()),
                State::Disconnected => {}
                State::Expired => return Err(Error::SessionExpired),
                State::AuthFailed => return Err(Error::AuthFailed),
                State::Closed => return Err(Error::Closed),
            }
            status.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// The current state and a way to wait for the next; states may be skipped,
    /// but `Expired` stays until [`Client::renew`].
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.clone()
    }

    /// Counts the sessions of this client.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.status.borrow().generation
    }

    /// Id and password, with which another process may take the session over.
    #[must_use]
    pub fn session(&self) -> Option<SessionToken> {
        self.shared.status.borrow().session.clone()
    }

    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        self.shared.status.borrow().session_timeout
    }

    /// Starts a new session after the old one expired; otherwise does nothing.
    pub async fn renew(&self) -> Result<(), Error> {
        let (done, renewed) = oneshot::channel();
        let sent = self.shared.control.send(Control::Renew(done)).await;
        sent.map_err(|_| Error::Closed)?;
        renewed.await.map_err(|_| Error::Closed)
    }

    /// Ends the session on the server, which removes its ephemeral nodes.
    /// Returns when the server answered, or cannot be reached.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.shared.control.send(Control::Close(done)).await.is_ok() {
            // An error means that the task is gone, thus closed as well.
            let _ = closed.await;
        }
    }

    /// A new, empty receiver of watch events.
    #[must_use]
    pub fn watcher(&self) -> Watcher {
        Watcher::new()
    }

    /// Repeats `op` over connection losses, waiting for the connection each
    /// time. Only for what may happen twice: reads, and writes whose second
    /// outcome the caller understands.
    pub async fn retry<T, F, Fut>(&self, op: F) -> Result<T, Error>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, Error>>,
    {
        loop {
            self.connected().await?;
            match op().await {
                Err(Error::ConnectionLoss) => {}
                other => return other,
            }
        }
    }

    /// Creates a node; returns its path, which differs for sequential nodes.
    pub async fn create(
        &self,
        path: &str,
        data: Option<Bytes>,
        mode: CreateMode,
    ) -> Result<String, Error> {
        self.create_with_acl(path, data, mode, Acl::open()).await
    }

    pub async fn create_with_acl(
        &self,
        path: &str,
        data: Option<Bytes>,
        mode: CreateMode,
        acl: Vec<Acl>,
    ) -> Result<String, Error> {
        let body = CreateRequest {
            path: self.full(path),
            data,
            acl,
            flags: mode.flags(),
        };
        let reply: PathResponse = self.call(OpCode::Create, &body).await?;
        Ok(transaction::strip(reply.path, &self.shared.chroot))
    }

    /// Creates `path` and what is missing above it; existing nodes are fine.
    pub async fn create_recursive(&self, path: &str) -> Result<(), Error> {
        create_all(self, &self.shared.chroot, path).await
    }

    /// Creates the chroot of the connect string when it is missing.
    pub async fn ensure_chroot(&self) -> Result<(), Error> {
        create_all(self, "", &self.shared.chroot).await
    }

    pub async fn delete(&self, path: &str, version: i32) -> Result<(), Error> {
        let body = DeleteRequest {
            path: self.full(path),
            version,
        };
        self.submit(OpCode::Delete, body.to_bytes(), None)
            .await
            .map(|_| ())
    }

    /// The node's stat; `None` when it does not exist.
    pub async fn exists(
        &self,
        path: &str,
        watcher: Option<&Watcher>,
    ) -> Result<Option<Stat>, Error> {
        let reply = self.read::<StatResponse>(OpCode::Exists, path, watcher, WatchKind::Exist);
        Ok(super::error::optional(reply.await)?.map(|reply| reply.stat))
    }

    pub async fn get_data(
        &self,
        path: &str,
        watcher: Option<&Watcher>,
    ) -> Result<(Bytes, Stat), Error> {
        let reply = self.read::<GetDataResponse>(OpCode::GetData, path, watcher, WatchKind::Data);
        let reply = reply.await?;
        Ok((reply.data.unwrap_or_default(), reply.stat))
    }

    pub async fn set_data(&self, path: &str, data: Bytes, version: i32) -> Result<Stat, Error> {
        let body = SetDataRequest {
            path: self.full(path),
            data: Some(data),
            version,
        };
        let reply: StatResponse = self.call(OpCode::SetData, &body).await?;
        Ok(reply.stat)
    }

    pub async fn get_children(
        &self,
        path: &str,
        watcher: Option<&Watcher>,
    ) -> Result<(Vec<String>, Stat), Error> {
        let op = OpCode::GetChildren2;
        let reply = self.read::<GetChildren2Response>(op, path, watcher, WatchKind::Child);
        let reply = reply.await?;
        Ok((reply.children, reply.stat))
    }

    pub async fn get_acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), Error> {
        let body = PathRequest {
            path: self.full(path),
        };
        let reply: GetAclResponse = self.call(OpCode::GetAcl, &body).await?;
        Ok((reply.acl, reply.stat))
    }

    pub async fn set_acl(&self, path: &str, acl: Vec<Acl>, version: i32) -> Result<Stat, Error> {
        let body = SetAclRequest {
            path: self.full(path),
            acl,
            version,
        };
        let reply: StatResponse = self.call(OpCode::SetAcl, &body).await?;
        Ok(reply.stat)
    }

    /// Makes the next read on this session see everything that was committed
    /// before.
    pub async fn sync(&self, path: &str) -> Result<(), Error> {
        let body = PathRequest {
            path: self.full(path),
        };
        self.call::<PathResponse>(OpCode::Sync, &body)
            .await
            .map(|_| ())
    }

    /// Commits all operations or none; on failure says which one was refused.
    pub async fn commit(&self, transaction: Transaction) -> Result<Vec<OpResult>, CommitError> {
        let body = transaction.into_request(&self.shared.chroot);
        let reply: MultiResponse =
            self.call(OpCode::Multi, &body)
                .await
                .map_err(|error| CommitError {
                    culprit: None,
                    error,
                })?;
        transaction::outcome(reply, &self.shared.chroot).map_err(|(index, error)| CommitError {
            culprit: Some(index),
            error,
        })
    }

    fn full(&self, path: &str) -> String {
        full(&self.shared.chroot, path)
    }

    async fn read<T: Record>(
        &self,
        op: OpCode,
        path: &str,
        watcher: Option<&Watcher>,
        kind: WatchKind,
    ) -> Result<T, Error> {
        let path = self.full(path);
        let watch = watcher.map(|watcher| WatchRequest {
            kind,
            path: path.clone(),
            mailbox: watcher.mailbox.clone(),
        });
        let body = PathWatchRequest {
            path,
            watch: watch.is_some(),
        };
        let reply = self.submit(op, body.to_bytes(), watch).await?;
        Ok(T::from_bytes(reply)?)
    }

    async fn call<T: Record>(&self, op: OpCode, body: &impl Record) -> Result<T, Error> {
        let reply = self.submit(op, body.to_bytes(), None).await?;
        Ok(T::from_bytes(reply)?)
    }

    async fn submit(
        &self,
        op: OpCode,
        body: Bytes,
        watch: Option<WatchRequest>,
    ) -> Result<Bytes, Error> {
        let size = body.len() + HEADER_BYTES;
        let limit = self.shared.request_bytes_max;
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        let (reply, answered) = oneshot::channel();
        let request = Request {
            op,
            body,
            watch,
            reply,
        };
        let sent = self.shared.requests.send(request).await;
        sent.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

/// Why a transaction did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct CommitError {
    /// The operation that was refused; `None` when the whole request failed.
    pub culprit: Option<usize>,
    pub error: Error,
}

fn full(chroot: &str, path: &str) -> String {
    match path {
        "/" if !chroot.is_empty() => chroot.to_owned(),
        _ => format!("{chroot}{path}"),
    }
}

async fn create_all(client: &Client, chroot: &str, path: &str) -> Result<(), Error> {
    let mut created = String::with_capacity(path.len());
    for component in path.split('/').filter(|component| !component.is_empty()) {
        created.push('/');
        created.push_str(component);
        let body = CreateRequest {
            path: full(chroot, &created),
            data: None,
            acl: Acl::open(),
            flags: CreateMode::Persistent.flags(),
        };
        let result = client
            .retry(|| client.call::<PathResponse>(OpCode::Create, &body))
            .await;
        match result {
            Ok(_) => {}
            Err(error) if error.is(common::zk::ErrorCode::NodeExists) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
