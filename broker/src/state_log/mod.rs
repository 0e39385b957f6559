//! The frame of the group and transaction coordinators: their logs, and the shards
//! that keep the state of one partition each.
//!
//! Flow: a coordinator's handle -> `shards` (routes to the partition of an internal
//! topic) -> the loop of `shard` -> decide -> append a batch through [`StateLog`]
//! -> wait until it is committed -> replay it into the state -> answer.
//! `Shards::load` replays the same records when this broker becomes the partition's
//! leader.
//! State: each shard is owned by one task; the routing table by [`Shards`].
//!
//! **Invariant:** this module knows nothing about groups and transactions.

#[cfg(test)]
pub(crate) mod fake;
pub mod fields;
mod loading;
pub mod records;
mod replicated;
mod shard;
mod shards;

use bytes::Bytes;
use futures::future::BoxFuture;

pub use loading::{Found, Loading};
pub use replicated::ReplicatedLog;
pub use shard::Shard;
pub use shards::{Reply, Route, Shards, Unavailable};

pub use crate::log::Verification;

/// Why an append to the internal topic failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("the partition does not exist here")]
    UnknownPartition,
    #[error("the record batch is larger than the topic allows")]
    TooLarge,
    #[error("not enough in-sync replicas")]
    NotEnoughReplicas,
    #[error("the batch was not committed in time")]
    Timeout,
    #[error("the producer has a newer epoch")]
    ProducerFenced,
    #[error("a newer transaction coordinator has written")]
    CoordinatorFenced,
    #[error("the producer is in no transaction")]
    NotInTransaction,
    #[error("the log cannot be read or written")]
    Storage,
    #[error("what follows in the log cannot be told apart into batches")]
    Damaged,
}

/// A stretch of the log, as whole batches.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Whole v2 batches, in order; empty at the end of the log.
    pub batches: Bytes,
    /// High watermark when the chunk was read.
    pub high_watermark: i64,
}

/// Kafka's placement of an id among the partitions of an internal topic: Java's
/// `String.hashCode` made non-negative, modulo their count. `None` while there
/// are none.
#[must_use]
pub fn partition_for(id: &str, partition_count: i32) -> Option<i32> {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    let hash = id.encode_utf16().fold(0, step);
    // As Kafka does it: `Integer.MIN_VALUE` has no absolute value.
    let hash = hash.checked_abs().unwrap_or(0);
    (partition_count > 0).then(|| hash % partition_count)
}

/// One internal topic as its coordinator sees it.
pub trait StateLog: Send + Sync + 'static {
    /// Number of partitions of the internal topic, 0 while it does not exist.
    fn partition_count(&self) -> i32;
    /// Appends one v2 batch (base offset 0, the log assigns offsets) and
    /// resolves with its base offset when it is committed (`acks=all`).
    /// The append itself happens before this function returns, so calls keep
    /// their order; dropping the future does not undo it.
    fn append(&self, partition: i32, batch: Bytes) -> BoxFuture<'static, Result<i64, Error>> {
        self.append_verified(partition, batch, Verification::NotRequired)
    }
    /// The same for a batch of a transaction, which the transaction coordinator
    /// may have to know of (KIP-890).
    fn append_verified(
        &self,
        partition: i32,
        batch: Bytes,
        verification: Verification,
    ) -> BoxFuture<'static, Result<i64, Error>>;
    /// First offset of the partition.
    fn log_start_offset(&self, partition: i32) -> Result<i64, Error>;
    /// Reads whole batches from `offset`; the first may begin before it.
    fn read(
        &self,
        partition: i32,
        offset: i64,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Chunk, Error>>;
    /// The nearest offset behind damage at `offset` from which `read` may go on;
    /// `None` when nothing behind it is known.
    fn behind_damage(
        &self,
        partition: i32,
        offset: i64,
    ) -> BoxFuture<'static, Result<Option<i64>, Error>>;
}

#[cfg(test)]
mod tests {
    use super::partition_for;

    #[test]
    fn ids_lie_where_kafka_puts_them() {
        let cases = [
            ("grp", 29),
            ("console-consumer-1", 24),
            ("my-group", 12),
            ("über😀", 38),
            ("", 0),
        ];
        for (id, partition) in cases {
            assert_eq!(partition_for(id, 50), Some(partition), "{id}");
        }
        assert_eq!(
            partition_for("polygenelubricants", 50),
            Some(0),
            "hashes to i32::MIN"
        );
        assert_eq!(partition_for("grp", 0), None);
    }
}
