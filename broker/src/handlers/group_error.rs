//! The one table from group errors to Kafka's codes.

use kafka_protocol::ResponseError;

use crate::group::Error;

/// Kafka's code for a group error.
pub(crate) fn group_error_code(error: &Error) -> i16 {
    let code = match error {
        Error::InvalidGroupId => ResponseError::InvalidGroupId,
        Error::CoordinatorNotAvailable => ResponseError::CoordinatorNotAvailable,
        Error::CoordinatorLoadInProgress => ResponseError::CoordinatorLoadInProgress,
        Error::NotCoordinator => ResponseError::NotCoordinator,
        Error::IllegalGeneration => ResponseError::IllegalGeneration,
        Error::InconsistentGroupProtocol => ResponseError::InconsistentGroupProtocol,
        Error::UnknownMemberId => ResponseError::UnknownMemberId,
        Error::InvalidSessionTimeout => ResponseError::InvalidSessionTimeout,
        Error::RebalanceInProgress => ResponseError::RebalanceInProgress,
        Error::OffsetMetadataTooLarge => ResponseError::OffsetMetadataTooLarge,
        Error::InvalidCommitOffsetSize => ResponseError::InvalidCommitOffsetSize,
        Error::GroupMaxSizeReached => ResponseError::GroupMaxSizeReached,
        Error::MemberIdRequired => ResponseError::MemberIdRequired,
        Error::FencedInstanceId => ResponseError::FencedInstanceId,
        Error::NonEmptyGroup => ResponseError::NonEmptyGroup,
        Error::GroupIdNotFound => ResponseError::GroupIdNotFound,
        Error::GroupSubscribedToTopic => ResponseError::GroupSubscribedToTopic,
        Error::UnstableOffsetCommit => ResponseError::UnstableOffsetCommit,
        // The records may still be committed after this answer.
        Error::RequestTimedOut => ResponseError::RequestTimedOut,
        Error::StoreFailed => ResponseError::UnknownServerError,
    };
    code.code()
}

/// 0 or the error's code.
pub(crate) fn outcome_code(outcome: &Result<(), Error>) -> i16 {
    outcome.as_ref().err().map_or(0, group_error_code)
}
