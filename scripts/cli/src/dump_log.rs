//! `kafka dump-log`: prints what the files of a log hold, without a broker.
//!
//! **Invariant:** files are only read, and a damaged one is told, never trusted.

mod classes;
mod decoder;
mod fields;
mod index;
mod snapshot;

use std::path::Path;

use broker::record::{Batch, Batches, EndTxnMarker, Header, MAGIC, Record, TimestampType, legacy};
use bytes::Bytes;

use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{admin, console};
use classes::Class;
use decoder::Decoder;
use index::{Complaints, Mode};

const PURPOSE: &str = "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.";
const INDENT: &str = "|";
/// The most that one batch may unpack to.
const UNPACKED_MAX: usize = 1 << 30;

fn parser() -> Parser {
    Parser::new()
        .text(
            "files",
            "file1, file2, ...",
            "REQUIRED: The files to print: segments (.log), their indexes (.index, .timeindex, .txnindex), and what logs know of producers (.snapshot).",
        )
        .flag(
            "print-data-log",
            "Print keys and values too; goes into batches.",
        )
        .flag("deep-iteration", "Go into batches: print each record.")
        .flag(
            "offsets-decoder",
            "Print what the records of __consumer_offsets say.",
        )
        .flag(
            "transaction-log-decoder",
            "Print what the records of __transaction_state say.",
        )
        .int("max-bytes", "size", "Of each segment only this many bytes.")
        .or("2147483647")
        .int(
            "max-message-size",
            "size",
            "How large a batch may be that an index points at.",
        )
        .or("5242880")
        .flag(
            "verify-index-only",
            "Compare indexes with their segments without printing them.",
        )
        .flag(
            "index-sanity-check",
            "Of indexes only what a broker checks when it starts.",
        )
        .optional_text(
            "key-decoder-class",
            "class",
            "How keys are read: org.apache.kafka.tools.api.StringDecoder, IntegerDecoder, LongDecoder or DefaultDecoder.",
        )
        .or(classes::TEXT)
        .optional_text("value-decoder-class", "class", "How values are read, likewise.")
        .or(classes::TEXT)
        .flag(
            "skip-record-metadata",
            "With --print-data-log: only keys and values.",
        )
}

/// What to print of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct View {
    has_records: bool,
    has_data: bool,
    has_metadata: bool,
    decoder: Decoder,
    bytes_max: usize,
}

impl View {
    fn of(options: &Options) -> Result<Self, Failure> {
        let [value, key] = CLASSES.map(|name| Class::named(class_name(options, name)));
        let decoder = match options.has("offsets-decoder") {
            true => Decoder::Offsets,
            false if options.has("transaction-log-decoder") => Decoder::Transactions,
            false => Decoder::Classes {
                key: key?,
                value: value?,
            },
        };
        let asks_for_data = [
            "print-data-log",
            "offsets-decoder",
            "transaction-log-decoder",
        ];
        let has_data = asks_for_data
            .iter()
            .chain(&CLASSES)
            .any(|name| options.has(name));
        let most = options.i32("max-bytes").map_err(Failure::new)?;
        Ok(Self {
            has_records: has_data || options.has("deep-iteration"),
            has_data,
            has_metadata: !options.has("skip-record-metadata"),
            decoder,
            bytes_max: most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or_default()),
        })
    }
}

/// The options that name classes, in the order in which Kafka takes them.
const CLASSES: [&str; 2] = ["value-decoder-class", "key-decoder-class"];

fn class_name<'a>(options: &'a Options, option: &str) -> &'a str {
    options.text(option).unwrap_or(classes::TEXT)
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    let usage = |error: crate::options::Error| Failure::usage(&parser, error);
    options.require(&["files"]).map_err(usage)?;
    let view = View::of(&options)?;
    let files = options.text("files").unwrap_or_default();
    let mut wrong = Complaints::default();
    for file in files.split(',').map(str::trim) {
        console::say(format_args!("Dumping {file}"));
        dump(Path::new(file), &options, view, &mut wrong)?;
    }
    wrong.tell();
    Ok(())
}

