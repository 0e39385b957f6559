//! A ZooKeeper client that knows no Kafka.
//!
//! Flow: `Client` (cheap to clone) hands requests to the session's one task,
//! which writes them in order, keeps at most `max_in_flight` unanswered, and
//! answers them in order. The task pings, reconnects to the next server,
//! re-attaches the session and re-arms watches; it says what it is doing through
//! [`Client::status`]. When the server says that the session is gone the task
//! rests in [`State::Expired`] until the owner calls [`Client::renew`]: whoever
//! holds ephemeral nodes must decide when to create them again.
//!
//! State: the session, the unanswered requests and the watches belong to the
//! task; callers see them only through replies and events.
//!
//! **Invariant:** requests are sent and answered in the order of submission.
//! **Invariant:** a watch event is seen before any reply that shows its change.
//! **Invariant:** a request whose outcome is unknown ends in
//! [`Error::ConnectionLoss`]; it is never sent twice by this module, except
//! through [`Client::retry`], where the caller vouches that it may be.
//! **Invariant:** events and replies of an older session never reach the owner
//! of a newer one unmarked: both carry the session's generation.

mod client;
mod connect_string;
mod connection;
mod error;
mod session;
mod transaction;
mod watcher;
mod watches;

pub use client::{Client, CommitError, Config, DEFAULT_SESSION_TIMEOUT, State, Status};
pub use common::zk::{Acl, CreateMode, ErrorCode, EventType, Stat};
pub use connect_string::{ConnectString, ConnectStringError};
pub use error::Error;
pub(crate) use error::optional;
pub use session::SessionToken;
pub use transaction::{OpResult, Transaction};
pub use watcher::{WatchEvent, Watcher};

/// Matches any version in a conditional operation.
pub const ANY_VERSION: i32 = -1;
