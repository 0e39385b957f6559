//! The way from this broker to others: one ordered channel per broker.
//!
//! **Invariant:** requests to one broker arrive in the order they were sent.

use futures::future::BoxFuture;

use crate::protocol::interbroker::{ControlRequest, ControlResponse, LiveBroker};

/// Why a request did not reach its broker.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("broker {0} cannot be reached")]
    Unreachable(i32),
    #[error("the channel to broker {0} is closed")]
    Closed(i32),
}

/// Carries control requests; the controller sends the next one to a broker
/// only after the previous one to the same broker was answered.
pub trait ControlChannel: Send + Sync + 'static {
    fn send(
        &self,
        to: &LiveBroker,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<ControlResponse, Error>>;
}
