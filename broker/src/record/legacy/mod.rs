//! Message formats 0 and 1 (`MessageSet`), which clients before Kafka 0.11
//! write and read; the log keeps format 2 only.
//!
//! Flow: a producer's set -> `up_convert` -> one batch for the log; batches of
//! the log -> `down_convert` -> a set for the consumer. Compressed messages lie
//! in the value of a wrapper message, and so do sets in sets no deeper.
//!
//! **Invariant:** no input makes this module panic or allocate more than the
//! input brought or the caller's limit allows.
//! **Invariant:** offsets, timestamps, keys and values survive both ways;
//! headers and control records have no place in these formats.

mod down;
mod lz4;
mod message;
#[cfg(test)]
mod tests;
mod up;

pub use down::{DownConverted, down_convert};
pub use up::{UpConverted, up_convert};

/// The format of a single set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Without timestamps; offsets in wrappers are absolute.
    V0 = 0,
    /// With timestamps (KIP-32); offsets in wrappers are relative (KIP-31).
    V1 = 1,
}
