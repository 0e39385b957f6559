//! Compressed batches whose checksum is right and whose content is not.

use super::*;
use crate::record::{HEADER_SIZE, compress, write_varint, write_varlong};

const LENGTH_AT: usize = 8;
const CRC_AT: usize = 17;
const CODEC_AT: usize = 22;
const LAST_DELTA_AT: usize = 23;
const COUNT_AT: usize = 57;

fn codecs() -> [Compression; 4] {
    [1, 2, 3, 4].map(|id| Compression::from_id(id).unwrap())
}

/// A batch that says it holds `count` records in `payload`, with a right CRC.
fn claiming(codec: Compression, count: i32, payload: &[u8]) -> Bytes {
    let mut bytes = batch(1, 1, NOW)[..HEADER_SIZE].to_vec();
    bytes[CODEC_AT] = codec.id();
    bytes[LAST_DELTA_AT..LAST_DELTA_AT + 4].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[COUNT_AT..COUNT_AT + 4].copy_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(payload);
    let length = i32::try_from(bytes.len() - LENGTH_AT - 4).unwrap();
    bytes[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    let crc = common::checksum::crc32c(&bytes[CRC_AT + 4..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// Records of `size` bytes that number themselves as told.
fn numbered(deltas: &[i32], size: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for &delta in deltas {
        let mut fields = vec![0];
        write_varlong(&mut fields, 0);
        write_varint(&mut fields, delta);
        write_varint(&mut fields, -1);
        write_varint(&mut fields, i32::try_from(size).unwrap());
        fields.extend((0..size).map(|at| (at * 7919 / 13) as u8));
        write_varint(&mut fields, 0);
        write_varint(&mut body, i32::try_from(fields.len()).unwrap());
        body.extend_from_slice(&fields);
    }
    body
}

fn try_append(log: &mut Log, bytes: Bytes) -> Result<AppendInfo, AppendError> {
    log.append_as_leader(bytes, 0, AppendOrigin::Client, NOW)
}

#[test]
fn what_a_header_says_of_compressed_records_must_be_so() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    for codec in codecs() {
        let body = numbered(&[0, 1, 2], 300);
        let good = compress(codec, &body).unwrap();
        let trailed = [&body[..], b"more"].concat();
        let endless = [&body[..], &[0xff; 8]].concat();
        let cases = [
            ("fewer", 2, good.clone()),
            ("more", 4, good.clone()),
            ("far more", i32::MAX, good.clone()),
            ("behind", 3, compress(codec, &trailed).unwrap()),
            ("length", 4, compress(codec, &endless).unwrap()),
            ("cut", 3, good[..good.len() / 2].to_vec()),
            ("nothing", 3, Vec::new()),
            ("garbage", 3, vec![0x5a; 200]),
            ("plain", 3, body.clone()),
        ];
        for (name, count, payload) in cases {
            let refused = try_append(&mut log, claiming(codec, count, &payload));
            assert!(
                matches!(refused, Err(AppendError::InvalidRecord(_))),
                "{codec}, {name}: {refused:?}"
            );
        }
        assert_eq!(log.log_end_offset(), 0);
    }
    for codec in codecs() {
        let good = compress(codec, &numbered(&[0, 1, 2], 300)).unwrap();
        append(&mut log, claiming(codec, 3, &good));
    }
    assert_eq!(all_records(&log).len(), 12);
}

#[test]
fn large_records_are_seen_through_a_small_window() {
    let (_dir, mut log) = new_log(&LogConfig::default());
    for codec in codecs() {
        let body = numbered(&[0, 1, 2], 150_000);
        let batch = claiming(codec, 3, &compress(codec, &body).unwrap());
        append(&mut log, batch);
    }
    let records = all_records(&log);
    assert_eq!(records.len(), 12);
    assert!(
        records
            .iter()
            .all(|record| record.value.as_ref().unwrap().len() == 150_000)
    );
}

/// Some old clients number all inner records 0; Kafka numbers them again.
#[test]
fn misnumbered_compressed_records_are_numbered_again() {
    for codec in codecs() {
        for deltas in [[0, 0, 0], [2, 1, 0], [0, 1, 7], [5, 6, 7]] {
            let (_dir, mut log) = new_log(&LogConfig::default());
            let payload = compress(codec, &numbered(&deltas, 50)).unwrap();
            append(&mut log, claiming(codec, 3, &payload));
            append(&mut log, batch(1, 1, NOW));
            let offsets: Vec<_> = all_records(&log).iter().map(|r| r.offset).collect();
            assert_eq!(offsets, [0, 1, 2, 3], "{codec} {deltas:?}");
            assert_eq!(all_batches(&log)[0].header().compression(), codec);
        }
    }
}

#[test]
fn damage_that_is_not_noticed_leaves_what_can_be_read() {
    for codec in codecs() {
        let good = compress(codec, &numbered(&[0, 1, 2, 3], 60)).unwrap();
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << (at % 8);
            let batch = Batch::only(claiming(codec, 4, &flipped)).unwrap();
            if batch.walk(1 << 20, |_| {}).is_ok() {
                let records = batch.records(1 << 20).unwrap();
                let records: Result<Vec<_>, _> = records.collect();
                assert_eq!(records.unwrap().len(), 4, "{codec} byte {at}");
            }
        }
    }
}

#[test]
fn the_topics_level_counts_where_the_broker_compresses() {
    let mut builder = BatchBuilder::new(Compression::None);
    for index in 0..400_u32 {
        let text = format!(
            "{{\"user\": {}, \"page\": \"/items/{}\"}}",
            index * 7919,
            index % 17
        );
        assert!(builder.push(NOW, None, Some(text.as_bytes()), &[]));
    }
    let plain = builder.build().unwrap();
    let stored = |codec: Compression, level: i32| {
        let (_dir, mut log) = new_log(&LogConfig {
            compression_type: Some(codec),
            compression_gzip_level: level,
            compression_zstd_level: level,
            ..LogConfig::default()
        });
        append(&mut log, plain.clone());
        assert_eq!(all_batches(&log)[0].header().compression(), codec);
        log.size()
    };
    for (codec, levels) in [(Compression::Gzip, [1, 9]), (Compression::Zstd, [1, 19])] {
        let [quick, thorough] = levels.map(|level| stored(codec, level));
        assert!(thorough < quick, "{codec}: {thorough} and {quick}");
    }
}
