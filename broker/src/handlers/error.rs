//! The only place where errors of the broker become Kafka's codes.
//!
//! Every match is exhaustive, so a new error must find its code here.

use kafka_protocol::ResponseError;

use crate::controller::{ControlledShutdownError, ElectError, ElectionType, ReassignError};
use crate::group;
use crate::log;
use crate::registry::assignment;
use crate::registry::{
    AddPartitionsError, CreateTopicError, DeleteTopicError, Error as RegistryError,
};
use crate::replica;
use crate::state_log;
use crate::txn;

/// Reading from a replica; nothing was changed.
pub(crate) fn replica(error: &replica::Error) -> ResponseError {
    match error {
        replica::Error::UnknownPartition => ResponseError::UnknownTopicOrPartition,
        replica::Error::NotLeader => ResponseError::NotLeaderOrFollower,
        replica::Error::FencedEpoch => ResponseError::FencedLeaderEpoch,
        replica::Error::UnknownEpoch => ResponseError::UnknownLeaderEpoch,
        replica::Error::OffsetNotAvailable => ResponseError::OffsetNotAvailable,
        replica::Error::Read(log::ReadError::OutOfRange { .. }) => ResponseError::OffsetOutOfRange,
        replica::Error::Read(error @ log::ReadError::Damaged { .. }) => {
            tracing::error!(%error, "read refused");
            ResponseError::CorruptMessage
        }
        replica::Error::Read(log::ReadError::Storage(error)) | replica::Error::Log(error) => {
            tracing::error!(%error, "a log cannot be read");
            ResponseError::KafkaStorageError
        }
    }
}

/// Moving a replica to another directory; nothing was begun.
pub(crate) fn move_replica(error: &replica::MoveReplicaError) -> ResponseError {
    use replica::MoveReplicaError as E;
    match error {
        E::NotHere => ResponseError::ReplicaNotAvailable,
        E::Dir(log::MoveError::UnknownDir(_)) => ResponseError::LogDirNotFound,
        E::Dir(log::MoveError::NameTooLong) => ResponseError::InvalidTopicException,
        E::Offline | E::Dir(log::MoveError::OfflineDir(_) | log::MoveError::Log(_)) => {
            ResponseError::KafkaStorageError
        }
    }
}

/// Deleting records; nothing was changed.
pub(crate) fn delete_records(error: &replica::DeleteRecordsError) -> ResponseError {
    match error {
        replica::DeleteRecordsError::Replica(error) => self::replica(error),
        replica::DeleteRecordsError::Policy => ResponseError::PolicyViolation,
        replica::DeleteRecordsError::OutOfRange(_) => ResponseError::OffsetOutOfRange,
    }
}

/// Appending. Nothing was written, except with `NotEnoughReplicasAfterAppend`,
/// `TimedOut` and storage errors, where it may have been.
pub(crate) fn append(error: &replica::AppendError) -> ResponseError {
    use replica::AppendError as E;
    match error {
        E::UnknownPartition => ResponseError::UnknownTopicOrPartition,
        E::UnknownTopicId => ResponseError::UnknownTopicId,
        E::InternalTopic => ResponseError::InvalidTopicException,
        E::InvalidAcks => ResponseError::InvalidRequiredAcks,
        E::NotLeader => ResponseError::NotLeaderOrFollower,
        E::NotEnoughReplicas => ResponseError::NotEnoughReplicas,
        E::NotEnoughReplicasAfterAppend => ResponseError::NotEnoughReplicasAfterAppend,
        E::TimedOut => ResponseError::RequestTimedOut,
        E::Log(error) => log_append(error),
    }
}

fn log_append(error: &log::AppendError) -> ResponseError {
    use log::AppendError as E;
    match error {
        E::Corrupt(_) => ResponseError::CorruptMessage,
        E::InvalidRecords(faults) if faults.iter().any(|fault| fault.is_about_time()) => {
            ResponseError::InvalidTimestamp
        }
        E::UnsupportedMagic(_) | E::InvalidRecord(_) | E::InvalidRecords(_) => {
            ResponseError::InvalidRecord
        }
        E::UnsupportedCompression(_) => ResponseError::UnsupportedCompressionType,
        E::TooLarge { .. } => ResponseError::MessageTooLarge,
        E::LargerThanSegment { .. } => ResponseError::RecordListTooLarge,
        E::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
        E::InvalidProducerEpoch { .. } => ResponseError::InvalidProducerEpoch,
        E::CoordinatorFenced { .. } => ResponseError::TransactionCoordinatorFenced,
        E::InvalidTxnState { .. } | E::NotVerified { .. } => ResponseError::InvalidTxnState,
        // Only followers append at given offsets.
        E::UnexpectedOffset { .. } | E::OffsetsOutOfOrder => ResponseError::UnknownServerError,
        E::Storage(error) => {
            tracing::error!(%error, "records cannot be written");
            ResponseError::KafkaStorageError
        }
    }
}

