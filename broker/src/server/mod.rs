//! Sockets: listeners, connections, ordered replies, and the admin pages.
//!
//! Flow: `Listener` accepts -> `connection::serve` cuts frames -> `Service`
//! answers with a `Reply` -> replies leave in the order of their requests.
//! State: each connection is one task; `Limits` counts them.
//!
//! **Invariant:** this module knows no Kafka type: frames in, frames out.
//! **Invariant:** a request's ordered part has run before the next frame of
//! its connection is looked at.

pub mod admin;
mod connection;
mod limits;
mod listener;
mod memory;
mod waiting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::wire::Frame;
use futures::future::BoxFuture;

pub use limits::{Limits, LimitsConfig};
pub use listener::{Config, Listener};
pub use memory::RequestMemory;

/// What a handler gives back for a frame.
pub enum Reply {
    /// The answer is here.
    Now(Frame),
    /// The ordered part is done; the answer comes later. Dropping the future
    /// gives up waiting, not what was done.
    Later(BoxFuture<'static, Outcome>),
    /// The request has no answer (acks=0).
    Nothing,
    /// The client's bytes cannot be served; the connection ends.
    Close,
    /// The same, and then nothing is read for a while: the client used more
    /// than it may (KIP-219).
    Muting(Box<Reply>, Duration),
}

/// The ordered part of a request.
pub enum Call<'a> {
    Done(Reply),
    /// It waits for something itself, and the requests behind it wait with it.
    Waits(BoxFuture<'a, Reply>),
}

/// What a waiting answer turned into.
pub enum Outcome {
    Answer(Frame),
    Nothing,
    Close,
    /// The answer, and then nothing is read for a while.
    Muting(Frame, Duration),
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    /// Name of the listener that accepted the connection.
    pub listener: Arc<str>,
}

/// Answers the frames of all connections.
pub trait Service: Send + Sync + 'static {
    /// Runs the ordered part of a request.
    fn call<'a>(&'a self, peer: &'a Peer, frame: Bytes) -> Call<'a>;
}
