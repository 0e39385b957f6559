//! The records inside a batch.

use bytes::Bytes;

use super::header::{Header, TimestampType};
use super::varint::{read_varint, read_varlong};
use super::{Error, NO_TIMESTAMP};

const CUT: Error = Error::Malformed("a record is cut off");
/// The least a header takes: its key's and its value's length.
const RECORD_HEADER_SIZE_MIN: usize = 2;

/// One record; its fields share the memory of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
}

/// A header of a record; keys may repeat and need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// Iterates over the records of a batch; ends after the first error.
#[derive(Debug)]
pub struct Records {
    body: Bytes,
    remaining: i32,
    base_offset: i64,
    base_timestamp: i64,
    log_append_time: Option<i64>,
    /// Records of formats 0 and 1, which are decoded at once.
    old: std::vec::IntoIter<Record>,
}

impl Records {
    pub(super) fn new(header: &Header, body: Bytes) -> Self {
        let append_time = header.timestamp_type() == TimestampType::LogAppendTime;
        Self {
            body,
            remaining: header.record_count,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time: append_time.then_some(header.max_timestamp),
            old: Vec::new().into_iter(),
        }
    }

    pub(super) fn of_old_format(records: Vec<Record>) -> Self {
        Self {
            body: Bytes::new(),
            remaining: 0,
            base_offset: 0,
            base_timestamp: 0,
            log_append_time: None,
            old: records.into_iter(),
        }
    }

    fn read_record(&mut self) -> Result<Record, Error> {
        let mut rest = &self.body[..];
        let length = usize::try_from(read_varint(&mut rest)?).map_err(|_| CUT)?;
        if rest.len() < length {
            return Err(CUT);
        }
        let start = self.body.len() - rest.len();
        let mut fields = Cursor(self.body.slice(start..start + length));
        self.body = self.body.slice(start + length..);

        fields.skip_attributes()?;
        let timestamp_delta = fields.varlong()?;
        let offset_delta = fields.varint()?;
        let key = fields.nullable_bytes()?;
        let value = fields.nullable_bytes()?;
        let headers = fields.headers()?;
        if !fields.0.is_empty() {
            return Err(Error::Malformed("a record is longer than its fields"));
        }
        let timestamp = self
            .log_append_time
            .unwrap_or_else(|| self.base_timestamp.wrapping_add(timestamp_delta));
        Ok(Record {
            offset: self.base_offset.wrapping_add(i64::from(offset_delta)),
            timestamp: timestamp.max(NO_TIMESTAMP),
            key,
            value,
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            if self.body.is_empty() {
                return self.old.next().map(Ok);
            }
            self.body.clear();
            return Some(Err(Error::Malformed("bytes follow the last record")));
        }
        self.remaining -= 1;
        let record = self.read_record();
        if record.is_err() {
            self.remaining = 0;
            self.body.clear();
        }
        Some(record)
    }
}

struct Cursor(Bytes);

impl Cursor {
    fn skip_attributes(&mut self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Err(CUT);
        }
        self.0 = self.0.slice(1..);
        Ok(())
    }

    fn varint(&mut self) -> Result<i32, Error> {
        let mut rest = &self.0[..];
        let value = read_varint(&mut rest)?;
        let read = self.0.len() - rest.len();
        self.0 = self.0.slice(read..);
        Ok(value)
    }

    fn varlong(&mut self) -> Result<i64, Error> {
        let mut rest = &self.0[..];
        let value = read_varlong(&mut rest)?;
        let read = self.0.len() - rest.len();
        self.0 = self.0.slice(read..);
        Ok(value)
    }

    fn nullable_bytes(&mut self) -> Result<Option<Bytes>, Error> {
        let length = self.varint()?;
        if length < 0 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| CUT)?;
        if self.0.len() < length {
            return Err(CUT);
        }
        Ok(Some(self.0.split_to(length)))
    }

    fn headers(&mut self) -> Result<Vec<RecordHeader>, Error> {
        let count = usize::try_from(self.varint()?)
            .map_err(|_| Error::Malformed("a record has a negative number of headers"))?;
        if count > self.0.len() / RECORD_HEADER_SIZE_MIN {
            return Err(CUT);
        }
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let key = self
                .nullable_bytes()?
                .ok_or(Error::Malformed("a header has no key"))?;
            let value = self.nullable_bytes()?;
            headers.push(RecordHeader { key, value });
        }
        Ok(headers)
    }
}
