//! What clients ask for, and what they are told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::zk::{
    Acl, AddWatchMode, CheckWatchesRequest, ClientInfo, CreateRequest, CreateTtlRequest,
    DeleteRequest, ErrorCode, EventType, Id, MultiOp, MultiResult, OpCode, SetAclRequest,
    SetDataRequest, SetWatches2, Stat, WatcherType,
};

use crate::session::Session;
use crate::tree::Leftover;
use crate::watch::WatcherId;

/// When a request arrived, and as what; for the statistics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    /// `None` for what is no operation, and for what the server asks of itself.
    pub(crate) op: Option<OpCode>,
}

impl From<Duration> for Arrival {
    fn from(at: Duration) -> Self {
        Self { at, op: None }
    }
}

#[derive(Debug)]
pub(crate) enum Request {
    Read(Read),
    Write(Write),
}

/// Requests that change the state, if they succeed.
#[derive(Debug)]
pub(crate) enum Write {
    Create(CreateRequest, Creation),
    /// The server's own: a container or TTL node that is no longer needed.
    DeleteLeftover(Leftover),
    Delete(DeleteRequest),
    SetData(SetDataRequest),
    SetAcl(SetAclRequest),
    Multi(Vec<MultiOp>),
    CreateSession {
        timeout_ms: i32,
    },
    CloseSession,
    Reconfig,
    /// A write that cannot be carried out, but takes its turn and a zxid.
    Refused(ErrorCode),
}

/// Which of the operations creates the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creation {
    /// The only one whose reply has no stat.
    Plain,
    WithStat,
    Container,
    Ttl {
        ms: i64,
    },
}

impl Creation {
    /// The request without its TTL, and the TTL.
    pub(crate) fn with_ttl(request: CreateTtlRequest) -> (CreateRequest, Self) {
        let ms = request.ttl_ms;
        let request = CreateRequest {
            path: request.path,
            data: request.data,
            acl: request.acl,
            flags: request.flags,
        };
        (request, Self::Ttl { ms })
    }
}

/// Requests that look at the state, and those about watches.
#[derive(Debug)]
pub(crate) enum Read {
    Exists {
        path: String,
        watch: bool,
    },
    GetData {
        path: String,
        watch: bool,
    },
    GetAcl {
        path: String,
    },
    GetChildren {
        path: String,
        watch: bool,
        with_stat: bool,
    },
    GetAllChildrenNumber {
        path: String,
    },
    GetEphemerals {
        prefix: String,
    },
    /// A sign of life; its answer takes its turn like any other.
    Ping,
    /// Done when everything before it is.
    Sync {
        path: String,
    },
    SetWatches(SetWatches2),
    AddWatch {
        path: String,
        mode: AddWatchMode,
    },
    CheckWatches(CheckWatchesRequest, WatcherType),
    RemoveWatches(CheckWatchesRequest, WatcherType),
    Several(Vec<MultiOp>),
    WhoAmI,
    /// A request that cannot be served; it only takes its turn.
    Refused(ErrorCode),
    /// An operation that is none for clients. It has not got as far as a zxid.
    Unknown,
}

/// The body of a successful reply.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Nothing,
    Path(String),
    PathStat(String, Stat),
    Stat(Stat),
    Data(Option<Bytes>, Stat),
    Acl(Vec<Acl>, Stat),
    Children(Vec<String>),
    ChildrenStat(Vec<String>, Stat),
    Count(i32),
    Paths(Vec<String>),
    /// The answer to addWatch.
    Watching,
    Multi(Vec<MultiResult>),
    WhoAmI(Vec<ClientInfo>),
    /// The next token of a SASL login.
    SaslToken(Option<Bytes>),
    SaslFailed(ErrorCode),
    /// The session that was asked for; the client may send requests now.
    Session(Arc<Session>),
    /// The session is closed; the connection ends.
    Closed,
}

/// Something that a watch was waiting for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) event_type: EventType,
    pub(crate) path: &'a str,
    /// The transaction that fired it; −1 if it happened while the client was away.
    pub(crate) zxid: i64,
}

/// A connection, as the pipeline sees it. Nothing here may block.
pub(crate) trait Client: Send + Sync {
    fn watcher_id(&self) -> WatcherId;

    /// Who the client has proved to be.
    fn ids(&self) -> Arc<[Id]>;

    /// Queues the reply to the request `xid` behind what is queued already.
    fn on_reply(&self, reply: Answer);

    /// Queues an event behind what is queued already.
    fn on_event(&self, event: Event<'_>);

    /// What was queued may be sent now. It is sent here, as far as that is possible
    /// at once.
    fn wake(&self);

    /// As [`Client::wake`], but leaves the sending to another thread.
    fn wake_elsewhere(&self);

    /// Ends the connection after what is queued was sent.
    fn close(&self);
}

/// A reply with its place in the order of things.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) xid: i32,
    /// The last transaction that the reply knows of.
    pub(crate) zxid: i64,
    pub(crate) received: Arrival,
    pub(crate) result: Result<Reply, ErrorCode>,
    /// Whether the request had gone through the queue.
    pub(crate) queued: bool,
}
