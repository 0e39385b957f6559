//! Why a transactional request is refused; one variant for each answer of the
//! protocol.

use crate::state_log::{self, Unavailable};

/// The answers of the coordinator other than success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the request is not valid")]
    InvalidRequest,
    #[error("the transaction timeout is not positive or larger than the allowed one")]
    InvalidTransactionTimeout,
    #[error("the producer id does not belong to the transactional id")]
    InvalidProducerIdMapping,
    #[error("a newer producer with the same transactional id replaced this one")]
    ProducerFenced,
    #[error("another change of the transactional id is under way")]
    ConcurrentTransactions,
    #[error("the transaction is not in a state for this")]
    InvalidTxnState,
    #[error("the transactional id is not known")]
    TransactionalIdNotFound,
    #[error("the coordinator of the transactional id is not available")]
    CoordinatorNotAvailable,
    #[error("the coordinator is loading the transactional id")]
    CoordinatorLoadInProgress,
    #[error("this broker does not coordinate the transactional id")]
    NotCoordinator,
    #[error("the state of the transactional id cannot go on")]
    Broken,
}

impl From<Unavailable> for Error {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Loading => Self::CoordinatorLoadInProgress,
            Unavailable::Stopped | Unavailable::NotHere => Self::NotCoordinator,
        }
    }
}

impl From<state_log::Error> for Error {
    /// What a producer hears when the state could not be appended.
    fn from(error: state_log::Error) -> Self {
        match error {
            state_log::Error::UnknownPartition
            | state_log::Error::NotEnoughReplicas
            | state_log::Error::Timeout => Self::CoordinatorNotAvailable,
            state_log::Error::NotLeader | state_log::Error::Storage | state_log::Error::Damaged => {
                Self::NotCoordinator
            }
            // Its records are in no transaction themselves.
            state_log::Error::TooLarge
            | state_log::Error::ProducerFenced
            | state_log::Error::CoordinatorFenced
            | state_log::Error::NotInTransaction => Self::Broken,
        }
    }
}
