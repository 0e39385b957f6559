use bytes::Bytes;
use proptest::prelude::*;

use super::message::{Fields, Message};
use super::*;
use crate::record::{
    Batch, BatchBuilder, Compression, Error, Record, RecordHeader, TimestampType, compress,
};

const LIMIT: usize = 1 << 20;
const FORMATS: [Format; 2] = [Format::V0, Format::V1];
/// The codecs that these formats know.
const CODECS: [Compression; 4] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
];

type Plain<'a> = (i64, i64, Option<&'a [u8]>, Option<&'a [u8]>);

const SAMPLE: [Plain<'_>; 3] = [
    (5, 1000, Some(b"k"), Some(b"value")),
    (6, 1005, None, Some(b"")),
    (7, 998, Some(b""), None),
];

fn fields(format: Format, offset: i64, timestamp: i64, compression: Compression) -> Fields {
    Fields {
        format,
        offset,
        timestamp,
        timestamp_type: TimestampType::CreateTime,
        compression,
    }
}

fn set(format: Format, messages: &[Plain<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (offset, timestamp, key, value) in messages {
        let fields = fields(format, *offset, *timestamp, Compression::None);
        fields.write(&mut out, *key, *value).unwrap();
    }
    out
}

/// A wrapper as an old producer writes it: its offsets mean nothing.
fn wrapped(format: Format, codec: Compression, offset: i64, inner: &[u8]) -> Vec<u8> {
    let mut packed = compress(codec, inner).unwrap();
    if (codec, format) == (Compression::Lz4, Format::V0) {
        packed = lz4::with_broken_checksum(packed).unwrap();
    }
    let mut out = Vec::new();
    let fields = fields(format, offset, 1005, codec);
    fields.write(&mut out, None, Some(&packed)).unwrap();
    out
}

fn from_producer(format: Format, codec: Compression, messages: &[Plain<'_>]) -> Bytes {
    let inner = set(format, messages);
    Bytes::from(match codec {
        Compression::None => inner,
        codec => wrapped(
            format,
            codec,
            messages.last().map_or(0, |last| last.0),
            &inner,
        ),
    })
}

fn up(set: impl Into<Bytes>) -> Result<Batch, Error> {
    match up_convert(set.into(), LIMIT)? {
        UpConverted::Nothing => panic!("there is a message"),
        UpConverted::Batch { batch, .. } => Batch::only(batch),
    }
}

fn records(batch: &Batch) -> Vec<Record> {
    let records = batch.records(LIMIT).unwrap();
    records.collect::<Result<_, _>>().unwrap()
}

/// What a consumer gets out of a set: offsets made absolute.
fn read(set: &[u8], format: Format) -> Vec<Message> {
    let mut bytes = Bytes::copy_from_slice(set);
    let mut out = Vec::new();
    while let Some(message) = Message::split_from(&mut bytes).unwrap() {
        assert_eq!(message.format, format);
        let codec = message.compression().unwrap();
        if codec == Compression::None {
            out.push(message);
            continue;
        }
        let value = message.value.clone().unwrap();
        let packed = match (codec, format) {
            (Compression::Lz4, Format::V0) => lz4::with_correct_checksum(&value).unwrap(),
            _ => value.to_vec(),
        };
        let inner = crate::record::decompress(codec, &packed, LIMIT).unwrap();
        let mut inner = read(&inner, format);
        let base = match format {
            Format::V0 => 0,
            Format::V1 => message.offset - inner.last().unwrap().offset,
        };
        for each in &mut inner {
            each.offset += base;
        }
        out.append(&mut inner);
    }
    out
}

#[test]
fn golden_bytes_of_both_formats() {
    let v0 = set(Format::V0, &[(5, 0, Some(b"k"), Some(b"v"))]);
    let expected: [u8; 28] = [
        0, 0, 0, 0, 0, 0, 0, 5, // offset
        0, 0, 0, 16, // size
        0x1f, 0xec, 0xd7, 0x0a, // crc
        0, 0, // magic, attributes
        0, 0, 0, 1, b'k', 0, 0, 0, 1, b'v',
    ];
    assert_eq!(v0, expected);
    let v1 = set(Format::V1, &[(5, 1000, None, Some(b"v"))]);
    let expected: [u8; 35] = [
        0, 0, 0, 0, 0, 0, 0, 5, // offset
        0, 0, 0, 23, // size
        0x09, 0xb6, 0x6c, 0xaa, // crc
        1, 0, // magic, attributes
        0, 0, 0, 0, 0, 0, 3, 0xe8, // timestamp
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, b'v',
    ];
    assert_eq!(v1, expected);
}

#[test]
fn every_codec_goes_up_and_comes_down_again() {
    for format in FORMATS {
        for codec in CODECS {
            let batch = up(from_producer(format, codec, &SAMPLE)).unwrap();
            batch.check_crc().unwrap();
            batch.check_count().unwrap();
            assert_eq!(batch.header().compression(), codec);
            let got = records(&batch);
            for (index, (got, (_, time, key, value))) in got.iter().zip(&SAMPLE).enumerate() {
                assert_eq!(
                    got.offset,
                    i64::try_from(index).unwrap(),
                    "offsets start anew"
                );
                let time = if format == Format::V0 { -1 } else { *time };
                assert_eq!(got.timestamp, time);
                assert_eq!((got.key.as_deref(), got.value.as_deref()), (*key, *value));
            }
            let placed = placed(&batch, 40);
            for wanted in FORMATS {
                let down = down_convert(placed.clone(), wanted, 0, LIMIT).unwrap();
                assert_eq!(down.first_length, down.set.len());
                let messages = read(&down.set, wanted);
                let offsets: Vec<_> = messages.iter().map(|message| message.offset).collect();
                assert_eq!(offsets, [40, 41, 42], "{format:?} {codec} {wanted:?}");
                for (message, (_, time, key, value)) in messages.iter().zip(&SAMPLE) {
                    let both = (format, wanted) == (Format::V1, Format::V1);
                    assert_eq!(message.timestamp, if both { *time } else { -1 });
                    assert_eq!(
                        (message.key.as_deref(), message.value.as_deref()),
                        (*key, *value)
                    );
                }
            }
        }
    }
}

/// The batch as the log keeps it.
fn placed(batch: &Batch, offset: i64) -> Bytes {
    let mut bytes = batch.header_at(offset, 0).to_vec();
    bytes.extend_from_slice(&batch.body());
    Bytes::from(bytes)
}

#[test]
fn offsets_that_producers_make_up_are_taken() {
    // PyKafka writes -1 everywhere, some librdkafkas 0 on the wrapper.
    let none = [(-1, 1, None, Some(&b"a"[..])), (-1, 2, None, Some(b"b"))];
    let relative = [(0, 1, None, Some(&b"a"[..])), (1, 2, None, Some(b"b"))];
    for format in FORMATS {
        for (messages, wrapper) in [(none, -1), (relative, 0), (relative, 1), (relative, 17)] {
            let set = wrapped(format, Compression::Gzip, wrapper, &set(format, &messages));
            assert_eq!(records(&up(set).unwrap()).len(), 2);
        }
    }
    let inner = set(Format::V1, &[(4, 1, None, None)]);
    let wrong = up(wrapped(Format::V1, Compression::Gzip, 3, &inner));
    assert!(matches!(wrong, Err(Error::Malformed(_))));
}

#[test]
fn a_wrapper_that_the_broker_stamped_stamps_its_messages() {
    let inner = set(Format::V1, &SAMPLE);
    let mut out = Vec::new();
    let fields = Fields {
        timestamp_type: TimestampType::LogAppendTime,
        ..fields(Format::V1, 7, 77, Compression::Gzip)
    };
    let packed = compress(Compression::Gzip, &inner).unwrap();
    fields.write(&mut out, None, Some(&packed)).unwrap();
    let got = records(&up(out).unwrap());
    assert!(got.iter().all(|record| record.timestamp == 77));
}

#[test]
fn what_no_kafka_takes_is_refused() {
    let inner = set(Format::V1, &SAMPLE);
    let gzip = wrapped(Format::V1, Compression::Gzip, 0, &inner);
    let mut without_value = Vec::new();
    fields(Format::V1, 0, 0, Compression::Gzip)
        .write(&mut without_value, None, None)
        .unwrap();
    let mut zstd = Vec::new();
    fields(Format::V1, 0, 0, Compression::Zstd)
        .write(
            &mut zstd,
            None,
            Some(&compress(Compression::Zstd, &inner).unwrap()),
        )
        .unwrap();
    let cases = [
        ("two wrappers", gzip.repeat(2)),
        (
            "a wrapper and a message",
            [gzip.clone(), inner.clone()].concat(),
        ),
        (
            "two formats",
            [set(Format::V0, &SAMPLE), inner.clone()].concat(),
        ),
        (
            "another format inside",
            wrapped(Format::V0, Compression::Gzip, 0, &inner),
        ),
        (
            "a set in a set in a set",
            wrapped(Format::V1, Compression::Gzip, 0, &gzip),
        ),
        (
            "nothing inside",
            wrapped(Format::V1, Compression::Gzip, 0, &[]),
        ),
        ("no value", without_value),
        ("zstd", zstd),
    ];
    for (what, set) in cases {
        assert!(matches!(up(set), Err(Error::Malformed(_))), "{what}");
    }
    assert_eq!(up_convert(Bytes::new(), LIMIT), Ok(UpConverted::Nothing));
    let bomb = set(Format::V1, &[(0, 0, None, Some(&vec![0; 2 * LIMIT]))]);
    for codec in &CODECS[1..] {
        let set = wrapped(Format::V1, *codec, 0, &bomb);
        let refused = up_convert(set.into(), LIMIT);
        assert_eq!(
            refused,
            Err(Error::DecompressedTooLarge { limit: LIMIT }),
            "{codec}"
        );
    }
}

#[test]
fn a_message_that_is_cut_off_ends_the_set() {
    let whole = set(Format::V1, &SAMPLE[..1]);
    let both = set(Format::V1, &SAMPLE[..2]);
    for end in whole.len()..both.len() {
        assert_eq!(
            records(&up(both[..end].to_vec()).unwrap()).len(),
            1,
            "{end}"
        );
    }
    for end in 0..whole.len() {
        let cut = Bytes::copy_from_slice(&whole[..end]);
        assert_eq!(up_convert(cut, LIMIT), Ok(UpConverted::Nothing), "{end}");
    }
}

#[test]
fn every_flipped_bit_is_found_or_outside_of_the_checksum() {
    for codec in CODECS {
        for format in FORMATS {
            let set = from_producer(format, codec, &SAMPLE[..1]);
            for at in 0..set.len() {
                for bit in 0..8 {
                    let mut flipped = set.to_vec();
                    flipped[at] ^= 1 << bit;
                    let outside = at < 12;
                    match up_convert(flipped.into(), LIMIT) {
                        Ok(UpConverted::Batch { .. }) => assert!(outside, "byte {at}"),
                        Ok(UpConverted::Nothing) | Err(_) => {}
                    }
                }
            }
        }
    }
}

#[test]
fn the_checksum_of_old_lz4_frames_is_the_wrong_one() {
    let frame = compress(Compression::Lz4, b"hello hello hello").unwrap();
    let broken = lz4::with_broken_checksum(frame.clone()).unwrap();
    assert_ne!(broken, frame);
    assert_eq!(broken.len(), frame.len());
    assert_eq!(lz4::with_correct_checksum(&broken).unwrap(), frame);
    for end in 0..7 {
        assert!(lz4::with_correct_checksum(&frame[..end]).is_err());
    }
}

#[test]
fn headers_and_control_records_stay_behind() {
    let header = RecordHeader {
        key: Bytes::from_static(b"h"),
        value: None,
    };
    let mut control = BatchBuilder::new(Compression::None)
        .control()
        .base_offset(0, 0);
    assert!(control.push(1, Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]));
    let mut data = BatchBuilder::new(Compression::None).base_offset(1, 0);
    for value in [b"a", b"b", b"c"] {
        assert!(data.push(1, None, Some(value), std::slice::from_ref(&header)));
    }
    let batches = [control.build().unwrap(), data.build().unwrap()].concat();
    let down = down_convert(batches.into(), Format::V1, 2, LIMIT).unwrap();
    let values: Vec<_> = read(&down.set, Format::V1)
        .into_iter()
        .map(|message| (message.offset, message.value.unwrap()))
        .collect();
    // Messages before the offset that was asked for stay behind too.
    assert_eq!(
        values,
        [(2, Bytes::from_static(b"b")), (3, Bytes::from_static(b"c"))]
    );
}

#[test]
fn zstd_does_not_come_down_and_append_time_does() {
    let mut builder = BatchBuilder::new(Compression::Zstd);
    assert!(builder.push(1, None, Some(b"v"), &[]));
    let zstd = down_convert(builder.build().unwrap(), Format::V1, 0, LIMIT);
    let codec = Compression::Zstd;
    assert_eq!(zstd, Err(Error::NotInFormat { codec }));
    for codec in CODECS {
        let mut builder = BatchBuilder::new(codec).log_append_time(77);
        assert!(builder.push(1, None, Some(b"v"), &[]));
        let down = down_convert(builder.build().unwrap(), Format::V1, 0, LIMIT).unwrap();
        let mut bytes = Bytes::from(down.set.clone());
        let outer = Message::split_from(&mut bytes).unwrap().unwrap();
        assert_eq!(outer.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(outer.timestamp, 77);
        assert_eq!(read(&down.set, Format::V1)[0].timestamp, 77);
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = up_convert(Bytes::from(bytes.clone()), 1 << 16);
        let _ = down_convert(Bytes::from(bytes.clone()), Format::V0, 0, 1 << 16);
        let _ = lz4::with_correct_checksum(&bytes);
    }

    /// Garbage under a checksum that is right reaches further.
    #[test]
    fn checked_garbage_never_panics(
        body in proptest::collection::vec(any::<u8>(), 2..200),
        format in 0_u8..2,
        codec in 0_u8..8,
    ) {
        let mut body = body;
        body[0] = format;
        body[1] = codec;
        let mut set = vec![0; 8];
        set.extend_from_slice(&i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        set.extend_from_slice(&common::checksum::crc32(&body).to_be_bytes());
        set.extend_from_slice(&body);
        let _ = up_convert(set.into(), 1 << 16);
    }

    #[test]
    fn compressed_garbage_never_panics(
        value in proptest::collection::vec(any::<u8>(), 0..200),
        format in 0_usize..2,
        codec in 1_usize..4,
    ) {
        let mut set = Vec::new();
        let fields = fields(FORMATS[format], 0, 0, CODECS[codec]);
        fields.write(&mut set, None, Some(&value)).unwrap();
        let _ = up_convert(set.into(), 1 << 16);
        let set = wrapped(FORMATS[format], CODECS[codec], 0, &value);
        let _ = up_convert(set.into(), 1 << 16);
    }

    #[test]
    fn round_trip(
        messages in proptest::collection::vec(
            (0_i64..1 << 50, any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()), 1..20),
        codec in 0_usize..4,
    ) {
        let plain: Vec<Plain<'_>> = messages.iter().zip(0..).map(|((time, key, value), offset)| {
            (offset, *time, key.as_deref(), value.as_deref())
        }).collect();
        let batch = up(from_producer(Format::V1, CODECS[codec], &plain)).unwrap();
        let down = down_convert(batch.bytes().clone(), Format::V1, 0, LIMIT).unwrap();
        let got = read(&down.set, Format::V1);
        prop_assert_eq!(got.len(), plain.len());
        for (got, (offset, time, key, value)) in got.iter().zip(&plain) {
            prop_assert_eq!((got.offset, got.timestamp), (*offset, *time));
            prop_assert_eq!((got.key.as_deref(), got.value.as_deref()), (*key, *value));
        }
    }
}