fn dump(path: &Path, options: &Options, view: View, wrong: &mut Complaints) -> Outcome {
    let mode = match options.has("index-sanity-check") {
        true => Mode::Sanity,
        false if options.has("verify-index-only") => Mode::Verify,
        false => Mode::Print,
    };
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("log") => {
            if matches!(view.decoder, Decoder::Classes { .. }) {
                let names = CLASSES.map(|name| class_name(options, name));
                let advice = names.into_iter().filter_map(Class::advice);
                advice.for_each(console::say);
            }
            segment(path, Bytes::from(read(path)?), view, wrong);
            Ok(())
        }
        Some("index") => {
            let largest = options.i32("max-message-size").map_err(Failure::new)?;
            let largest = largest.and_then(|size| u64::try_from(size).ok());
            index::offsets(path, mode, largest.unwrap_or_default(), wrong)
        }
        Some("timeindex") => index::times(path, mode, wrong),
        Some("snapshot") => snapshot::producers(path),
        Some("txnindex") => index::aborted(path),
        _ => {
            console::complain(format_args!("Ignoring unknown file {}", path.display()));
            Ok(())
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn base_offset(path: &Path) -> i64 {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.and_then(|stem| stem.parse().ok()).unwrap_or_default()
}

fn segment(path: &Path, bytes: Bytes, view: View, wrong: &mut Complaints) {
    console::say(format_args!("Log starting offset: {}", base_offset(path)));
    let shown = bytes.slice(..bytes.len().min(view.bytes_max));
    let mut position = 0;
    let mut last = None;
    for batch in Batches::tolerant(shown) {
        let Ok(batch) = batch else { break };
        console::say(batch_line(&batch, position));
        if view.has_records {
            let gap = |last, next| wrong.gap(path, last, next);
            records(&batch, view, &mut last, gap);
        }
        position += batch.bytes().len();
    }
    let trailing = bytes.len() - position;
    if trailing > 0 && view.bytes_max >= bytes.len() {
        let name = path.file_name().map(|name| name.to_string_lossy());
        console::say(format_args!(
            "Found {trailing} invalid bytes at the end of {}",
            name.unwrap_or_default()
        ));
    }
}

fn batch_line(batch: &Batch, position: usize) -> String {
    let header = batch.header();
    let place = match header.magic {
        MAGIC => place_and_producer(header),
        _ => format!("offset: {}", header.last_offset()),
    };
    format!(
        "{place} position: {position} {}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: {}",
        timestamp_type(batch),
        header.max_timestamp,
        batch.bytes().len(),
        header.magic,
        header.compression().name(),
        header.crc,
        batch.check_crc().is_ok()
    )
}

fn place_and_producer(header: &Header) -> String {
    let horizon = match header.delete_horizon_ms() {
        Some(millis) => format!("OptionalLong[{millis}]"),
        None => "OptionalLong.empty".to_owned(),
    };
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon}",
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.base_sequence,
        if header.has_producer_id() {
            header.last_sequence()
        } else {
            -1
        },
        header.producer_id,
        header.producer_epoch,
        header.partition_leader_epoch,
        header.is_transactional(),
        header.is_control(),
    )
}

fn timestamp_type(batch: &Batch) -> &'static str {
    match batch.header().timestamp_type() {
        _ if batch.header().magic == 0 => "NoTimestampType",
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn records(batch: &Batch, view: View, last: &mut Option<i64>, mut on_gap: impl FnMut(i64, i64)) {
    let records = match batch.records(UNPACKED_MAX) {
        Ok(records) => records,
        Err(error) => return console::complain(error),
    };
    let checksums = match batch.header().magic {
        MAGIC => Ok(Vec::new()),
        _ => legacy::checksums(batch.bytes(), UNPACKED_MAX),
    };
    let mut checksums = match checksums {
        Ok(checksums) => checksums.into_iter(),
        Err(error) => return console::complain(error),
    };
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => return console::complain(error),
        };
        if let Some(last) = last.filter(|last| record.offset != last + 1) {
            on_gap(last, record.offset);
        }
        *last = Some(record.offset);
        let checksum = checksums.next();
        match record_line(batch, &record, checksum, view) {
            Ok(line) => console::say(line),
            Err(error) => return console::complain(error),
        }
    }
}

