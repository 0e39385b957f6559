use proptest::prelude::*;

use super::super::{BatchBuilder, Record, RecordHeader, TimestampType};
use super::*;

const LIMIT: usize = 1 << 20;

fn sample(compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(compression).producer(7, 1, 40);
    let headers = [
        RecordHeader {
            key: Bytes::from_static(b"h"),
            value: None,
        },
        RecordHeader {
            key: Bytes::from_static(b"h"),
            value: Some(Bytes::from_static(b"twice")),
        },
    ];
    assert!(builder.push(1000, Some(b"k"), Some(b"value"), &headers));
    assert!(builder.push(1005, None, Some(b""), &[]));
    assert!(builder.push(998, Some(b""), None, &[]));
    builder.build().unwrap()
}

fn all_records(batch: &Batch) -> Result<Vec<Record>, Error> {
    batch.records(LIMIT)?.collect()
}

#[test]
fn golden_bytes_of_an_uncompressed_batch() {
    let mut builder = BatchBuilder::new(Compression::None);
    assert!(builder.push(1_700_000_000_000, Some(b"k"), Some(b"v"), &[]));
    let bytes = builder.build().unwrap();
    let expected: [u8; 70] = [
        0, 0, 0, 0, 0, 0, 0, 0, // base offset
        0, 0, 0, 58, // length
        0xff, 0xff, 0xff, 0xff, // leader epoch
        2,    // magic
        0xe9, 0x9b, 0x8d, 0xd8, // crc
        0, 0, // attributes
        0, 0, 0, 0, // last offset delta
        0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, // base timestamp
        0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, // max timestamp
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // producer id
        0xff, 0xff, // producer epoch
        0xff, 0xff, 0xff, 0xff, // base sequence
        0, 0, 0, 1, // count
        16, 0, 0, 0, 2, b'k', 2, b'v', 0,
    ];
    assert_eq!(&bytes[..], &expected[..]);
}

#[test]
fn records_come_back_in_every_codec_with_repeated_headers() {
    for codec in [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let batch = Batch::only(sample(codec)).unwrap();
        batch.check_crc().unwrap();
        batch.check_count().unwrap();
        assert_eq!(batch.header().compression(), codec);
        assert_eq!(batch.header().last_sequence(), 42);
        assert_eq!(batch.header().max_timestamp, 1005);
        let records = all_records(&batch).unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[0].headers.len(), 2);
        assert_eq!(records[0].headers[0].key, records[0].headers[1].key);
        assert_eq!(records[1].key, None);
        assert_eq!(records[2].value, None);
        assert_eq!(records[2].timestamp, 998);
        assert_eq!(records[2].offset, 2);
    }
}

#[test]
fn placing_a_batch_leaves_the_crc_alone() {
    let batch = Batch::only(sample(Compression::None)).unwrap();
    let mut placed = batch.header_at(500, 9).to_vec();
    placed.extend_from_slice(&batch.body());
    let placed = Batch::only(Bytes::from(placed)).unwrap();
    placed.check_crc().unwrap();
    assert_eq!(placed.header().base_offset, 500);
    assert_eq!(placed.header().next_offset(), 503);
    assert_eq!(placed.header().partition_leader_epoch, 9);
}

#[test]
fn log_append_time_overrides_the_records_times() {
    let batch = Batch::only(sample(Compression::Zstd))
        .unwrap()
        .with_log_append_time(77);
    batch.check_crc().unwrap();
    assert_eq!(
        batch.header().timestamp_type(),
        TimestampType::LogAppendTime
    );
    let records = all_records(&batch).unwrap();
    assert!(records.iter().all(|record| record.timestamp == 77));
    let again = Batch::only(batch.bytes().clone()).unwrap();
    assert_eq!(again.header(), batch.header());
}

#[test]
fn every_cut_is_an_error_or_a_partial_batch() {
    let bytes = sample(Compression::Gzip);
    for end in 0..bytes.len() {
        let cut = bytes.slice(..end);
        assert!(Batch::only(cut.clone()).is_err());
        assert_eq!(Batches::tolerant(cut.clone()).count(), 0);
        if end > 0 {
            assert!(Batches::strict(cut).next().unwrap().is_err());
        }
    }
    let two = Bytes::from([&bytes[..], &bytes[..bytes.len() - 1]].concat());
    assert_eq!(Batches::tolerant(two.clone()).count(), 1);
    assert_eq!(whole_batches_length(&two), bytes.len());
    assert!(Batch::only(Bytes::from([&bytes[..], &bytes[..]].concat())).is_err());
}

#[test]
fn every_flipped_bit_after_the_crc_field_is_found() {
    for codec in [Compression::None, Compression::Lz4] {
        let bytes = sample(codec);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                let Ok(batch) = Batch::only(Bytes::from(flipped)) else {
                    continue;
                };
                // Base offset and leader epoch lie outside the CRC.
                let outside = at < 8 || (12..16).contains(&at);
                assert_eq!(batch.check_crc().is_ok(), outside, "byte {at}");
                let _ = all_records(&batch);
            }
        }
    }
}

proptest! {
    #[test]
    fn round_trip(
        records in proptest::collection::vec(
            (0_i64..1 << 50, any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()), 1..20),
        codec in 0_u8..5,
    ) {
        let mut builder = BatchBuilder::new(Compression::from_id(codec).unwrap());
        for (time, key, value) in &records {
            prop_assert!(builder.push(*time, key.as_deref(), value.as_deref(), &[]));
        }
        let batch = Batch::only(builder.build().unwrap()).unwrap();
        let got = all_records(&batch).unwrap();
        prop_assert_eq!(got.len(), records.len());
        for (got, (time, key, value)) in got.iter().zip(&records) {
            prop_assert_eq!(got.timestamp, *time);
            prop_assert_eq!(got.key.as_deref(), key.as_deref());
            prop_assert_eq!(got.value.as_deref(), value.as_deref());
        }
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for batch in Batches::strict(Bytes::from(bytes)).flatten() {
            let _ = all_records(&batch);
        }
    }

    #[test]
    fn garbage_records_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200), count in 0_i32..9) {
        let sample = sample(Compression::None);
        let mut bytes = sample[..HEADER_SIZE].to_vec();
        bytes[8..12].copy_from_slice(&(49 + body.len() as i32).to_be_bytes());
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&body);
        let _ = all_records(&Batch::only(Bytes::from(bytes)).unwrap());
    }
}
