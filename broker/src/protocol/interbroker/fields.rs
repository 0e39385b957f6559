//! The wire types of Kafka, flexible (KIP-482) and from before, checked while
//! they are read.
//!
//! **Invariant:** a count never makes more room than the bytes that arrived
//! can fill, and no bytes make a read panic.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::model::{InvalidTopicName, TopicName};
use crate::protocol::codec::{put_unsigned_varint, take_unsigned_varint};

/// Why the bytes of a message between brokers are not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("its header is wrong")]
    Header,
    #[error("it ends too early")]
    Truncated,
    #[error("{0} bytes follow its end")]
    Trailing(usize),
    #[error("a varint is longer than five bytes")]
    Varint,
    #[error("a count or length is {0}")]
    Negative(i64),
    #[error("{count} elements cannot be in {remaining} bytes")]
    Count { count: usize, remaining: usize },
    #[error("a string or array that is always there is null")]
    Null,
    #[error("a string is not UTF-8")]
    Utf8,
    #[error(transparent)]
    TopicName(#[from] InvalidTopicName),
    #[error("{0} is not a port")]
    Port(i32),
    #[error("security protocol {0} is not known")]
    SecurityProtocol(i16),
    #[error("security protocol {0} has no number")]
    NamelessProtocol(String),
    #[error("the controller is one of KRaft, and this cluster has none")]
    KraftController,
    #[error("topic id {0} was not in the request")]
    UnknownTopicId(Uuid),
}

/// How lengths are written, and whether tagged fields follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Flexible,
    /// Counts of four bytes, lengths of two, and no tagged field.
    Plain,
}

impl Form {
    /// By the version of a message, and the first one that is flexible.
    pub(super) fn of(version: i16, flexible_from: i16) -> Self {
        match version >= flexible_from {
            true => Self::Flexible,
            false => Self::Plain,
        }
    }
}

