//! The `.snapshot` files beside a segment: what the log knew of its producers.
//!
//! **Invariant:** a count is believed only as far as there are bytes for it.

use std::path::Path;

use bytes::Buf;

use crate::console;
use crate::failure::Outcome;

const VERSION: i16 = 1;
/// The checksum covers what follows it.
const CHECKED_AT: usize = 6;
const ENTRY_SIZE: usize = 46;
const UNDERFLOW: &str = "java.nio.BufferUnderflowException";

/// Why a snapshot is not to be trusted, in Kafka's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
enum Error {
    #[error("Snapshot failed schema validation: Error reading field '{field}': {why}")]
    Schema { field: &'static str, why: String },
    #[error("Snapshot contained an unknown file version {0}")]
    Version(i16),
    #[error(
        "Snapshot is corrupt (CRC is no longer valid). Stored crc: {stored}. Computed crc: {computed}"
    )]
    Checksum { stored: u32, computed: u32 },
}

impl Error {
    fn schema(field: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Schema { field, why }
    }
}

/// Prints a line for each producer.
pub(super) fn producers(file: &Path) -> Outcome {
    let bytes = super::read(file)?;
    match lines(&bytes) {
        Ok(lines) => lines.iter().for_each(console::say),
        Err(error) => console::complain(error),
    }
    Ok(())
}

fn lines(bytes: &[u8]) -> Result<Vec<String>, Error> {
    let cut = |field| move |_| Error::schema(field, UNDERFLOW);
    let mut rest = bytes;
    let version = rest.try_get_i16().map_err(cut("version"))?;
    let stored = rest.try_get_u32().map_err(cut("crc"))?;
    let count = rest.try_get_i32().map_err(cut("producer_entries"))?;
    let of_entries = |why| Error::schema("producer_entries", why);
    let size = usize::try_from(count)
        .map_err(|_| of_entries(format!("Array size {count} cannot be negative")))?;
    if size > rest.len() {
        let held = rest.len();
        return Err(of_entries(format!(
            "Error reading array of size {size}, only {held} bytes available"
        )));
    }
    let (entries, left) = rest.as_chunks::<ENTRY_SIZE>();
    let Some(entries) = entries.get(..size) else {
        let field = missing(left.len());
        return Err(of_entries(format!(
            "Error reading field '{field}': {UNDERFLOW}"
        )));
    };
    if version != VERSION {
        return Err(Error::Version(version));
    }
    let computed = common::checksum::crc32c(bytes.get(CHECKED_AT..).unwrap_or_default());
    if stored != computed {
        return Err(Error::Checksum { stored, computed });
    }
    Ok(entries.iter().map(line).collect())
}

/// The first field of an entry for which `held` bytes are too few.
fn missing(held: usize) -> &'static str {
    const ENDS: [(&str, usize); 8] = [
        ("producer_id", 8),
        ("epoch", 10),
        ("last_sequence", 14),
        ("last_offset", 22),
        ("offset_delta", 26),
        ("timestamp", 34),
        ("coordinator_epoch", 38),
        ("current_txn_first_offset", 46),
    ];
    let first = ENDS.iter().find(|(_, end)| held < *end);
    first.map_or("producer_id", |(name, _)| name)
}

fn line(entry: &[u8; ENTRY_SIZE]) -> String {
    let mut rest = entry.as_slice();
    let (id, epoch) = (rest.get_i64(), rest.get_i16());
    let (last_sequence, last_offset) = (rest.get_i32(), rest.get_i64());
    let (delta, timestamp) = (rest.get_i32(), rest.get_i64());
    let (coordinator_epoch, open) = (rest.get_i32(), rest.get_i64());
    let open = match open >= 0 {
        true => format!("OptionalLong[{open}]"),
        false => "OptionalLong.empty".to_owned(),
    };
    let mut line = format!(
        "producerId: {id} producerEpoch: {epoch} coordinatorEpoch: {coordinator_epoch} currentTxnFirstOffset: {open} lastTimestamp: {timestamp} "
    );
    if last_offset >= 0 {
        // Before sequence number 0 comes the largest.
        let first = match last_sequence < delta {
            true => i32::MAX
                .wrapping_sub(delta.wrapping_sub(last_sequence))
                .wrapping_add(1),
            false => last_sequence.wrapping_sub(delta),
        };
        line += &format!(
            "firstSequence: {first} lastSequence: {last_sequence} lastOffset: {last_offset} offsetDelta: {delta} timestamp: {timestamp}"
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(count: i32, entries: &[u8]) -> Vec<u8> {
        let mut checked = count.to_be_bytes().to_vec();
        checked.extend_from_slice(entries);
        let mut bytes = VERSION.to_be_bytes().to_vec();
        bytes.extend_from_slice(&common::checksum::crc32c(&checked).to_be_bytes());
        bytes.extend_from_slice(&checked);
        bytes
    }

    fn entry(last_offset: i64, open: i64) -> Vec<u8> {
        let mut entry = 7_i64.to_be_bytes().to_vec();
        entry.extend_from_slice(&1_i16.to_be_bytes());
        entry.extend_from_slice(&2_i32.to_be_bytes());
        entry.extend_from_slice(&last_offset.to_be_bytes());
        entry.extend_from_slice(&5_i32.to_be_bytes());
        entry.extend_from_slice(&99_i64.to_be_bytes());
        entry.extend_from_slice(&3_i32.to_be_bytes());
        entry.extend_from_slice(&open.to_be_bytes());
        entry
    }

    #[test]
    fn producers_as_kafka_prints_them() {
        let bytes = snapshot(2, &[entry(12, 10), entry(-1, -1)].concat());
        assert_eq!(
            lines(&bytes).unwrap(),
            [
                "producerId: 7 producerEpoch: 1 coordinatorEpoch: 3 currentTxnFirstOffset: OptionalLong[10] lastTimestamp: 99 firstSequence: 2147483645 lastSequence: 2 lastOffset: 12 offsetDelta: 5 timestamp: 99",
                "producerId: 7 producerEpoch: 1 coordinatorEpoch: 3 currentTxnFirstOffset: OptionalLong.empty lastTimestamp: 99 ",
            ]
        );
    }

    #[test]
    fn a_damaged_snapshot_is_told() {
        let whole = snapshot(1, &entry(12, 10));
        for length in 0..whole.len() {
            let told = lines(&whole[..length]).unwrap_err().to_string();
            let begin = "Snapshot failed schema validation: Error reading field '";
            assert!(told.starts_with(begin), "{length}: {told}");
        }
        assert_eq!(
            lines(&whole[..21]).unwrap_err().to_string(),
            "Snapshot failed schema validation: Error reading field 'producer_entries': Error reading field 'last_sequence': java.nio.BufferUnderflowException"
        );
        let mut flipped = whole.clone();
        flipped[20] ^= 1;
        assert!(matches!(lines(&flipped), Err(Error::Checksum { .. })));
        let mut newer = whole;
        newer[1] = 2;
        assert_eq!(lines(&newer), Err(Error::Version(2)));
        let many = lines(&snapshot(i32::MAX, &[])).unwrap_err().to_string();
        assert!(many.ends_with("only 0 bytes available"), "{many}");
    }
}
