//! What the broker counts as it works, for the page that an operator's monitor reads.
//!
//! Flow: whoever does something adds to a [`Tally`] that it was handed; `boot` reads
//! all of them when the page is asked for. What can be counted then (partitions,
//! groups, sizes) is not kept here.
//!
//! **Invariant:** adding takes no lock, allocates nothing and looks nothing up.
//! **Invariant:** this module knows nothing of what it counts for.

mod requests;
mod tally;

use std::sync::Arc;

pub use requests::{Account, BUCKETS_MS, Kind, Requests, Times};
pub use tally::{Count, Tally};

/// What happens to records. The names are those of Kafka's `BrokerTopicMetrics` and
/// `ReplicaManager`; the first ones are also counted by partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Records that were appended to partitions that this broker leads.
    MessagesIn,
    BytesIn,
    /// To consumers.
    BytesOut,
    /// Of batches that are larger than their topic allows.
    BytesRejected,
    /// Partitions that were to be written.
    ProduceRequests,
    /// Those of them that failed for a reason that is not the client's usual.
    FailedProduceRequests,
    /// Partitions that were to be read, by consumers or followers.
    FetchRequests,
    FailedFetchRequests,
    /// As a follower.
    ReplicationBytesIn,
    /// To followers.
    ReplicationBytesOut,
    IsrExpands,
    IsrShrinks,
    FailedIsrUpdates,
}

impl Traffic {
    /// Those that are also counted by partition.
    pub const OF_PARTITIONS: [Self; 8] = [
        Self::MessagesIn,
        Self::BytesIn,
        Self::BytesOut,
        Self::BytesRejected,
        Self::ProduceRequests,
        Self::FailedProduceRequests,
        Self::FetchRequests,
        Self::FailedFetchRequests,
    ];
}

impl Count for Traffic {
    const COUNT: usize = Self::FailedIsrUpdates as usize + 1;

    fn index(self) -> usize {
        self as usize
    }
}

/// What happens to consumer groups and their offsets (Kafka's
/// `group-coordinator-metrics`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
    OffsetCommits,
    /// Removed because they outlived their retention.
    OffsetExpirations,
    /// Removed by request.
    OffsetDeletions,
    CompletedRebalances,
}

impl Count for Groups {
    const COUNT: usize = Self::CompletedRebalances as usize + 1;

    fn index(self) -> usize {
        self as usize
    }
}

/// What happens to transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transactions {
    /// Ended by commit, with all markers written.
    Committed,
    /// The same by abort, whoever decided it.
    Aborted,
    /// Aborted because they were open for longer than their timeout.
    TimedOut,
    /// Transactional ids removed because nobody used them.
    ExpiredIds,
}

impl Count for Transactions {
    const COUNT: usize = Self::ExpiredIds as usize + 1;

    fn index(self) -> usize {
        self as usize
    }
}

/// Elections of leaders that this broker made as the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elections {
    All,
    /// Of replicas that were not in sync.
    Unclean,
}

impl Count for Elections {
    const COUNT: usize = Self::Unclean as usize + 1;

    fn index(self) -> usize {
        self as usize
    }
}

/// All tallies of a broker.
#[derive(Debug)]
pub struct Metrics {
    pub requests: Requests,
    pub traffic: Tally<Traffic>,
    pub groups: Tally<Groups>,
    pub transactions: Tally<Transactions>,
    pub elections: Tally<Elections>,
}

impl Metrics {
    /// Counts requests by `accounts`.
    #[must_use]
    pub fn new(accounts: Vec<Account>) -> Arc<Self> {
        Arc::new(Self {
            requests: Requests::new(accounts),
            traffic: Tally::default(),
            groups: Tally::default(),
            transactions: Tally::default(),
            elections: Tally::default(),
        })
    }
}
