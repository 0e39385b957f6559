//! The indexes of a segment: `.index`, `.timeindex` and `.txnindex`, each entry
//! of the first two held against the segment beside it.
//!
//! **Invariant:** a segment is read one batch at a time, whatever its size.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use broker::record::{Batch, MAGIC};
use bytes::Bytes;

use super::{UNPACKED_MAX, base_offset};
use crate::console;
use crate::failure::{Failure, Outcome};

const OFFSET_ENTRY: usize = 8;
const TIME_ENTRY: usize = 12;
const TXN_ENTRY: usize = 34;
/// Base offset and size of a batch of any format.
const OVERHEAD: usize = 12;
/// From the base offset to the last offset's delta, the same in every format
/// as far as it is read.
const HEAD: usize = 27;
const NO_TIMESTAMP: i64 = -1;

/// What to do with an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Print,
    /// Compare it with the segment only.
    Verify,
    /// Only what a broker checks when it starts.
    Sanity,
}

/// What was found wrong in the files so far; told when all are read.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    /// Of each index: its name, and pairs of the index's and the log's offset.
    mismatches: Vec<(String, Vec<(i64, i64)>)>,
    wrong_times: Vec<(String, Vec<(i64, i64)>)>,
    unordered_times: Vec<(String, Vec<(i64, i64)>)>,
    not_found: Vec<(String, Vec<(i64, i64)>)>,
    /// Of each segment: its name, and pairs of neighbours that are none.
    gaps: Vec<(String, Vec<(i64, i64)>)>,
}

impl Complaints {
    pub(super) fn gap(&mut self, file: &Path, last: i64, next: i64) {
        note(&mut self.gaps, file, (last, next));
    }

    /// Kafka's lines; it lists some of them backwards.
    pub(super) fn tell(self) {
        for (file, pairs) in self.mismatches {
            console::complain(format_args!("Mismatches in :{file}"));
            for (index, log) in pairs.into_iter().rev() {
                console::complain(format_args!("  Index offset: {index}, log offset: {log}"));
            }
        }
        for (file, pairs) in self.wrong_times {
            console::complain(format_args!("Found timestamp mismatch in :{file}"));
            for (index, log) in pairs {
                console::complain(format_args!(
                    "  Index timestamp: {index}, log timestamp: {log}"
                ));
            }
        }
        for (file, pairs) in self.unordered_times {
            console::complain(format_args!("Found out of order timestamp in :{file}"));
            for (index, previous) in pairs {
                console::complain(format_args!(
                    "  Index timestamp: {index}, Previously indexed timestamp: {previous}"
                ));
            }
        }
        for (_, pairs) in self.not_found {
            console::complain("The following indexed offsets are not found in the log.");
            for (index, log) in pairs {
                console::complain(format_args!(
                    "Indexed offset: {index}, found log offset: {log}"
                ));
            }
        }
        for (file, pairs) in self.gaps {
            console::complain(format_args!("Non-consecutive offsets in {file}"));
            for (first, second) in pairs.into_iter().rev() {
                console::complain(format_args!("  {first} is followed by {second}"));
            }
        }
    }
}

fn note(of_files: &mut Vec<(String, Vec<(i64, i64)>)>, file: &Path, pair: (i64, i64)) {
    let name = absolute(file);
    match of_files.iter_mut().find(|(known, _)| *known == name) {
        Some((_, pairs)) => pairs.push(pair),
        None => of_files.push((name, vec![pair])),
    }
}

fn absolute(file: &Path) -> String {
    let whole = std::path::absolute(file);
    whole.as_deref().unwrap_or(file).display().to_string()
}

/// An exception that ends Kafka's tool, in the JVM's words.
fn thrown(class: &str, message: &str) -> Failure {
    let text = format!("Exception in thread \"main\" {class}");
    Failure::new(match message {
        "" => text,
        message => format!("{text}: {message}"),
    })
}

fn corrupt(message: &str) -> Failure {
    let class = "org.apache.kafka.storage.internals.log.CorruptIndexException";
    thrown(class, message)
}

/// A segment whose batches are looked at one by one.
struct Segment {
    file: File,
    size: u64,
}

/// Where a batch lies, and its last offset.
#[derive(Debug, Clone, Copy)]
struct Place {
    position: u64,
    size: u64,
    last_offset: i64,
}

