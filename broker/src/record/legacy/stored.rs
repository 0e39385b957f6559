//! Entries of formats 0 and 1 as an old broker left them in the log: to the
//! log each outer message, plain or a wrapper, is what a batch is.

use bytes::Bytes;

use super::Format;
use super::message::{LOG_OVERHEAD, Message};
use super::up::inner_messages;
use super::wrapper::Wrapper;
use crate::record::header::Header;
use crate::record::{
    Compression, Error, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, Record,
};

/// Offset, size, CRC, magic, attributes.
const FIXED_SIZE: usize = 18;
/// What the CRC covers begins with the magic.
const CHECKED_AT: usize = 16;
/// Codec and kind of timestamp; the other bits mean nothing here.
const ATTRIBUTES_MASK: u8 = 0x0f;

/// The header in the terms of a batch. The first offset in a wrapper is known
/// only to who unpacks it, so base and last offset are both the last one.
pub(in crate::record) fn header(bytes: &[u8], format: Format) -> Result<Header, Error> {
    let cut = || Error::Truncated {
        available: bytes.len(),
        needed: Format::V1.size_min(),
    };
    let fixed = bytes.first_chunk::<FIXED_SIZE>().ok_or_else(cut)?;
    let [
        o0,
        o1,
        o2,
        o3,
        o4,
        o5,
        o6,
        o7,
        l0,
        l1,
        l2,
        l3,
        c0,
        c1,
        c2,
        c3,
        magic,
        attributes,
    ] = *fixed;
    let offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
    let attributes = match format {
        // Format 0 has the codec alone.
        Format::V0 => attributes & 0x07,
        Format::V1 => attributes & ATTRIBUTES_MASK,
    };
    let timestamp = match format {
        Format::V0 => NO_TIMESTAMP,
        Format::V1 => {
            let rest = bytes.get(FIXED_SIZE..).ok_or_else(cut)?;
            i64::from_be_bytes(*rest.first_chunk().ok_or_else(cut)?).max(NO_TIMESTAMP)
        }
    };
    Ok(Header {
        magic: magic.cast_signed(),
        base_offset: offset,
        length: i32::from_be_bytes([l0, l1, l2, l3]),
        partition_leader_epoch: -1,
        crc: u32::from_be_bytes([c0, c1, c2, c3]),
        attributes: i16::from(attributes),
        last_offset_delta: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        base_sequence: NO_SEQUENCE,
        record_count: 1,
    })
}

/// CRC-32 of a whole entry.
pub(in crate::record) fn computed_crc(entry: &[u8]) -> u32 {
    common::checksum::crc32(entry.get(CHECKED_AT..).unwrap_or_default())
}

/// The records of a whole entry; decompression stops at `limit` bytes. As in
/// Kafka, what lies in a wrapper may be of another format than itself: an old
/// cleaner wrote such (KAFKA-4298).
pub(in crate::record) fn records(entry: &Bytes, limit: usize) -> Result<Vec<Record>, Error> {
    let message = Message::split_from(&mut entry.clone())?;
    let message = message.ok_or(Error::Malformed("a message is cut off"))?;
    let codec = message.compression()?;
    if codec == Compression::None {
        return Ok(vec![record(message.offset, message)]);
    }
    let inner = inner_messages(&message, codec, limit)?;
    let last = inner.last().map_or(0, |last| last.offset);
    let base = match message.format {
        Format::V0 => 0,
        // Certain versions of librdkafka leave the wrapper's offset at 0.
        Format::V1 if message.offset == 0 => 0,
        Format::V1 => message.offset - last,
    };
    let absolute = |message: Message| record(message.offset.wrapping_add(base), message);
    Ok(inner.into_iter().map(absolute).collect())
}

/// The CRC-32 that each message of a whole entry has of its own, in the order
/// of [`records`]; decompression stops at `limit` bytes.
pub fn checksums(entry: &Bytes, limit: usize) -> Result<Vec<u32>, Error> {
    let message = Message::split_from(&mut entry.clone())?;
    let message = message.ok_or(Error::Malformed("a message is cut off"))?;
    Ok(match message.compression()? {
        Compression::None => vec![message.crc],
        codec => {
            let inner = inner_messages(&message, codec, limit)?;
            inner.iter().map(|message| message.crc).collect()
        }
    })
}

fn record(offset: i64, message: Message) -> Record {
    Record {
        offset,
        timestamp: message.timestamp.max(NO_TIMESTAMP),
        key: message.key,
        value: message.value,
        headers: Vec::new(),
    }
}

/// The entry of which `header` is, with only the records `kept`, in its own
/// format and codec: what compaction leaves of a wrapper.
pub fn rewrite(header: &Header, kept: &[Record]) -> Result<Bytes, Error> {
    let format = Format::of_magic(header.magic).ok_or(Error::UnsupportedMagic(header.magic))?;
    let mut wrapper = Wrapper::new(format, header.compression(), header.timestamp_type());
    let mut out = Vec::with_capacity(LOG_OVERHEAD + header.size());
    for record in kept {
        wrapper.push(record, &mut out)?;
    }
    wrapper.finish(header.max_timestamp, &mut out)?;
    Ok(Bytes::from(out))
}
