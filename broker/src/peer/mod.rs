//! The way from this broker to others: one ordered connection per broker.
//!
//! Flow: `ControlChannel::send` or a method of `Peers` -> the broker's
//! connection (opened when it is needed) -> request -> response. A `Link` is a
//! connection that its owner shares with nobody: a follower's to its leader.
//! State: `Peers` owns the connections; a caller that gives up drops the one
//! that it was using.
//!
//! **Invariant:** requests to one broker arrive in the order they were sent.
//! **Invariant:** a connection that saw an error or a late answer is not used
//! again.

mod connection;
mod link;
mod peers;

use std::io;
use std::time::Duration;

use common::frame;
use futures::future::BoxFuture;

pub use link::{Address, Link};
pub use peers::{Config, Peers};

use crate::model::BrokerId;
use crate::protocol::interbroker::{self, ControlRequest, ControlResponse, LiveBroker};

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("broker {0} cannot be reached")]
    Unreachable(BrokerId),
    #[error("broker {broker} has no listener {listener}")]
    NoListener { broker: BrokerId, listener: String },
    #[error(
        "listener {listener} of broker {broker} needs {protocol}, and only PLAINTEXT is spoken"
    )]
    Protocol {
        broker: BrokerId,
        listener: String,
        protocol: String,
    },
    #[error("broker {broker} at {host}:{port} cannot be reached: {source}")]
    Connect {
        broker: BrokerId,
        host: String,
        port: u16,
        source: io::Error,
    },
    #[error("the connection to broker {broker} broke: {source}")]
    Broken {
        broker: BrokerId,
        source: frame::Error,
    },
    #[error("broker {0} closed the connection")]
    Closed(BrokerId),
    #[error("broker {broker} gave answer {got} where {asked} was asked")]
    Correlation {
        broker: BrokerId,
        asked: i32,
        got: i32,
    },
    #[error("broker {broker} did not answer within {limit:?}")]
    TimedOut { broker: BrokerId, limit: Duration },
    #[error("a message to or from broker {broker} is wrong: {source}")]
    Message {
        broker: BrokerId,
        source: interbroker::Error,
    },
    #[error("a message to or from broker {broker} is wrong: {reason}")]
    Codec { broker: BrokerId, reason: String },
}

/// Carries control requests; the controller sends the next one to a broker
/// only after the previous one to the same broker was answered.
pub trait ControlChannel: Send + Sync + 'static {
    /// Dropping the future gives up waiting; the request may have arrived.
    fn send(
        &self,
        to: &LiveBroker,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<ControlResponse, Error>>;

    /// Nothing more will be sent to this incarnation of `broker`.
    fn disconnect(&self, _broker: BrokerId) {}
}