/// Creating a topic; nothing was created, except when the registry failed.
pub(crate) fn create_topic(error: &CreateTopicError) -> ResponseError {
    use CreateTopicError as E;
    match error {
        E::Exists(_) | E::MarkedForDeletion(_) => ResponseError::TopicAlreadyExists,
        E::Collides { .. } => ResponseError::InvalidTopicException,
        E::Assignment(error) => assignment_error(error),
        E::UnevenReplicas | E::DuplicateReplicas(_) | E::PartitionsNotConsecutive => {
            ResponseError::InvalidReplicaAssignment
        }
        E::Registry(error) => registry(error),
    }
}

/// Adding partitions; nothing was added, except when the registry failed.
pub(crate) fn add_partitions(error: &AddPartitionsError) -> ResponseError {
    use AddPartitionsError as E;
    match error {
        E::UnknownTopic(_) => ResponseError::UnknownTopicOrPartition,
        E::NoIncrease { .. } => ResponseError::InvalidPartitions,
        E::NoFirstPartition(_) => ResponseError::UnknownServerError,
        E::NoReplicas(_)
        | E::DuplicateReplicas { .. }
        | E::UnknownBrokers { .. }
        | E::WrongCount { .. }
        | E::UnevenReplicas { .. } => ResponseError::InvalidReplicaAssignment,
        E::Assignment(error) => assignment_error(error),
        E::Registry(error) => registry(error),
    }
}

/// Deleting a topic.
pub(crate) fn delete_topic(error: &DeleteTopicError) -> ResponseError {
    match error {
        DeleteTopicError::UnknownTopic(_) => ResponseError::UnknownTopicOrPartition,
        DeleteTopicError::AlreadyMarked(_) => ResponseError::TopicAlreadyExists,
        DeleteTopicError::Registry(error) => registry(error),
    }
}

/// Moving replicas; nothing was begun, except with `Failed`, where it may have
/// been.
pub(crate) fn reassign(error: &ReassignError) -> ResponseError {
    match error {
        ReassignError::InvalidReplicas(_) => ResponseError::InvalidReplicaAssignment,
        ReassignError::NoneInProgress => ResponseError::NoReassignmentInProgress,
        ReassignError::UnknownPartition => ResponseError::UnknownTopicOrPartition,
        ReassignError::Failed => ResponseError::UnknownServerError,
    }
}

/// Electing leaders; nothing was changed.
pub(crate) fn elect(error: &ElectError) -> ResponseError {
    match error {
        ElectError::NotNeeded => ResponseError::ElectionNotNeeded,
        ElectError::BeingDeleted => ResponseError::InvalidTopicException,
        ElectError::UnknownPartition => ResponseError::UnknownTopicOrPartition,
        ElectError::NoneEligible { election, .. } => match election {
            ElectionType::Preferred => ResponseError::PreferredLeaderNotAvailable,
            ElectionType::Unclean => ResponseError::EligibleLeadersNotAvailable,
        },
    }
}

/// A broker that wants to leave; its leaders may have moved when the registry
/// failed.
pub(crate) fn controlled_shutdown(error: &ControlledShutdownError) -> ResponseError {
    use ControlledShutdownError as E;
    match error {
        E::NotController => ResponseError::NotController,
        E::StaleBrokerEpoch { .. } => ResponseError::StaleBrokerEpoch,
        E::UnknownBroker(_) => ResponseError::BrokerNotAvailable,
        E::Registry(error) => registry(error),
    }
}

/// A configuration that no topic may have.
pub(crate) fn topic_config(
    error: &log::ConfigError,
    topic: &str,
) -> (ResponseError, Option<String>) {
    use log::ConfigError as E;
    let message = match error {
        E::UnknownName(_) | E::CompactionLags { .. } => error.to_string(),
        E::NotANumber { .. }
        | E::NotABoolean { .. }
        | E::TooSmall { .. }
        | E::TooLarge { .. }
        | E::NotOneOf { .. }
        | E::NotALevel { .. }
        | E::NotAVersion { .. }
        | E::NotReplicas { .. }
        | E::RemoteStorage => format!(
            "Invalid config value for resource ConfigResource(type=TOPIC, name='{topic}'): {error}"
        ),
    };
    (ResponseError::InvalidConfig, Some(message))
}

/// Reading or writing a configuration; with `RequestTimedOut` it may have been
/// written.
pub(crate) fn config_znode(error: &RegistryError) -> (ResponseError, Option<String>) {
    (registry(error), Some(error.to_string()))
}

