//! Kafka's record batches (message format 2) as bytes: view, check, patch,
//! build and iterate.
//!
//! Flow: network or file bytes -> `Batch` (header and CRC checked, still
//! `Bytes`) -> the log patches base offset and leader epoch -> readers get the
//! same bytes back. Records are decoded only on request (`Batch::records`).
//! `legacy` converts from and to formats 0 and 1.
//!
//! **Invariant:** no input makes this module panic or allocate more than the
//! input brought or the caller's limit allows.
//! **Invariant:** keys, values and header order of records are kept as they are.

mod batch;
mod builder;
mod compression;
mod control;
mod header;
pub mod legacy;
mod records;
mod shallow;
mod varint;

pub use batch::{Batch, Batches, whole_batches_length};
pub use builder::{BatchBuilder, empty_batch};
pub use compression::{Compression, compress, compress_at, decompress};
pub use compression::{GZIP_LEVEL_DEFAULT, ZSTD_LEVEL_DEFAULT};
pub use control::EndTxnMarker;
pub use header::{HEADER_SIZE, Header, LOG_OVERHEAD, TimestampType};
pub use records::{Record, RecordHeader, Records};
pub use shallow::Shallow;
pub use varint::{read_varint, read_varlong, write_varint, write_varlong};

/// `producer_id` of a batch whose producer is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// `producer_epoch` of a producer about which nothing is known.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// `base_sequence` of a batch without sequence numbers.
pub const NO_SEQUENCE: i32 = -1;
/// Timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;
/// The message format that is written.
pub const MAGIC: i8 = 2;

/// What is wrong with bytes that should be record batches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{available} bytes hold no whole batch, {needed} are needed")]
    Truncated { available: usize, needed: usize },
    #[error("the batch length {0} is smaller than a batch header")]
    TooSmall(i32),
    #[error("message format {0} is not supported")]
    UnsupportedMagic(i8),
    #[error("record is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Crc { stored: u32, computed: u32 },
    #[error("unknown compression type {0}")]
    UnknownCompression(u8),
    #[error("the compressed records cannot be read ({0})")]
    BadCompression(Compression),
    #[error("the records are larger than {limit} bytes when decompressed")]
    DecompressedTooLarge { limit: usize },
    #[error("records compressed with {codec} cannot be converted to an older message format")]
    NotInFormat { codec: Compression },
    #[error("malformed batch: {0}")]
    Malformed(&'static str),
}
