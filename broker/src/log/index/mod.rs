//! The indexes beside a segment. Those by offset and by time are sparse:
//! fixed-size entries in a file that is mapped while its segment is the active
//! one. That of aborted transactions is a list, and mostly absent.
//!
//! A closed segment's index holds neither a map nor a descriptor; a lookup
//! reads the few entries that it needs. That keeps 10 000 partitions within the
//! limits of one process.
//!
//! **Invariant:** the file's layout is Kafka's: big-endian entries, relative
//! offsets, the active file preallocated, a closed one cut to its entries.
//! **Invariant:** nothing read from an index is trusted: the segment checks
//! the batch that an entry points to.

mod file;
mod offset;
mod time;
mod txn;

pub(super) use offset::{OffsetIndex, OffsetPosition};
pub(super) use time::{TimeIndex, TimestampOffset};
pub use txn::AbortedTransaction;
pub(super) use txn::TransactionIndex;
