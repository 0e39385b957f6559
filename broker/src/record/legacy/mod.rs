//! Message formats 0 and 1 (`MessageSet`), which clients before Kafka 0.11
//! write and read. The log writes format 2 only, but keeps what an old broker
//! left in its files (`stored`).
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
pub(super) mod stored;
#[cfg(test)]
mod tests;
mod up;
mod wrapper;

pub use down::{DownConverted, down_convert};
pub use stored::{checksums, rewrite};
pub use up::{UpConverted, up_convert};

/// The format of a single set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Without timestamps; offsets in wrappers are absolute.
    V0 = 0,
    /// With timestamps (KIP-32); offsets in wrappers are relative (KIP-31).
    V1 = 1,
}

impl Format {
    /// The format that a magic byte stands for, if it is one of these.
    #[must_use]
    pub fn of_magic(magic: i8) -> Option<Self> {
        match magic {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            _ => None,
        }
    }

    /// The least that a message takes in a log, its offset and size counted.
    pub(super) fn size_min(self) -> usize {
        let timestamp = match self {
            Self::V0 => 0,
            Self::V1 => message::TIMESTAMP_SIZE,
        };
        message::LOG_OVERHEAD + message::SIZE_MIN + timestamp
    }
}