fn assignment_error(error: &assignment::Error) -> ResponseError {
    match error {
        assignment::Error::NoPartitions | assignment::Error::TooManyPartitions => {
            ResponseError::InvalidPartitions
        }
        assignment::Error::NoReplicas
        | assignment::Error::TooFewBrokers { .. }
        | assignment::Error::RacksIncomplete => ResponseError::InvalidReplicationFactor,
    }
}

fn registry(error: &RegistryError) -> ResponseError {
    tracing::warn!(%error, "the coordinator could not be asked");
    match error {
        RegistryError::ControllerMoved => ResponseError::NotController,
        RegistryError::Zk(_) => ResponseError::RequestTimedOut,
        RegistryError::Malformed { .. } | RegistryError::ProducerIdsExhausted => {
            ResponseError::UnknownServerError
        }
    }
}

/// The groups' answers. Nothing was changed, except with `RequestTimedOut`,
/// where the records may still be committed.
pub(crate) fn group(error: group::Error) -> i16 {
    use group::Error;
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
        Error::RequestTimedOut => ResponseError::RequestTimedOut,
        Error::ProducerFenced => ResponseError::InvalidProducerEpoch,
        Error::InvalidTxnState => ResponseError::InvalidTxnState,
        Error::StoreFailed => ResponseError::UnknownServerError,
    };
    code.code()
}

/// The end of a transaction in a partition of a coordinator of this broker.
/// Nothing was written, except with `RequestTimedOut`, `NotEnoughReplicas` and
/// storage errors, where it may have been.
pub(crate) fn end_transaction(error: state_log::Error) -> ResponseError {
    use state_log::Error as E;
    match error {
        E::NotLeader => ResponseError::NotLeaderOrFollower,
        E::UnknownPartition => ResponseError::UnknownTopicOrPartition,
        E::TooLarge => ResponseError::MessageTooLarge,
        E::NotEnoughReplicas => ResponseError::NotEnoughReplicas,
        E::Timeout => ResponseError::RequestTimedOut,
        E::ProducerFenced => ResponseError::InvalidProducerEpoch,
        E::CoordinatorFenced => ResponseError::TransactionCoordinatorFenced,
        E::NotInTransaction => ResponseError::InvalidTxnState,
        E::Storage | E::Damaged => ResponseError::KafkaStorageError,
    }
}

/// What a committer hears when its transaction was not verified, or its records
/// not taken.
pub(crate) fn offset_commit(error: ResponseError) -> ResponseError {
    use ResponseError as E;
    match error {
        // Clients come again without looking for the coordinator first.
        E::NetworkException => E::CoordinatorLoadInProgress,
        E::UnknownTopicOrPartition | E::NotEnoughReplicas | E::NotEnoughReplicasAfterAppend => {
            E::CoordinatorNotAvailable
        }
        E::NotLeaderOrFollower | E::KafkaStorageError => E::NotCoordinator,
        other => other,
    }
}

/// 0 or the code of a group's error.
pub(crate) fn group_outcome(outcome: Result<(), group::Error>) -> i16 {
    outcome.err().map_or(0, group)
}

/// The transaction coordinator's answers. Nothing was changed, except with
/// `CoordinatorNotAvailable`, where the record may still be committed.
pub(crate) fn transaction(error: txn::Error) -> ResponseError {
    use txn::Error as E;
    match error {
        E::InvalidRequest => ResponseError::InvalidRequest,
        E::InvalidTransactionTimeout => ResponseError::InvalidTransactionTimeout,
        E::InvalidProducerIdMapping => ResponseError::InvalidProducerIdMapping,
        E::ProducerFenced => ResponseError::ProducerFenced,
        E::ConcurrentTransactions => ResponseError::ConcurrentTransactions,
        E::InvalidTxnState => ResponseError::InvalidTxnState,
        E::TransactionalIdNotFound => ResponseError::TransactionalIdNotFound,
        E::CoordinatorNotAvailable => ResponseError::CoordinatorNotAvailable,
        E::CoordinatorLoadInProgress => ResponseError::CoordinatorLoadInProgress,
        E::NotCoordinator => ResponseError::NotCoordinator,
        E::Broken => ResponseError::UnknownServerError,
    }
}

/// The same for a producer that learned only in version `fenced_from` of a request
/// that it can be fenced.
pub(crate) fn transaction_in(error: txn::Error, version: i16, fenced_from: i16) -> i16 {
    let code = match transaction(error) {
        ResponseError::ProducerFenced if version < fenced_from => {
            ResponseError::InvalidProducerEpoch
        }
        code => code,
    };
    code.code()
}
