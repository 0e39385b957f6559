//! A walk over records that copies nothing: what a broker must know of them.
//!
//! Flow: plain records are walked where they lie; compressed ones come through
//! a window, which holds one record at a time.
//!
//! **Invariant:** memory follows the largest record that has arrived, never a
//! length that was only announced.

use std::io::Read;

use super::varint::{read_varint, read_varlong};
use super::{Compression, Error};

const CUT: Error = Error::Malformed("a record is cut off");
const BEHIND: Error = Error::Malformed("bytes follow the last record");
/// The longest length field of a record.
const LENGTH_SIZE_MAX: usize = 5;
/// How much is decompressed at a time.
const CHUNK_SIZE: usize = 16 * 1024;

/// What is seen of a record on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shallow {
    /// Its place in the batch, from 0 on.
    pub index: i32,
    pub timestamp_delta: i64,
    /// How far its offset lies from the batch's, by its own account.
    pub offset_delta: i32,
    pub has_key: bool,
}

/// Shows each of the `count` records that `body` must consist of.
pub(super) fn walk(
    mut body: &[u8],
    count: i32,
    mut seen: impl FnMut(Shallow),
) -> Result<(), Error> {
    for index in 0..count {
        let length = usize::try_from(read_varint(&mut body)?).map_err(|_| CUT)?;
        let (record, rest) = body.split_at_checked(length).ok_or(CUT)?;
        body = rest;
        seen(shallow(index, record)?);
    }
    match body.is_empty() {
        true => Ok(()),
        false => Err(BEHIND),
    }
}

/// The same for records that `window` gives back bit by bit.
pub(super) fn walk_window(
    mut window: Window<impl Read>,
    count: i32,
    mut seen: impl FnMut(Shallow),
) -> Result<(), Error> {
    for index in 0..count {
        let mut rest = window.at_least(LENGTH_SIZE_MAX)?;
        let available = rest.len();
        let length = usize::try_from(read_varint(&mut rest)?).map_err(|_| CUT)?;
        let start = available - rest.len();
        let end = start + length;
        let record = window.at_least(end)?.get(start..end).ok_or(CUT)?;
        seen(shallow(index, record)?);
        window.skip(end);
    }
    // This also reads the checksum at the end of the compressed data.
    match window.at_least(1)?.is_empty() {
        true => Ok(()),
        false => Err(BEHIND),
    }
}

/// A piece of a stream that moves along.
pub(super) struct Window<R> {
    reader: R,
    codec: Compression,
    limit: usize,
    /// What the reader may still give.
    room: usize,
    buffer: Vec<u8>,
    start: usize,
}

impl<R: Read> Window<R> {
    /// What `reader` decompresses, which may be `limit` bytes at most.
    pub(super) fn new(reader: R, codec: Compression, limit: usize) -> Self {
        Self {
            reader,
            codec,
            limit,
            room: limit,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// What lies ahead: `wanted` bytes or more, or all up to the stream's end.
    fn at_least(&mut self, wanted: usize) -> Result<&[u8], Error> {
        if self.buffer.len() - self.start < wanted {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        while self.buffer.len() - self.start < wanted {
            self.buffer.reserve(CHUNK_SIZE);
            let mut chunk = self.reader.by_ref().take(CHUNK_SIZE as u64);
            let read = chunk.read_to_end(&mut self.buffer);
            let read = read.map_err(|_| Error::BadCompression(self.codec))?;
            let limit = self.limit;
            let room = self.room.checked_sub(read);
            self.room = room.ok_or(Error::DecompressedTooLarge { limit })?;
            if read == 0 {
                break;
            }
        }
        Ok(&self.buffer[self.start..])
    }

    fn skip(&mut self, length: usize) {
        self.start += length;
    }
}

fn shallow(index: i32, record: &[u8]) -> Result<Shallow, Error> {
    let (_attributes, mut rest) = record.split_first().ok_or(CUT)?;
    let timestamp_delta = read_varlong(&mut rest)?;
    let offset_delta = read_varint(&mut rest)?;
    let has_key = skip_bytes(&mut rest)?.is_some();
    skip_bytes(&mut rest)?;
    let headers = read_varint(&mut rest)?;
    if headers < 0 {
        return Err(Error::Malformed(
            "a record has a negative number of headers",
        ));
    }
    for _ in 0..headers {
        skip_bytes(&mut rest)?.ok_or(Error::Malformed("a header has no key"))?;
        skip_bytes(&mut rest)?;
    }
    match rest.is_empty() {
        true => Ok(Shallow {
            index,
            timestamp_delta,
            offset_delta,
            has_key,
        }),
        false => Err(Error::Malformed("a record is longer than its fields")),
    }
}

/// Skips a field; its length unless it is null.
fn skip_bytes(rest: &mut &[u8]) -> Result<Option<usize>, Error> {
    let Ok(length) = usize::try_from(read_varint(rest)?) else {
        return Ok(None);
    };
    *rest = rest.get(length..).ok_or(CUT)?;
    Ok(Some(length))
}
