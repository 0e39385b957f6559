//! Checksums of the disk and wire formats.

use crc_fast::{CrcAlgorithm, checksum};

/// CRC-32C (Castagnoli): Kafka's v2 batches and our own files.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    truncate(checksum(CrcAlgorithm::Crc32Iscsi, bytes))
}

/// CRC-32 (IEEE): Kafka's message formats 0 and 1.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    truncate(checksum(CrcAlgorithm::Crc32IsoHdlc, bytes))
}

/// The library widens every result to 64 bits; the upper half is zero here.
fn truncate(sum: u64) -> u32 {
    u32::try_from(sum).expect("a 32-bit checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the CRC catalogue, over `123456789`.
    #[test]
    fn check_values() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32c(b""), 0);
    }
}