impl Segment {
    fn open(path: &Path) -> Result<Self, Failure> {
        let opened = File::open(path).and_then(|file| {
            let size = file.metadata()?.len();
            Ok(Self { file, size })
        });
        opened.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
    }

    /// The batch that begins at `position` and ends before `end`.
    fn place(&self, position: u64, end: u64) -> Option<Place> {
        let mut head = [0; HEAD];
        self.file.read_exact_at(&mut head, position).ok()?;
        let (offset, rest) = head.split_first_chunk::<8>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let size = u64::try_from(i32::from_be_bytes(*size)).ok()? + OVERHEAD as u64;
        let (magic, delta) = (rest.get(4)?, rest.last_chunk::<4>()?);
        let delta = match i8::from_be_bytes([*magic]) {
            MAGIC => i32::from_be_bytes(*delta),
            _ => 0,
        };
        (position + size <= end.min(self.size)).then_some(Place {
            position,
            size,
            last_offset: i64::from_be_bytes(*offset).wrapping_add(delta.into()),
        })
    }

    /// The latest time of the batch's records.
    fn latest(&self, place: Place) -> Option<i64> {
        let mut bytes = vec![0; usize::try_from(place.size).ok()?];
        self.file.read_exact_at(&mut bytes, place.position).ok()?;
        let batch = Batch::stored(Bytes::from(bytes)).ok()?;
        let records = batch.records(UNPACKED_MAX).ok()?;
        let times = records.map_while(Result::ok).map(|record| record.timestamp);
        Some(times.max().unwrap_or(NO_TIMESTAMP).max(NO_TIMESTAMP))
    }
}

fn offset_entry(entry: &[u8; OFFSET_ENTRY], base: i64) -> (i64, u64) {
    let (relative, position) = (big_endian(&entry[..4]), big_endian(&entry[4..]));
    (base + relative, position.unsigned_abs())
}

fn time_entry(entry: &[u8; TIME_ENTRY], base: i64) -> (i64, i64) {
    let timestamp = entry.first_chunk().copied().map_or(0, i64::from_be_bytes);
    (timestamp, base + big_endian(&entry[8..]))
}

/// At most seven bytes.
fn big_endian(bytes: &[u8]) -> i64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | i64::from(*byte))
}

/// Prints the entries of an `.index`.
pub(super) fn offsets(
    file: &Path,
    mode: Mode,
    message_max: u64,
    wrong: &mut Complaints,
) -> Outcome {
    let base = base_offset(file);
    let segment = Segment::open(&file.with_extension("log"))?;
    let bytes = super::read(file)?;
    let (entries, rest) = bytes.as_chunks::<OFFSET_ENTRY>();
    if entries.is_empty() {
        console::say(format_args!("{} is empty.", file.display()));
        return Ok(());
    }
    if mode == Mode::Sanity {
        if !rest.is_empty() {
            return Err(corrupt(&format!(
                "Index file {} is corrupt, found {} bytes which is neither positive nor a multiple of {OFFSET_ENTRY}",
                absolute(file),
                bytes.len()
            )));
        }
        console::say(format_args!("{} passed sanity check.", file.display()));
        return Ok(());
    }
    for (number, entry) in entries.iter().enumerate() {
        let (offset, position) = offset_entry(entry, base);
        // Files are made in their full size: what follows was never written.
        if offset == base && number > 0 {
            break;
        }
        let end = position.saturating_add(message_max);
        let Some(place) = segment.place(position, end) else {
            return Err(thrown("java.util.NoSuchElementException", ""));
        };
        if place.last_offset != offset {
            note(&mut wrong.mismatches, file, (offset, place.last_offset));
        }
        if mode == Mode::Print {
            console::say(format_args!("offset: {offset} position: {position}"));
        }
    }
    Ok(())
}

