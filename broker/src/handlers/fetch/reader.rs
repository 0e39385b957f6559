//! Who fetches: a consumer, or a follower.

use kafka_protocol::messages::FetchRequest;

use super::wanted::Wanted;
use crate::model::{BrokerEpoch, BrokerId};
use crate::replica::{Isolation, Reader};

/// From here on, a consumer names its rack and may read any replica (KIP-392).
const RACK_FROM: i16 = 11;
/// From here on, a follower tells its broker's epoch.
const REPLICA_STATE_FROM: i16 = 15;

/// The one who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetcher {
    Consumer(Reader),
    Follower { id: BrokerId, epoch: BrokerEpoch },
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
            Self::Follower { .. } => Isolation::LogEnd,
        }
    }

    pub(super) fn reader(self, wanted: &Wanted) -> Reader {
        match self {
            Self::Consumer(reader) => reader,
            Self::Follower { id, epoch } => Reader::Follower {
                id,
                broker_epoch: epoch,
                log_start: wanted.log_start,
            },
        }
    }
}
