//! Reads the fields of a record of Kafka's internal topics one after the other.
//!
//! **Invariant:** nothing is read or allocated beyond the bytes that are there.

use bytes::{Buf, Bytes};

/// Why the bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("Could not read version from {0}'s buffer.")]
    NoVersion(&'static str),
    #[error("Could not read record with version {version} from {part}'s buffer due to: {source}.")]
    Within {
        version: i16,
        part: &'static str,
        source: Box<Error>,
    },
    #[error("there is no such version as {0}")]
    Version(i16),
    #[error("the buffer ends before its fields do")]
    Short,
    #[error("a field that must be there is null")]
    Null,
    #[error("a text is not UTF-8")]
    Text,
    #[error("unknown transaction state id {0}")]
    State(i8),
}

/// The rest of a record's bytes.
#[derive(Debug)]
pub(super) struct Fields {
    rest: Bytes,
    /// Compact lengths and tagged fields (KIP-482).
    is_flexible: bool,
}

impl Fields {
    pub(super) fn new(rest: Bytes, is_flexible: bool) -> Self {
        Self { rest, is_flexible }
    }

    pub(super) fn i8(&mut self) -> Result<i8, Error> {
        self.rest.try_get_i8().map_err(|_| Error::Short)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Error> {
        self.rest.try_get_i16().map_err(|_| Error::Short)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Error> {
        self.rest.try_get_i32().map_err(|_| Error::Short)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Error> {
        self.rest.try_get_i64().map_err(|_| Error::Short)
    }

    pub(super) fn text(&mut self) -> Result<String, Error> {
        self.maybe_text()?.ok_or(Error::Null)
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, Error> {
        let length = match self.is_flexible {
            true => self.compact()?,
            false => i64::from(self.i16()?),
        };
        let Some(bytes) = self.take(length)? else {
            return Ok(None);
        };
        String::from_utf8(bytes.to_vec())
            .map(Some)
            .map_err(|_| Error::Text)
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, Error> {
        let length = self.length()?;
        self.take(length)?.ok_or(Error::Null)
    }

    /// A list, each element read by `read`; `None` is null.
    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Option<Vec<T>>, Error> {
        let count = self.length()?;
        if count < 0 {
            return Ok(None);
        }
        // Grows as elements are really there: the count may be anything.
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(Some(list))
    }

    /// Passes over the tagged fields at the end of a structure.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if !self.is_flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = i64::from(self.varint()?);
            self.take(size)?;
        }
        Ok(())
    }

    fn length(&mut self) -> Result<i64, Error> {
        match self.is_flexible {
            true => self.compact(),
            false => Ok(i64::from(self.i32()?)),
        }
    }

    fn take(&mut self, length: i64) -> Result<Option<Bytes>, Error> {
        let Ok(length) = usize::try_from(length) else {
            return Ok(None);
        };
        if length > self.rest.len() {
            return Err(Error::Short);
        }
        Ok(Some(self.rest.split_to(length)))
    }

    /// A length as it is written compactly: one more, and 0 for null.
    fn compact(&mut self) -> Result<i64, Error> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn varint(&mut self) -> Result<u32, Error> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| Error::Short)?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| Error::Short);
            }
        }
        Err(Error::Short)
    }
}