/// Prints the entries of a `.timeindex`.
pub(super) fn times(file: &Path, mode: Mode, wrong: &mut Complaints) -> Outcome {
    let base = base_offset(file);
    let segment = Segment::open(&file.with_extension("log"))?;
    let index = super::read(&file.with_extension("index"))?;
    let places: Vec<(i64, u64)> = index
        .as_chunks()
        .0
        .iter()
        .map(|entry| offset_entry(entry, base))
        .enumerate()
        .take_while(|(number, (offset, _))| *number == 0 || *offset != base)
        .map(|(_, place)| place)
        .collect();
    let bytes = super::read(file)?;
    let (entries, rest) = bytes.as_chunks::<TIME_ENTRY>();
    if mode == Mode::Sanity {
        check_times(file, entries, rest.len(), bytes.len())?;
        console::say(format_args!("{} passed sanity check.", file.display()));
        return Ok(());
    }
    let mut previous = NO_TIMESTAMP;
    for (number, entry) in entries.iter().enumerate() {
        let (timestamp, offset) = time_entry(entry, base);
        if offset == base && number > 0 {
            break;
        }
        let before = places.partition_point(|(indexed, _)| *indexed <= offset);
        let position = before.checked_sub(1).and_then(|last| places.get(last));
        let found = find(&segment, position.map_or(0, |(_, at)| *at), offset);
        match found {
            Some(place) if place.last_offset == offset => {
                let latest = segment.latest(place).unwrap_or(NO_TIMESTAMP);
                if latest != timestamp {
                    note(&mut wrong.wrong_times, file, (timestamp, latest));
                }
                if previous >= timestamp {
                    note(&mut wrong.unordered_times, file, (timestamp, previous));
                }
            }
            other => {
                let found = other.map_or(-1, |place| place.last_offset);
                note(&mut wrong.not_found, file, (offset, found));
            }
        }
        if mode == Mode::Print {
            console::say(format_args!("timestamp: {timestamp} offset: {offset}"));
        }
        previous = timestamp;
    }
    Ok(())
}

/// The first batch from `position` on that reaches `offset`.
fn find(segment: &Segment, mut position: u64, offset: i64) -> Option<Place> {
    loop {
        let place = segment.place(position, u64::MAX)?;
        if place.last_offset >= offset {
            return Some(place);
        }
        position += place.size;
    }
}

fn check_times(file: &Path, entries: &[[u8; TIME_ENTRY]], rest: usize, size: usize) -> Outcome {
    let name = absolute(file);
    let base = base_offset(file);
    let ends = entries.first().zip(entries.last());
    let ends = ends.map(|(first, last)| (time_entry(first, base).0, time_entry(last, base).0));
    if let Some((first, last)) = ends.filter(|(first, last)| last < first) {
        return Err(corrupt(&format!(
            "Corrupt time index found, time index file ({name}) has non-zero size but the last timestamp is {last} which is less than the first timestamp {first}"
        )));
    }
    match rest {
        0 => Ok(()),
        _ => Err(corrupt(&format!(
            "Time index file {name} is corrupt, found {size} bytes which is neither positive nor a multiple of {TIME_ENTRY}"
        ))),
    }
}

/// Prints the entries of a `.txnindex`: transactions that were aborted.
pub(super) fn aborted(file: &Path) -> Outcome {
    // No file is an index without entries.
    let bytes = match std::fs::read(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        read => read.map_err(|error| Failure::new(format!("{}: {error}", file.display())))?,
    };
    for entry in bytes.as_chunks::<TXN_ENTRY>().0 {
        let (version, fields) = entry.split_at(2);
        let version = big_endian(version);
        if version != 0 {
            let message = format!(
                "Unexpected aborted transaction version {version} in transaction index {}, current version is 0",
                absolute(file)
            );
            return Err(thrown("org.apache.kafka.common.KafkaException", &message));
        }
        let mut fields = fields.as_chunks().0.iter().copied().map(i64::from_be_bytes);
        let mut next = || fields.next().unwrap_or_default();
        let (id, first, last, stable) = (next(), next(), next(), next());
        console::say(format_args!(
            "version: {version} producerId: {id} firstOffset: {first} lastOffset: {last} lastStableOffset: {stable}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_relative_to_the_segment() {
        assert_eq!(offset_entry(&[0, 0, 0, 2, 0, 0, 1, 0], 40), (42, 256));
        let mut entry = [0; TIME_ENTRY];
        entry[..8].copy_from_slice(&(-1_i64).to_be_bytes());
        entry[11] = 7;
        assert_eq!(time_entry(&entry, 40), (-1, 47));
    }

    #[test]
    fn a_segment_that_is_cut_or_garbage_has_no_batch_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("00000000000000000000.log");
        for bytes in [vec![0xFF; 100], vec![0; 26], vec![0x7F; 61]] {
            std::fs::write(&path, &bytes).unwrap();
            let segment = Segment::open(&path).unwrap();
            assert!(segment.place(0, u64::MAX).is_none(), "{bytes:?}");
            assert!(find(&segment, 0, 5).is_none());
            assert!(find(&segment, u64::MAX / 2, 5).is_none());
        }
    }
}
