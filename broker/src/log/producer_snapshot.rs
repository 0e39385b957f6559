//! The `.snapshot` files of the producer state.
//!
//! Layout: version (2 bytes), CRC-32C of what follows it (4), number of
//! entries (4), and 46 bytes for each producer; all big-endian.

use std::collections::VecDeque;

use super::producer_state::{BatchMetadata, ProducerEntry, ProducerState};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const ENTRIES_AT: usize = 6;
const ENTRY_SIZE: usize = 46;

/// Why a snapshot is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the snapshot is cut off")]
    Truncated,
    #[error("the snapshot has the unknown version {0}")]
    UnknownVersion(i16),
    #[error("the snapshot's checksum is wrong")]
    Checksum,
}

pub(super) fn encode(state: &ProducerState) -> Vec<u8> {
    let mut entries: Vec<_> = state.entries().collect();
    entries.sort_unstable_by_key(|&(id, _)| id);
    let mut out = Vec::with_capacity(ENTRIES_AT + 4 + entries.len() * ENTRY_SIZE);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let count = i32::try_from(entries.len()).expect("fewer than 2^31 producers fit in memory");
    out.extend_from_slice(&count.to_be_bytes());
    for (id, entry) in entries {
        let last = entry.batches.back();
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&entry.epoch.to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |b| b.last_sequence).to_be_bytes());
        out.extend_from_slice(&last.map_or(-1, |b| b.last_offset).to_be_bytes());
        out.extend_from_slice(&last.map_or(0, |b| b.offset_delta).to_be_bytes());
        out.extend_from_slice(&entry.last_timestamp.to_be_bytes());
        out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        out.extend_from_slice(&entry.txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let crc = common::checksum::crc32c(&out[ENTRIES_AT..]);
    out[CRC_AT..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<(i64, ProducerEntry)>, Error> {
    let (version, rest) = take::<2>(bytes)?;
    let version = i16::from_be_bytes(version);
    if version != VERSION {
        return Err(Error::UnknownVersion(version));
    }
    let (crc, checked) = take::<4>(rest)?;
    if common::checksum::crc32c(checked) != u32::from_be_bytes(crc) {
        return Err(Error::Checksum);
    }
    let (count, entries) = take::<4>(checked)?;
    let (entries, rest) = entries.as_chunks::<ENTRY_SIZE>();
    if !rest.is_empty() || usize::try_from(i32::from_be_bytes(count)) != Ok(entries.len()) {
        return Err(Error::Truncated);
    }
    entries.iter().map(|entry| decode_entry(entry)).collect()
}

fn decode_entry(bytes: &[u8]) -> Result<(i64, ProducerEntry), Error> {
    let (id, bytes) = take(bytes)?;
    let (epoch, bytes) = take(bytes)?;
    let (last_sequence, bytes) = take(bytes)?;
    let (last_offset, bytes) = take(bytes)?;
    let (offset_delta, bytes) = take(bytes)?;
    let (timestamp, bytes) = take(bytes)?;
    let (coordinator_epoch, bytes) = take(bytes)?;
    let (txn_first_offset, _) = take(bytes)?;
    let (last_offset, timestamp) = (
        i64::from_be_bytes(last_offset),
        i64::from_be_bytes(timestamp),
    );
    let txn_first_offset = i64::from_be_bytes(txn_first_offset);
    let mut batches = VecDeque::new();
    if last_offset >= 0 {
        batches.push_back(BatchMetadata {
            last_sequence: i32::from_be_bytes(last_sequence),
            last_offset,
            offset_delta: i32::from_be_bytes(offset_delta).max(0),
            timestamp,
        });
    }
    let entry = ProducerEntry {
        epoch: i16::from_be_bytes(epoch),
        coordinator_epoch: i32::from_be_bytes(coordinator_epoch),
        last_timestamp: timestamp,
        txn_first_offset: (txn_first_offset >= 0).then_some(txn_first_offset),
        batches,
    };
    Ok((i64::from_be_bytes(id), entry))
}

fn take<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), Error> {
    let (field, rest) = bytes.split_first_chunk::<N>().ok_or(Error::Truncated)?;
    Ok((*field, rest))
}
