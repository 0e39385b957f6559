//! Why a group request is refused; one variant for each answer of the protocol.

use crate::state_log::{self, Unavailable};

/// The answers of the group protocol other than success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the group id is not valid")]
    InvalidGroupId,
    #[error("the coordinator of the group is not available")]
    CoordinatorNotAvailable,
    #[error("the coordinator is loading the group")]
    CoordinatorLoadInProgress,
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    #[error("the generation is not the group's current one")]
    IllegalGeneration,
    #[error("the member's protocols do not match the group's")]
    InconsistentGroupProtocol,
    #[error("the group does not know the member")]
    UnknownMemberId,
    #[error("the session timeout is out of the allowed range")]
    InvalidSessionTimeout,
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    #[error("the metadata of the offset is too long")]
    OffsetMetadataTooLarge,
    #[error("the offsets do not fit one batch of the internal topic")]
    InvalidCommitOffsetSize,
    #[error("the group has reached its maximum size")]
    GroupMaxSizeReached,
    #[error("the member must join again with the id it was given")]
    MemberIdRequired,
    #[error("another member with the same instance id replaced this one")]
    FencedInstanceId,
    #[error("the group is not empty")]
    NonEmptyGroup,
    #[error("the group does not exist")]
    GroupIdNotFound,
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    #[error("an offset commit of the partition is still pending")]
    UnstableOffsetCommit,
    #[error("the offsets were not committed in time")]
    RequestTimedOut,
    #[error("the producer has a newer epoch")]
    ProducerFenced,
    #[error("the producer is in no transaction in the group's partition")]
    InvalidTxnState,
    #[error("the group's metadata could not be stored")]
    StoreFailed,
}

impl From<Unavailable> for Error {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Stopped => Self::CoordinatorNotAvailable,
            Unavailable::Loading => Self::CoordinatorLoadInProgress,
            Unavailable::NotHere => Self::NotCoordinator,
        }
    }
}

impl Error {
    /// What a member hears when the group's metadata could not be appended.
    pub(super) fn from_group_store(error: state_log::Error) -> Self {
        match error {
            state_log::Error::UnknownPartition | state_log::Error::NotEnoughReplicas => {
                Self::CoordinatorNotAvailable
            }
            state_log::Error::NotLeader | state_log::Error::Storage | state_log::Error::Damaged => {
                Self::NotCoordinator
            }
            state_log::Error::Timeout => Self::RebalanceInProgress,
            // Such a record is part of no transaction.
            state_log::Error::ProducerFenced
            | state_log::Error::CoordinatorFenced
            | state_log::Error::NotInTransaction => Self::StoreFailed,
            state_log::Error::TooLarge => Self::StoreFailed,
        }
    }

    /// What a committer hears when its offsets could not be appended.
    pub(super) fn from_offset_store(error: state_log::Error) -> Self {
        match error {
            state_log::Error::UnknownPartition | state_log::Error::NotEnoughReplicas => {
                Self::CoordinatorNotAvailable
            }
            state_log::Error::NotLeader | state_log::Error::Storage | state_log::Error::Damaged => {
                Self::NotCoordinator
            }
            state_log::Error::Timeout => Self::RequestTimedOut,
            state_log::Error::ProducerFenced => Self::ProducerFenced,
            // Offsets come with no epoch of a coordinator.
            state_log::Error::NotInTransaction | state_log::Error::CoordinatorFenced => {
                Self::InvalidTxnState
            }
            state_log::Error::TooLarge => Self::InvalidCommitOffsetSize,
        }
    }
}
