//! The primitive fields of the record formats of internal topics.
//!
//! **Invariant:** bytes from the log never panic and never make the reader
//! allocate more than they brought.

use bytes::{BufMut, Bytes};

use crate::model::TopicName;

/// Why fields cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the record ends too early")]
    Truncated,
    #[error("a string of the record is not UTF-8")]
    NotUtf8,
    #[error("a length in the record is not legal")]
    BadLength,
    #[error("the topic in the record is not a legal name")]
    BadTopic,
    #[error("a string is too long for the record")]
    StringTooLong,
    #[error("{0} is none of the field's values")]
    UnknownValue(i8),
}

/// Appends fields in Kafka's fixed encoding.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Default for Writer {
    /// With room for what most keys and values take.
    fn default() -> Self {
        Self(Vec::with_capacity(96))
    }
}

impl Writer {
    pub fn i8(&mut self, value: i8) {
        self.0.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub fn string(&mut self, value: &str) -> Result<(), Error> {
        self.i16(i16::try_from(value.len()).map_err(|_| Error::StringTooLong)?);
        self.0.put_slice(value.as_bytes());
        Ok(())
    }

    /// The number of elements that follow.
    pub fn count(&mut self, count: usize) -> Result<(), Error> {
        self.i32(i32::try_from(count).map_err(|_| Error::BadLength)?);
        Ok(())
    }

    pub fn nullable_string(&mut self, value: Option<&str>) -> Result<(), Error> {
        match value {
            Some(value) => self.string(value),
            None => {
                self.i16(-1);
                Ok(())
            }
        }
    }

    pub fn bytes(&mut self, value: &[u8]) -> Result<(), Error> {
        self.i32(i32::try_from(value.len()).map_err(|_| Error::StringTooLong)?);
        self.0.put_slice(value);
        Ok(())
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Takes fields off the front, in the fixed or the flexible encoding.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            flexible: false,
        }
    }

    /// Strings, bytes and arrays have variable lengths from here on.
    pub fn become_flexible(&mut self) {
        self.flexible = true;
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn i8(&mut self) -> Result<i8, Error> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub fn i16(&mut self) -> Result<i16, Error> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, Error> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn unsigned_varint(&mut self) -> Result<u32, Error> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(Error::BadLength);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::BadLength)
    }

    /// A length that may be null, where the fixed encoding uses `fixed`.
    fn length(
        &mut self,
        fixed: impl FnOnce(&mut Self) -> Result<i64, Error>,
    ) -> Result<Option<usize>, Error> {
        let length = if self.flexible {
            i64::from(self.unsigned_varint()?) - 1
        } else {
            fixed(self)?
        };
        match length {
            -1 => Ok(None),
            length => Ok(Some(usize::try_from(length).map_err(|_| Error::BadLength)?)),
        }
    }

    pub fn nullable_string(&mut self) -> Result<Option<String>, Error> {
        let Some(length) = self.length(|reader| Ok(reader.i16()?.into()))? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Error::NotUtf8)?;
        Ok(Some(text.to_owned()))
    }

    pub fn string(&mut self) -> Result<String, Error> {
        self.nullable_string()?.ok_or(Error::BadLength)
    }

    pub fn topic(&mut self) -> Result<TopicName, Error> {
        TopicName::new(&self.string()?).map_err(|_| Error::BadTopic)
    }

    /// Copies the bytes, so that they do not keep the read buffer alive.
    pub fn bytes(&mut self) -> Result<Bytes, Error> {
        let length = self.length(|reader| Ok(reader.i32()?.into()))?;
        let content = self.take(length.ok_or(Error::BadLength)?)?;
        Ok(Bytes::copy_from_slice(content))
    }

    /// The number of elements, each of which takes at least `size_min` bytes.
    pub fn count(&mut self, size_min: usize) -> Result<usize, Error> {
        self.nullable_count(size_min)?.ok_or(Error::BadLength)
    }

    /// The same of an array that may be null.
    pub fn nullable_count(&mut self, size_min: usize) -> Result<Option<usize>, Error> {
        let count = self.length(|reader| Ok(reader.i32()?.into()))?;
        if count.is_some_and(|count| count > self.rest.len() / size_min) {
            return Err(Error::Truncated);
        }
        Ok(count)
    }

    /// Skips the tagged fields that close a structure of a flexible version.
    pub fn tagged_fields(&mut self) -> Result<(), Error> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            let _tag = self.unsigned_varint()?;
            let length = self.unsigned_varint()?;
            self.take(usize::try_from(length).map_err(|_| Error::BadLength)?)?;
        }
        Ok(())
    }
}
