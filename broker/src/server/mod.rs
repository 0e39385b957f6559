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
use std::sync::atomic::{AtomicU32, Ordering};
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

/// What kind of request a frame is, in the service's own numbers; it may become
/// clearer while the request is looked at.
#[derive(Debug)]
pub struct Kind(AtomicU32);

impl Default for Kind {
    fn default() -> Self {
        Self(AtomicU32::new(Self::NONE))
    }
}

impl Kind {
    /// Nothing that the service counts.
    const NONE: u32 = u32::MAX;

    pub fn set(&self, number: u32) {
        self.0.store(number, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> Option<u32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != Self::NONE)
    }
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
    /// Runs the ordered part of a request, and says in `kind` what it is.
    fn call<'a>(&'a self, peer: &'a Peer, frame: Bytes, kind: &'a Kind) -> Call<'a>;

    /// A request was answered, or needed no answer; from its arrival it took so long.
    fn served(&self, kind: u32, took: Duration);
}
