//! The primitive types of the protocol before its flexible versions.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use crate::protocol::codec::Malformed;

/// Takes fields from the front of a request's body.
#[derive(Debug)]
pub struct Fields(Bytes);

impl Fields {
    pub(crate) fn new(body: Bytes) -> Self {
        Self(body)
    }

    pub(super) fn i8(&mut self) -> Result<i8, Malformed> {
        self.0.try_get_i8().map_err(|_| Malformed)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        self.0.try_get_i16().map_err(|_| Malformed)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.0.try_get_i32().map_err(|_| Malformed)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.0.try_get_i64().map_err(|_| Malformed)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.i8()? != 0)
    }

    pub(super) fn string(&mut self) -> Result<StrBytes, Malformed> {
        self.nullable_string()?.ok_or(Malformed)
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<StrBytes>, Malformed> {
        let length = i32::from(self.i16()?);
        let bytes = self.take(length)?;
        bytes
            .map(|bytes| StrBytes::from_utf8(bytes).map_err(|_| Malformed))
            .transpose()
    }

    /// Shares the memory of the request.
    pub(super) fn nullable_bytes(&mut self) -> Result<Option<Bytes>, Malformed> {
        let length = self.i32()?;
        self.take(length)
    }

    /// The rest as the codec reads `version`: for a version that is laid out alike.
    pub(super) fn as_version<R: Decodable>(&mut self, version: i16) -> Result<R, Malformed> {
        R::decode(&mut self.0, version).map_err(|_| Malformed)
    }

    fn take(&mut self, length: i32) -> Result<Option<Bytes>, Malformed> {
        let Ok(length) = usize::try_from(length) else {
            return match length {
                -1 => Ok(None),
                _ => Err(Malformed),
            };
        };
        if self.0.remaining() < length {
            return Err(Malformed);
        }
        Ok(Some(self.0.split_to(length)))
    }

    pub(super) fn array<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        self.nullable_array(element)?.ok_or(Malformed)
    }

    /// The vector grows with the elements that are there, not with the count.
    pub(super) fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        let count = self.i32()?;
        if count == -1 {
            return Ok(None);
        }
        if count < 0 {
            return Err(Malformed);
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }
}

/// Writes the fields of a response's body.
#[derive(Debug)]
pub struct Writer<'a>(pub(super) &'a mut BytesMut);

impl Writer<'_> {
    /// `response` as the codec writes `version`: for a version that is laid out alike.
    pub(super) fn as_version<R: Encodable>(
        &mut self,
        response: &R,
        version: i16,
    ) -> Result<(), Malformed> {
        response.encode(self.0, version).map_err(|_| Malformed)
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.0.put_i8(value);
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.0.put_u8(u8::from(value));
    }

    pub(super) fn string(&mut self, text: &str) -> Result<(), Malformed> {
        self.i16(i16::try_from(text.len()).map_err(|_| Malformed)?);
        self.0.put_slice(text.as_bytes());
        Ok(())
    }

    pub(super) fn nullable_string(&mut self, text: Option<&str>) -> Result<(), Malformed> {
        match text {
            Some(text) => self.string(text),
            None => {
                self.i16(-1);
                Ok(())
            }
        }
    }

    pub(super) fn array<T>(
        &mut self,
        elements: &[T],
        mut element: impl FnMut(&mut Self, &T) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.i32(i32::try_from(elements.len()).map_err(|_| Malformed)?);
        elements.iter().try_for_each(|each| element(self, each))
    }
}
