//! Who fetches: a consumer, a follower, or somebody who compares replicas.

use kafka_protocol::messages::FetchRequest;

use super::wanted::Wanted;
use crate::model::{BrokerEpoch, BrokerId};
use crate::replica::{Isolation, Reader};

/// From here on, a consumer names its rack and may read any replica (KIP-392).
const RACK_FROM: i16 = 11;
/// From here on, a follower tells its broker's epoch.
const REPLICA_STATE_FROM: i16 = 15;

/// The replica id of who looks at replicas without being one.
const DEBUGGER: i32 = -2;

/// The one who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetcher {
    Consumer(Reader),
    Follower {
        id: BrokerId,
        epoch: BrokerEpoch,
    },
    /// Sees any replica to its end, whether it leads or not.
    Debugger,
}

impl Fetcher {
    pub(super) fn of(version: i16, request: &FetchRequest) -> Self {
        let (id, epoch) = match version {
            ..REPLICA_STATE_FROM => (request.replica_id.0, -1),
            _ => {
                let state = &request.replica_state;
                (state.replica_id.0, state.replica_epoch)
            }
        };
        match (id, version) {
            (0.., _) => Self::Follower { id, epoch },
            (DEBUGGER, _) => Self::Debugger,
            (_, RACK_FROM..) => Self::Consumer(Reader::ClientOfAnyReplica),
            _ => Self::Consumer(Reader::Client),
        }
    }

    pub(super) fn is_follower(self) -> bool {
        matches!(self, Self::Follower { .. })
    }

    /// How far it may see.
    pub(super) fn isolation(self, level: i8) -> Isolation {
        match self {
            Self::Consumer(_) => Isolation::of_consumer(level),
            Self::Follower { .. } | Self::Debugger => Isolation::LogEnd,
        }
    }

    pub(super) fn reader(self, wanted: &Wanted) -> Reader {
        match self {
            Self::Consumer(reader) => reader,
            Self::Debugger => Reader::ClientOfAnyReplica,
            Self::Follower { id, epoch } => Reader::Follower {
                id,
                broker_epoch: epoch,
                log_start: wanted.log_start,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::fetch_request::ReplicaState;

    use super::*;
    use crate::model::TopicId;

    #[test]
    fn whoever_compares_replicas_sees_each_to_its_end() {
        let id = kafka_protocol::messages::BrokerId;
        let wanted = Wanted {
            name: None,
            id: TopicId::nil(),
            index: 0,
            offset: 0,
            bytes_max: 1,
            current_epoch: -1,
            last_epoch: -1,
            log_start: -1,
        };
        for (version, replica, any, isolation) in [
            (3, -1, false, Isolation::ReadUncommitted),
            (13, -1, true, Isolation::ReadUncommitted),
            (3, -2, true, Isolation::LogEnd),
            (17, -2, true, Isolation::LogEnd),
        ] {
            let request = FetchRequest::default()
                .with_replica_id(id(replica))
                .with_replica_state(ReplicaState::default().with_replica_id(id(replica)));
            let fetcher = Fetcher::of(version, &request);
            assert!(!fetcher.is_follower());
            assert_eq!(fetcher.isolation(0), isolation, "{version} {replica}");
            let reader = match any {
                true => Reader::ClientOfAnyReplica,
                false => Reader::Client,
            };
            assert_eq!(fetcher.reader(&wanted), reader, "{version} {replica}");
        }
    }
}
