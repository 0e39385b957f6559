//! Why a request to the coordinator failed.

use common::jute;
use common::zk::ErrorCode;

/// What a caller gets instead of a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection ended before the answer; a write may have happened.
    #[error("the connection to the coordinator was lost")]
    ConnectionLoss,
    /// The session is gone, and with it every ephemeral node and watch.
    #[error("the session with the coordinator expired")]
    SessionExpired,
    #[error("the coordinator refused the credentials")]
    AuthFailed,
    #[error("the client is closed")]
    Closed,
    #[error("no connection to the coordinator within {0:?}")]
    Timeout(std::time::Duration),
    #[error("a request of {size} bytes is larger than the limit of {limit} (jute.maxbuffer)")]
    TooLarge { size: usize, limit: usize },
    #[error("the coordinator answered: {0}")]
    Server(ErrorCode),
    #[error("the coordinator answered with the unknown error {0}")]
    UnknownCode(i32),
    #[error("the coordinator's answer cannot be decoded: {0}")]
    Wire(#[from] jute::Error),
    /// A reply of another kind than the request calls for.
    #[error("the coordinator's answer does not fit the request")]
    UnexpectedReply,
}

impl Error {
    /// The error of a reply header; `None` for success.
    pub(super) fn from_reply(code: i32) -> Option<Self> {
        if code == 0 {
            return None;
        }
        Some(match ErrorCode::from_code(code) {
            Some(ErrorCode::ConnectionLoss) => Self::ConnectionLoss,
            Some(ErrorCode::SessionExpired) => Self::SessionExpired,
            Some(ErrorCode::AuthFailed) => Self::AuthFailed,
            Some(code) => Self::Server(code),
            None => Self::UnknownCode(code),
        })
    }

    /// Whether the server answered with exactly this code.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        *self == Self::Server(code)
    }
}

/// Turns "no such node" into `None`.
pub(crate) fn optional<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is(ErrorCode::NoNode) => Ok(None),
        Err(error) => Err(error),
    }
}
