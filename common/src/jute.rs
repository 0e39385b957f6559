//! Jute, the serialisation of ZooKeeper's wire: big-endian, no tags, plain concatenation.
//!
//! [`Reader`] takes values off a frame that was received whole; [`Record`] is
//! what knows how to write and read itself; the impls for integers, strings,
//! buffers and vectors are the alphabet from which `zk` spells its records.
//!
//! **Invariant:** decoding never panics and never reserves more memory than the
//! bytes at hand can fill: every length is checked against what remains first.
//! **Invariant:** buffers are slices of the frame, not copies.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The length that stands for "null" before a buffer, a string or a vector.
const NULL: i32 = -1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{wanted} bytes wanted, {left} left")]
    Truncated { wanted: usize, left: usize },
    #[error("length {0} is negative")]
    NegativeLength(i32),
    #[error("null where a value is required")]
    UnexpectedNull,
    #[error("{what} has no value {value}")]
    BadDiscriminant { what: &'static str, value: i32 },
    #[error("{0} bytes after the end of the record")]
    Trailing(usize),
}

pub type Result<T> = std::result::Result<T, Error>;

/// Something that jute can write and read back.
pub trait Record: Sized {
    /// The fewest bytes that an encoded value takes; bounds the count of a vector.
    const MIN_LEN: usize;

    fn encode(&self, out: &mut BytesMut);

    fn decode(reader: &mut Reader) -> Result<Self>;

    /// The encoded value alone.
    fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(Self::MIN_LEN.max(64));
        self.encode(&mut out);
        out.freeze()
    }

    /// Reads a value from the start of `bytes`; what follows it is ignored, as
    /// ZooKeeper does.
    fn from_bytes(bytes: Bytes) -> Result<Self> {
        Self::decode(&mut Reader::new(bytes))
    }

    /// Reads a value that must fill `bytes` to the end.
    fn from_bytes_exact(bytes: Bytes) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// A cursor over one received frame.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
}

impl Reader {
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// What has not been read yet.
    pub fn into_rest(self) -> Bytes {
        self.bytes
    }

    /// Errs if bytes are left.
    pub fn finish(self) -> Result<()> {
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(Error::Trailing(left)),
        }
    }

    pub fn read<T: Record>(&mut self) -> Result<T> {
        T::decode(self)
    }

    fn need(&self, wanted: usize) -> Result<()> {
        let left = self.bytes.len();
        if left < wanted {
            return Err(Error::Truncated { wanted, left });
        }
        Ok(())
    }

    /// A length prefix: `None` for null, else a length that is really there.
    fn length(&mut self) -> Result<Option<usize>> {
        let length = i32::decode(self)?;
        if length == NULL {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Error::NegativeLength(length))?;
        Ok(Some(length))
    }

    fn buffer(&mut self) -> Result<Option<Bytes>> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        self.need(length)?;
        Ok(Some(self.bytes.split_to(length)))
    }

    fn string(&mut self) -> Result<Option<String>> {
        let Some(bytes) = self.buffer()? else {
            return Ok(None);
        };
        // As Java decodes: what is no UTF-8 becomes U+FFFD, which no path may have.
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn vector<T: Record>(&mut self) -> Result<Option<Vec<T>>> {
        let count = i32::decode(self)?;
        if count == NULL {
            return Ok(None);
        }
        // Java counts up to it, so that any other negative count has nothing to offer.
        let count = usize::try_from(count).unwrap_or(0);
        self.need(count.saturating_mul(T::MIN_LEN.max(1)))?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(T::decode(self)?);
        }
        Ok(Some(items))
    }
}

fn put_length(out: &mut BytesMut, length: usize) {
    let length = i32::try_from(length).expect("a frame is far below 2 GiB");
    out.put_i32(length);
}

macro_rules! integer {
    ($type:ty, $get:ident, $put:ident) => {
        impl Record for $type {
            const MIN_LEN: usize = size_of::<$type>();

            fn encode(&self, out: &mut BytesMut) {
                out.$put(*self);
            }

            fn decode(reader: &mut Reader) -> Result<Self> {
                reader.need(Self::MIN_LEN)?;
                Ok(reader.bytes.$get())
            }
        }
    };
}

integer!(i32, get_i32, put_i32);
integer!(i64, get_i64, put_i64);

impl Record for bool {
    const MIN_LEN: usize = 1;

    fn encode(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        reader.need(1)?;
        // Java's readBoolean: every byte but zero is true.
        Ok(reader.bytes.get_u8() != 0)
    }
}

impl Record for Option<Bytes> {
    const MIN_LEN: usize = 4;

    fn encode(&self, out: &mut BytesMut) {
        match self {
            None => out.put_i32(NULL),
            Some(bytes) => bytes.encode(out),
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        reader.buffer()
    }
}

impl Record for Bytes {
    const MIN_LEN: usize = 4;

    fn encode(&self, out: &mut BytesMut) {
        put_length(out, self.len());
        out.put_slice(self);
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        reader.buffer()?.ok_or(Error::UnexpectedNull)
    }
}

impl Record for Option<String> {
    const MIN_LEN: usize = 4;

    fn encode(&self, out: &mut BytesMut) {
        match self {
            None => out.put_i32(NULL),
            Some(text) => text.encode(out),
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        reader.string()
    }
}

impl Record for String {
    const MIN_LEN: usize = 4;