/// Reads a message from its first byte to its last.
#[derive(Debug)]
pub(super) struct Reader {
    bytes: Bytes,
    form: Form,
}

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self::of(bytes, Form::Flexible)
    }

    pub(super) fn of(bytes: Bytes, form: Form) -> Self {
        Self { bytes, form }
    }

    /// Says that the message is over; what follows is an error.
    pub(super) fn end(self) -> Result<(), Error> {
        match self.bytes.len() {
            0 => Ok(()),
            rest => Err(Error::Trailing(rest)),
        }
    }

    /// What has not been read.
    pub(super) fn rest(self) -> Bytes {
        self.bytes
    }

    pub(super) fn bool(&mut self) -> Result<bool, Error> {
        Ok(self.i8()? != 0)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Error> {
        self.bytes.try_get_i8().map_err(|_| Error::Truncated)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Error> {
        self.bytes.try_get_i16().map_err(|_| Error::Truncated)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Error> {
        self.bytes.try_get_i32().map_err(|_| Error::Truncated)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Error> {
        self.bytes.try_get_i64().map_err(|_| Error::Truncated)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, Error> {
        let value = self.bytes.try_get_u128().map_err(|_| Error::Truncated)?;
        Ok(Uuid::from_u128(value))
    }

    fn varint(&mut self) -> Result<u32, Error> {
        let is_cut = self.bytes.iter().take(5).all(|byte| byte & 0x80 != 0) && self.bytes.len() < 5;
        match take_unsigned_varint(&mut self.bytes) {
            Ok(value) => Ok(value),
            Err(_) if is_cut => Err(Error::Truncated),
            Err(_) => Err(Error::Varint),
        }
    }

    /// A count, or null: one more in a varint, or as it is in four bytes. Each
    /// element has at least `size_min` bytes.
    fn count(&mut self, size_min: usize) -> Result<Option<usize>, Error> {
        let count = match self.form {
            Form::Flexible => self.varint()?.checked_sub(1),
            Form::Plain => plain(i64::from(self.i32()?))?,
        };
        self.fitting(count, size_min)
    }

    fn length(&mut self) -> Result<Option<usize>, Error> {
        let length = match self.form {
            Form::Flexible => self.varint()?.checked_sub(1),
            Form::Plain => plain(i64::from(self.i16()?))?,
        };
        self.fitting(length, 1)
    }

    fn fitting(&self, count: Option<u32>, size_min: usize) -> Result<Option<usize>, Error> {
        let remaining = self.bytes.len();
        let count = count.map(|count| count as usize);
        match count {
            Some(count) if count > remaining / size_min => Err(Error::Count { count, remaining }),
            count => Ok(count),
        }
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<String>, Error> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        let text = self.bytes.split_to(length);
        let text = std::str::from_utf8(&text).map_err(|_| Error::Utf8)?;
        Ok(Some(text.to_owned()))
    }

    pub(super) fn string(&mut self) -> Result<String, Error> {
        self.nullable_string()?.ok_or(Error::Null)
    }

    pub(super) fn topic_name(&mut self) -> Result<TopicName, Error> {
        Ok(TopicName::new(&self.string()?)?)
    }

    pub(super) fn port(&mut self) -> Result<u16, Error> {
        let port = self.i32()?;
        u16::try_from(port).map_err(|_| Error::Port(port))
    }

    pub(super) fn i32s(&mut self) -> Result<Vec<i32>, Error> {
        let count = self.count(size_of::<i32>())?.ok_or(Error::Null)?;
        (0..count).map(|_| self.i32()).collect()
    }

    /// Reads the elements of an array one by one.
    pub(super) fn each(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let count = self.count(1)?.ok_or(Error::Null)?;
        for _ in 0..count {
            element(self)?;
        }
        Ok(())
    }

    /// Skips the tagged fields; none of them changes what is served.
    pub(super) fn tags(&mut self) -> Result<(), Error> {
        if self.form == Form::Plain {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let _tag = self.varint()?;
            let size = self.varint()? as usize;
            if self.bytes.len() < size {
                return Err(Error::Truncated);
            }
            self.bytes.advance(size);
        }
        Ok(())
    }
}

/// A count or length of the old form; -1 is null.
fn plain(value: i64) -> Result<Option<u32>, Error> {
    match value {
        -1 => Ok(None),
        value => u32::try_from(value)
            .map(Some)
            .map_err(|_| Error::Negative(value)),
    }
}

/// Writes a message.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: BytesMut,
    form: Form,
}

impl Writer {
    pub(super) fn of(form: Form) -> Self {
        Self {
            form,
            ..Self::default()
        }
    }

    pub(super) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.bytes.put_u8(u8::from(value));
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.bytes.put_i8(value);
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.bytes.put_i16(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.put_i32(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    pub(super) fn uuid(&mut self, value: Uuid) {
        self.bytes.put_u128(value.as_u128());
    }

    pub(super) fn count(&mut self, count: usize) {
        let count = u32::try_from(count).expect("what is sent fits a frame");
        match self.form {
            Form::Flexible => put_unsigned_varint(&mut self.bytes, count + 1),
            Form::Plain => self.bytes.put_u32(count),
        }
    }

    pub(super) fn string(&mut self, text: &str) {
        match self.form {
            Form::Flexible => {
                self.count(text.len());
                self.bytes.put_slice(text.as_bytes());
            }
            Form::Plain => self.header_string(text),
        }
    }

    pub(super) fn nullable_string(&mut self, text: Option<&str>) {
        match (text, self.form) {
            (Some(text), _) => self.string(text),
            (None, Form::Flexible) => self.bytes.put_u8(0),
            (None, Form::Plain) => self.i16(-1),
        }
    }

    /// A string as the headers have it, which never became flexible.
    pub(super) fn header_string(&mut self, text: &str) {
        let length = i16::try_from(text.len()).expect("names and hosts are short");
        self.i16(length);
        self.bytes.put_slice(text.as_bytes());
    }

    pub(super) fn i32s(&mut self, values: &[i32]) {
        self.count(values.len());
        for value in values {
            self.i32(*value);
        }
    }

    /// No tagged field.
    pub(super) fn no_tags(&mut self) {
        if self.form == Form::Flexible {
            self.bytes.put_u8(0);
        }
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }
}
