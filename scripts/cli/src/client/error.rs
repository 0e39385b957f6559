//! Why a request failed, in the words of Kafka's own clients.

use kafka_protocol::error::ResponseError;

use super::Endpoint;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("Connection to {0} could not be established.")]
    Unreachable(Endpoint, #[source] std::io::Error),
    #[error("Connection to {0} was closed before the answer came.")]
    Disconnected(Endpoint),
    #[error("The answer of {0} could not be read: {1}")]
    Malformed(Endpoint, String),
    #[error("The request could not be written: {0}")]
    Unwritable(String),
    #[error("The node does not support {0}")]
    Unsupported(String),
    #[error("Timed out waiting for a node assignment. Call: {0}")]
    NoNode(&'static str),
    #[error("Topic {topic} not present in metadata after {waited_ms} ms.")]
    NoTopic { topic: String, waited_ms: u128 },
    #[error("Invalid topics: [{0}]")]
    InvalidTopic(String),
    #[error(
        "The message is {size} bytes when serialized which is larger than {limit}, which is the value of the max.request.size configuration."
    )]
    TooLarge { size: usize, limit: usize },
    #[error(
        "Expiring {count} record(s) for {topic}-{partition}:{waited_ms} ms has passed since batch creation"
    )]
    Expired {
        count: usize,
        topic: String,
        partition: i32,
        waited_ms: u128,
    },
    #[error("No broker with id {0} is known.")]
    UnknownBroker(i32),
    #[error("{}", message.clone().unwrap_or_else(|| default_text(*code)))]
    Server { code: i16, message: Option<String> },
}

impl Error {
    /// The failure that `code` and its text stand for, if it is one.
    pub(crate) fn check(code: i16, message: Option<&str>) -> Result<(), Self> {
        match code {
            0 => Ok(()),
            code => Err(Self::Server {
                code,
                message: message.map(str::to_owned),
            }),
        }
    }

    pub(crate) fn code(&self) -> Option<ResponseError> {
        match self {
            Self::Server { code, .. } => ResponseError::try_from_code(*code),
            _ => None,
        }
    }

    pub(crate) fn is(&self, error: ResponseError) -> bool {
        self.code() == Some(error)
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable(..) | Self::Disconnected(_) | Self::UnknownBroker(_) => true,
            Self::Server { code, .. } => is_retriable_code(*code),
            _ => false,
        }
    }

    /// Whether no broker was reached at all.
    pub(crate) fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(..) | Self::Disconnected(_) | Self::UnknownBroker(_)
        )
    }

    /// The Java class that stands for this failure in Kafka's messages.
    pub(crate) fn class(&self) -> String {
        let name = match self {
            Self::Server { code, .. } => class_name(*code),
            Self::Unsupported(_) => "UnsupportedVersionException".to_owned(),
            Self::NoNode(_) | Self::NoTopic { .. } | Self::Expired { .. } => {
                "TimeoutException".to_owned()
            }
            Self::InvalidTopic(_) => "InvalidTopicException".to_owned(),
            Self::TooLarge { .. } => "RecordTooLargeException".to_owned(),
            Self::Unreachable(..) | Self::Disconnected(_) | Self::UnknownBroker(_) => {
                "DisconnectException".to_owned()
            }
            Self::Malformed(..) | Self::Unwritable(_) => "KafkaException".to_owned(),
        };
        format!("org.apache.kafka.common.errors.{name}")
    }
}

pub(crate) fn is_retriable_code(code: i16) -> bool {
    ResponseError::try_from_code(code).is_some_and(|error| error.is_retriable())
}

/// `UNKNOWN_TOPIC_OR_PARTITION`: the code as Kafka's logs spell it.
pub(crate) fn code_name(code: i16) -> String {
    let Some(error) = ResponseError::try_from_code(code) else {
        return "NONE".to_owned();
    };
    upper_snake(&format!("{error:?}"))
}

/// `ListOffsets` → `LIST_OFFSETS`.
pub(crate) fn upper_snake(camel: &str) -> String {
    let mut name = String::new();
    for (index, letter) in camel.char_indices() {
        if letter.is_uppercase() && index > 0 {
            name.push('_');
        }
        name.extend(letter.to_uppercase());
    }
    name
}

fn class_name(code: i16) -> String {
    use ResponseError as E;
    match ResponseError::try_from_code(code) {
        Some(E::TopicAlreadyExists) => "TopicExistsException".to_owned(),
        Some(E::RequestTimedOut) => "TimeoutException".to_owned(),
        Some(E::MessageTooLarge) => "RecordTooLargeException".to_owned(),
        Some(E::InvalidTopicException) => "InvalidTopicException".to_owned(),
        Some(E::InvalidConfig) => "InvalidConfigurationException".to_owned(),
        Some(E::KafkaStorageError) => "KafkaStorageException".to_owned(),
        Some(E::NonEmptyGroup) => "GroupNotEmptyException".to_owned(),
        Some(E::InvalidGroupId) => "InvalidGroupIdException".to_owned(),
        Some(E::DelegationTokenAuthDisabled) => "DelegationTokenDisabledException".to_owned(),
        Some(E::DelegationTokenRequestNotAllowed) => {
            "UnsupportedByAuthenticationException".to_owned()
        }
        Some(E::DelegationTokenAuthorizationFailed) => {
            "DelegationTokenAuthorizationException".to_owned()
        }
        Some(E::UnknownServerError) => "UnknownServerException".to_owned(),
        Some(error) => format!("{error:?}Exception"),
        None => "UnknownServerException".to_owned(),
    }
}