    fn encode(&self, out: &mut BytesMut) {
        put_length(out, self.len());
        out.put_slice(self.as_bytes());
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        reader.string()?.ok_or(Error::UnexpectedNull)
    }
}

impl<T: Record> Record for Option<Vec<T>> {
    const MIN_LEN: usize = 4;

    fn encode(&self, out: &mut BytesMut) {
        match self {
            None => out.put_i32(NULL),
            Some(items) => items.encode(out),
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        reader.vector()
    }
}

/// A vector whose null form is read as empty; it is never written as null.
impl<T: Record> Record for Vec<T> {
    const MIN_LEN: usize = 4;

    fn encode(&self, out: &mut BytesMut) {
        put_length(out, self.len());
        for item in self {
            item.encode(out);
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        Ok(reader.vector()?.unwrap_or_default())
    }
}

/// Declares a struct whose fields follow each other on the wire.
#[macro_export]
macro_rules! jute_record {
    ($(
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident { $( $(#[$field_meta:meta])* $field:ident : $type:ty ),* $(,)? }
    )+) => {$(
        $(#[$meta])*
        $visibility struct $name { $( $(#[$field_meta])* pub $field: $type ),* }

        impl $crate::jute::Record for $name {
            const MIN_LEN: usize = 0 $( + <$type as $crate::jute::Record>::MIN_LEN )*;

            fn encode(&self, out: &mut ::bytes::BytesMut) {
                $( $crate::jute::Record::encode(&self.$field, out); )*
            }

            fn decode(reader: &mut $crate::jute::Reader) -> $crate::jute::Result<Self> {
                $( let $field = <$type as $crate::jute::Record>::decode(reader)?; )*
                Ok(Self { $( $field ),* })
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip<T: Record + PartialEq + std::fmt::Debug>(value: &T) {
        let bytes = value.to_bytes();
        assert!(bytes.len() >= T::MIN_LEN);
        assert_eq!(&T::from_bytes_exact(bytes).unwrap(), value);
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(&7i32.to_bytes()[..], [0, 0, 0, 7]);
        assert_eq!(
            &(-2i64).to_bytes()[..],
            [255, 255, 255, 255, 255, 255, 255, 254]
        );
        assert_eq!(&"/a".to_owned().to_bytes()[..], [0, 0, 0, 2, b'/', b'a']);
        assert_eq!(&None::<Bytes>.to_bytes()[..], [255, 255, 255, 255]);
        assert_eq!(&vec![true, false].to_bytes()[..], [0, 0, 0, 2, 1, 0]);
    }

    #[test]
    fn null_is_read_where_it_may_stand() {
        let null = Bytes::from_static(&[255, 255, 255, 255]);
        assert_eq!(Option::<Bytes>::from_bytes(null.clone()), Ok(None));
        assert_eq!(Option::<String>::from_bytes(null.clone()), Ok(None));
        assert_eq!(Option::<Vec<i32>>::from_bytes(null.clone()), Ok(None));
        assert_eq!(Vec::<i32>::from_bytes(null.clone()), Ok(vec![]));
        assert_eq!(String::from_bytes(null), Err(Error::UnexpectedNull));
    }

    #[test]
    fn text_that_is_no_utf8_is_read_as_java_reads_it() {
        let bytes = Bytes::from_static(b"\0\0\0\x04a\xff\xfeb");
        assert_eq!(String::from_bytes(bytes), Ok("a\u{fffd}\u{fffd}b".into()));
    }

    #[test]
    fn lengths_beyond_the_frame_are_refused_before_anything_is_reserved() {
        let huge = Bytes::from_static(&[0x7f, 255, 255, 255, 1, 2]);
        let expected = |wanted| Error::Truncated { wanted, left: 2 };
        assert_eq!(Bytes::from_bytes(huge.clone()), Err(expected(0x7fff_ffff)));
        assert_eq!(String::from_bytes(huge.clone()), Err(expected(0x7fff_ffff)));
        assert_eq!(Vec::<i64>::from_bytes(huge), Err(expected(0x7fff_ffff * 8)));
        let negative = Bytes::from_static(&[255, 255, 255, 254]);
        assert_eq!(
            Bytes::from_bytes(negative.clone()),
            Err(Error::NegativeLength(-2))
        );
        assert_eq!(Option::<Vec<i64>>::from_bytes(negative), Ok(Some(vec![])));
    }

    #[test]
    fn bytes_after_the_record_are_noticed_only_when_asked() {
        let bytes = Bytes::from_static(&[0, 0, 0, 1, 9]);
        assert_eq!(i32::from_bytes(bytes.clone()), Ok(1));
        assert_eq!(i32::from_bytes_exact(bytes), Err(Error::Trailing(1)));
    }

    proptest! {
        #[test]
        fn values_come_back(int in any::<i32>(), long in any::<i64>(), flag in any::<bool>(),
                            text in any::<Option<String>>(), list in any::<Vec<String>>(),
                            data in any::<Option<Vec<u8>>>()) {
            round_trip(&int);
            round_trip(&long);
            round_trip(&flag);
            round_trip(&text);
            round_trip(&list);
            round_trip(&Some(list));
            round_trip(&data.map(Bytes::from));
        }

        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>()) {
            let bytes = Bytes::from(bytes);
            let _ = Vec::<String>::from_bytes(bytes.clone());
            let _ = Vec::<i64>::from_bytes(bytes.clone());
            let _ = Option::<Bytes>::from_bytes(bytes);
        }
    }
}
