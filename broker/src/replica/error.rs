//! Why replicas refuse to be written or read.

use crate::log;
use crate::model::TopicPartition;

/// Why a replica cannot be read or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("This server does not host this topic-partition.")]
    UnknownPartition,
    #[error(
        "For requests intended only for the leader, this error indicates that the broker is not the current leader."
    )]
    NotLeader,
    #[error("The leader epoch in the request is older than the epoch on the broker.")]
    FencedEpoch,
    #[error("The leader epoch in the request is newer than the epoch on the broker.")]
    UnknownEpoch,
    #[error(
        "The leader high watermark has not caught up from a recent leader election so the offsets cannot be guaranteed to be monotonically increasing."
    )]
    OffsetNotAvailable,
    #[error(transparent)]
    Read(#[from] log::ReadError),
    #[error(transparent)]
    Log(#[from] log::Error),
}

/// Why records were not appended, or are not known to be committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error("This server does not host this topic-partition.")]
    UnknownPartition,
    #[error("This server does not host this topic ID.")]
    UnknownTopicId,
    #[error("Cannot append to an internal topic.")]
    InternalTopic,
    #[error("Produce request specified an invalid value for required acks.")]
    InvalidAcks,
    #[error("This server is not the leader for that topic-partition.")]
    NotLeader,
    #[error("The size of the current ISR is insufficient to satisfy the min.isr requirement.")]
    NotEnoughReplicas,
    #[error("Messages are written to the log, but to fewer in-sync replicas than required.")]
    NotEnoughReplicasAfterAppend,
    #[error("The request timed out.")]
    TimedOut,
    #[error(transparent)]
    Log(std::sync::Arc<log::AppendError>),
}

impl From<log::AppendError> for AppendError {
    fn from(error: log::AppendError) -> Self {
        Self::Log(std::sync::Arc::new(error))
    }
}

impl From<Error> for AppendError {
    fn from(error: Error) -> Self {
        match error {
            Error::UnknownPartition => Self::UnknownPartition,
            Error::Log(error) => log::AppendError::Storage(error).into(),
            Error::NotLeader
            | Error::FencedEpoch
            | Error::UnknownEpoch
            | Error::OffsetNotAvailable
            | Error::Read(_) => Self::NotLeader,
        }
    }
}

impl AppendError {
    /// The records that were at fault, by their place in the batch, and what was
    /// wrong with each, where it was the records.
    #[must_use]
    pub fn record_errors(&self, partition: &TopicPartition) -> Vec<(i32, String)> {
        let Self::Log(error) = self else {
            return Vec::new();
        };
        match &**error {
            log::AppendError::InvalidRecords(faults) => {
                let faults = faults.iter();
                faults
                    .map(|fault| (fault.index(), fault.text(partition)))
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}