/// What Kafka's clients say about a code that came without a text.
fn default_text(code: i16) -> String {
    use ResponseError as E;
    let text = match ResponseError::try_from_code(code) {
        Some(E::UnknownServerError) | None => {
            "The server experienced an unexpected error when processing the request."
        }
        Some(E::OffsetOutOfRange) => {
            "The requested offset is not within the range of offsets maintained by the server."
        }
        Some(E::CorruptMessage) => {
            "This message has failed its CRC checksum, exceeds the valid size, has a null key for a compacted topic, or is otherwise corrupt."
        }
        Some(E::UnknownTopicOrPartition) => "This server does not host this topic-partition.",
        Some(E::LeaderNotAvailable) => {
            "There is no leader for this topic-partition as we are in the middle of a leadership election."
        }
        Some(E::NotLeaderOrFollower) => {
            "For requests intended only for the leader, this error indicates that the broker is not the current leader. For requests intended for any replica, this error indicates that the broker is not a replica of the topic partition."
        }
        Some(E::RequestTimedOut) => "The request timed out.",
        Some(E::MessageTooLarge) => {
            "The request included a message larger than the max message size the server will accept."
        }
        Some(E::CoordinatorNotAvailable) => "The coordinator is not available.",
        Some(E::NotCoordinator) => "This is not the correct coordinator.",
        Some(E::InvalidTopicException) => {
            "The request attempted to perform an operation on an invalid topic."
        }
        Some(E::NotEnoughReplicas) => {
            "Messages are rejected since there are fewer in-sync replicas than required."
        }
        Some(E::TopicAuthorizationFailed) => "Topic authorization failed.",
        Some(E::GroupAuthorizationFailed) => "Group authorization failed.",
        Some(E::ClusterAuthorizationFailed) => "Cluster authorization failed.",
        Some(E::UnsupportedVersion) => "The version of API is not supported.",
        Some(E::TopicAlreadyExists) => "Topic with this name already exists.",
        Some(E::InvalidPartitions) => "Number of partitions is below 1.",
        Some(E::InvalidReplicationFactor) => {
            "Replication factor is below 1 or larger than the number of available brokers."
        }
        Some(E::InvalidReplicaAssignment) => "Replica assignment is invalid.",
        Some(E::InvalidConfig) => "Configuration is invalid.",
        Some(E::NotController) => "This is not the correct controller for this cluster.",
        Some(E::PolicyViolation) => "Request parameters do not satisfy the configured policy.",
        Some(E::TopicDeletionDisabled) => "Topic deletion is disabled.",
        Some(E::NonEmptyGroup) => "The group is not empty.",
        Some(E::InvalidGroupId) => "The group id is invalid.",
        Some(E::GroupSubscribedToTopic) => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
        }
        Some(E::ElectionNotNeeded) => "Leader election not needed for topic partition.",
        Some(E::PreferredLeaderNotAvailable) => "The preferred leader was not available.",
        Some(E::EligibleLeadersNotAvailable) => {
            "Eligible topic partition leaders are not available."
        }
        Some(E::NoReassignmentInProgress) => "No partition reassignment is in progress.",
        Some(E::KafkaStorageError) => "Disk error when trying to access log file on the disk.",
        Some(E::GroupIdNotFound) => "The group id does not exist.",
        Some(E::DelegationTokenAuthDisabled) => "Delegation Token feature is not enabled.",
        Some(E::DelegationTokenNotFound) => "Delegation Token is not found on server.",
        Some(E::DelegationTokenRequestNotAllowed) => {
            "Delegation Token requests are not allowed on PLAINTEXT/1-way SSL channels and on delegation token authenticated channels."
        }
        Some(E::DelegationTokenExpired) => "Delegation Token is expired.",
        Some(error) => return format!("The server answered {}.", code_name(error.code())),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_as_in_kafkas_logs() {
        assert_eq!(code_name(3), "UNKNOWN_TOPIC_OR_PARTITION");
        assert_eq!(code_name(5), "LEADER_NOT_AVAILABLE");
        assert_eq!(code_name(0), "NONE");
    }

    #[test]
    fn the_servers_text_wins_over_the_default() {
        let told = Error::check(36, Some("Topic 'x' already exists.")).unwrap_err();
        assert_eq!(told.to_string(), "Topic 'x' already exists.");
        assert!(told.is(ResponseError::TopicAlreadyExists));
        let silent = Error::check(7, None).unwrap_err();
        assert_eq!(silent.to_string(), "The request timed out.");
        assert_eq!(
            silent.class(),
            "org.apache.kafka.common.errors.TimeoutException"
        );
        assert!(silent.is_retriable());
        assert!(Error::check(0, None).is_ok());
    }
}
