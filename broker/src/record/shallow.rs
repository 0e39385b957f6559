//! A walk over records that copies nothing: what a broker must know of them.

use super::Error;
use super::varint::{read_varint, read_varlong};

const CUT: Error = Error::Malformed("a record is cut off");

/// What is seen of a record on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shallow {
    /// Its place in the batch, from 0 on.
    pub index: i32,
    pub timestamp_delta: i64,
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
        false => Err(Error::Malformed("bytes follow the last record")),
    }
}

fn shallow(index: i32, record: &[u8]) -> Result<Shallow, Error> {
    let (_attributes, mut rest) = record.split_first().ok_or(CUT)?;
    let timestamp_delta = read_varlong(&mut rest)?;
    let _offset_delta = read_varint(&mut rest)?;
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