/// A record's line; `checksum` is what one of an older format has of its own.
fn record_line(
    batch: &Batch,
    record: &Record,
    checksum: Option<u32>,
    view: View,
) -> Result<String, classes::Error> {
    let header = batch.header();
    let size = |bytes: &Option<Bytes>| {
        let length = bytes.as_ref().map(Bytes::len);
        length.map_or_else(|| "-1".to_owned(), |length| length.to_string())
    };
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut line = String::new();
    if view.has_metadata {
        line += INDENT;
        let delta = i32::try_from(record.offset - header.base_offset).unwrap_or_default();
        // After the largest sequence number comes 0.
        let sequence = match header.has_producer_id() && header.base_sequence >= 0 {
            true => header.base_sequence.wrapping_add(delta) & i32::MAX,
            false => -1,
        };
        let keys: Vec<String> = record
            .headers
            .iter()
            .map(|header| text(&header.key))
            .collect();
        line += &format!(
            " offset: {} {}: {} keySize: {} valueSize: {}",
            record.offset,
            timestamp_type(batch),
            record.timestamp,
            size(&record.key),
            size(&record.value)
        );
        if header.magic == MAGIC {
            line += &format!(" sequence: {sequence} headerKeys: [{}]", keys.join(","));
        }
        if let Some(crc) = checksum {
            // One that is wrong would have ended the walk.
            line += &format!(" isValid: true crc: {crc}}}");
        }
        if header.is_control() {
            line += &control(record);
        }
    }
    if view.has_data && !header.is_control() {
        let (key, value) = view.decoder.decode(record)?;
        if let Some(key) = key {
            // Without metadata a line is indented only where there is a key.
            line += if view.has_metadata { "" } else { INDENT };
            line += &format!(" key: {key}");
        }
        line += &value.map_or_else(String::new, |value| format!(" payload: {value}"));
    }
    Ok(line)
}

fn control(record: &Record) -> String {
    match EndTxnMarker::from_record(record) {
        Ok(Some(marker)) => format!(
            " endTxnMarker: {} coordinatorEpoch: {}",
            if marker.commit { "COMMIT" } else { "ABORT" },
            marker.coordinator_epoch
        ),
        Ok(None) | Err(_) => " controlType: UNKNOWN(-1)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use broker::record::{BatchBuilder, Compression, legacy};

    use super::*;

    const TEXT: Decoder = Decoder::Classes {
        key: Class::Text,
        value: Class::Text,
    };

    #[test]
    fn lines_as_kafka_prints_them() {
        let mut builder = BatchBuilder::new(Compression::None).producer(7, 0, 3);
        assert!(builder.push(1000, Some(b"k"), Some(b"v"), &[]));
        assert!(builder.push(1001, None, Some(b"w"), &[]));
        let batch = Batch::only(builder.build().unwrap()).unwrap();
        let line = batch_line(&batch, 5);
        assert!(line.starts_with("baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 3 lastSequence: 4 producerId: 7 producerEpoch: 0 "));
        assert!(line.contains(" isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: 5 CreateTime: 1001 size: "));
        assert!(line.ends_with(" isvalid: true"));
        let view = View {
            has_records: true,
            has_data: true,
            has_metadata: true,
            decoder: TEXT,
            bytes_max: usize::MAX,
        };
        let lines: Vec<String> = batch
            .records(UNPACKED_MAX)
            .unwrap()
            .map(|record| record_line(&batch, &record.unwrap(), None, view).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                "| offset: 0 CreateTime: 1000 keySize: 1 valueSize: 1 sequence: 3 headerKeys: [] key: k payload: v",
                "| offset: 1 CreateTime: 1001 keySize: -1 valueSize: 1 sequence: 4 headerKeys: [] payload: w",
            ]
        );
    }

    #[test]
    fn older_formats_as_kafka_prints_them() {
        let mut builder = BatchBuilder::new(Compression::None);
        assert!(builder.push(1000, Some(b"k"), Some(b"v"), &[]));
        let set = legacy::down_convert(builder.build().unwrap(), legacy::Format::V0, 0, 100);
        let entry = Batch::stored(Bytes::from(set.unwrap().set)).unwrap();
        let line = batch_line(&entry, 5);
        assert!(line.starts_with("offset: 0 position: 5 NoTimestampType: -1 size: 28 magic: 0 "));
        assert!(line.ends_with(" isvalid: true"));
        let view = View {
            has_records: true,
            has_data: true,
            has_metadata: true,
            decoder: TEXT,
            bytes_max: usize::MAX,
        };
        let record = entry.records(100).unwrap().next().unwrap().unwrap();
        let checksum = legacy::checksums(entry.bytes(), 100).unwrap()[0];
        assert_eq!(checksum, entry.header().crc);
        assert_eq!(
            record_line(&entry, &record, Some(checksum), view).unwrap(),
            format!(
                "| offset: 0 NoTimestampType: -1 keySize: 1 valueSize: 1 isValid: true crc: {checksum}}} key: k payload: v"
            )
        );
    }

    #[test]
    fn printing_data_goes_into_batches() {
        let read = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            View::of(&parser().parse(&words).unwrap()).unwrap()
        };
        assert!(read("--files a --print-data-log").has_records);
        assert!(!read("--files a").has_records);
        assert!(!read("--files a --deep-iteration").has_data);
        assert!(read("--files a --offsets-decoder").has_data);
        assert!(read("--files a --key-decoder-class kafka.serializer.LongDecoder").has_data);
    }
}
