//! Why a connection ends, and the codes for what the decoder finds.

use common::zk::ErrorCode;
use common::{frame, jute};

use crate::metrics::Metrics;

/// The end of a connection that its client did not ask for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Frame(#[from] frame::Error),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the first frame is no connect request: {0}")]
    Handshake(jute::Error),
    #[error("a frame is too short for a request header: {0}")]
    Header(jute::Error),
    #[error("credentials cannot be decoded: {0}")]
    Credentials(jute::Error),
    #[error("no session within {0:?}")]
    HandshakeTimeout(std::time::Duration),
    #[error("the client has seen transaction {seen:#x}, this server is at {here:#x}")]
    ClientIsAhead { seen: i64, here: i64 },
    #[error("the client does not read what it is sent: {0} bytes wait for it")]
    SlowClient(usize),
    #[error("the server is stopping")]
    Stopping,
}

impl Error {
    /// Whether an operator would want to see it in the log.
    pub(super) fn is_noteworthy(&self) -> bool {
        match self {
            Self::Frame(frame::Error::Truncated | frame::Error::Io(_)) => false,
            Self::Io(_) | Self::Stopping => false,
            Self::Frame(frame::Error::Negative(_) | frame::Error::TooLarge { .. }) => true,
            Self::Handshake(_)
            | Self::Header(_)
            | Self::Credentials(_)
            | Self::HandshakeTimeout(_) => true,
            Self::ClientIsAhead { .. } | Self::SlowClient(_) => true,
        }
    }
}

impl Error {
    /// Adds the end of a connection to what is counted.
    pub(super) fn count(&self, metrics: &Metrics) {
        if self.is_noteworthy() {
            metrics.connection_drop_count.increment();
        }
        match self {
            Self::HandshakeTimeout(_) => metrics.sessionless_connections_expired.increment(),
            Self::Frame(_) | Self::Io(_) | Self::Handshake(_) | Self::Header(_) => {}
            Self::Credentials(_) | Self::ClientIsAhead { .. } => {}
            Self::SlowClient(_) | Self::Stopping => {}
        }
    }
}

/// What a client is told whose request cannot be decoded. Nothing has happened.
pub(super) fn code_of(error: &jute::Error) -> ErrorCode {
    match error {
        jute::Error::Truncated { .. }
        | jute::Error::NegativeLength(_)
        | jute::Error::UnexpectedNull
        | jute::Error::BadDiscriminant { .. }
        | jute::Error::Trailing(_) => ErrorCode::MarshallingError,
    }
}
