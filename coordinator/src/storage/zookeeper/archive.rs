//! Reads jute from a stream, and sums up what was read as ZooKeeper does.
//!
//! **Invariant:** no more memory is taken than the stream has brought: a length is
//! only a promise until its bytes have come.

use std::io::{self, Read};

use bytes::Bytes;
use common::zk::{Acl, Id};

/// Room that is taken on the word of a length alone.
const ROOM_MAX: usize = 64 << 10;

/// A stream of jute.
#[derive(Debug)]
pub(super) struct Archive<R> {
    source: R,
    sum: adler2::Adler32,
    offset: u64,
}

impl<R: Read> Archive<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            sum: adler2::Adler32::new(),
            offset: 0,
        }
    }

    /// How many bytes were read, of what is left when any compression is undone.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The checksum of everything read so far.
    pub(super) fn sum(&self) -> i64 {
        i64::from(self.sum.checksum())
    }

    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.sum.write_slice(&bytes);
        self.offset += N as u64;
        Ok(bytes)
    }

    pub(super) fn i32(&mut self) -> io::Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> io::Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A number, or `None` if the stream ends before it.
    pub(super) fn i64_or_end(&mut self) -> io::Result<Option<i64>> {
        let mut bytes = Vec::with_capacity(8);
        (&mut self.source).take(8).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let whole: [u8; 8] = bytes
            .try_into()
            .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        self.sum.write_slice(&whole);
        self.offset += 8;
        Ok(Some(i64::from_be_bytes(whole)))
    }

    /// A buffer; `None` for null.
    pub(super) fn buffer(&mut self) -> io::Result<Option<Bytes>> {
        let length = match self.i32()? {
            -1 => return Ok(None),
            length => u64::try_from(length).map_err(|_| invalid("a length is negative"))?,
        };
        let room = usize::try_from(length).unwrap_or(usize::MAX).min(ROOM_MAX);
        let mut bytes = Vec::with_capacity(room);
        let read = (&mut self.source).take(length).read_to_end(&mut bytes)?;
        if (read as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.sum.write_slice(&bytes);
        self.offset += length;
        Ok(Some(Bytes::from(bytes)))
    }

    /// A string, in which Java's mistakes with characters are forgiven.
    pub(super) fn string(&mut self) -> io::Result<String> {
        let bytes = self.buffer()?.ok_or_else(|| invalid("a string is null"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn acl(&mut self) -> io::Result<Vec<Acl>> {
        let count = self.i32()?;
        // Each is read before the next is believed in.
        (0..count)
            .map(|_| {
                let perms = self.i32()?;
                let (scheme, id) = (self.string()?, self.string()?);
                Ok(Acl::new(perms, Id::new(scheme, id)))
            })
            .collect()
    }
}

/// What was read cannot be.
pub(super) fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_not_believed_before_its_bytes_come() {
        let huge = [0x7f, 255, 255, 255, 1, 2, 3];
        let mut archive = Archive::new(&huge[..]);
        let error = archive.buffer().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(Archive::new(&huge[..]).acl().is_err());
        let negative = [255, 255, 255, 254];
        assert!(Archive::new(&negative[..]).buffer().is_err());
        let null = [255, 255, 255, 255];
        assert_eq!(Archive::new(&null[..]).buffer().unwrap(), None);
    }

    #[test]
    fn the_sum_is_of_all_that_was_read() {
        let mut archive = Archive::new(&b"\0\0\0\x05Wikip..."[..]);
        assert_eq!(archive.string().unwrap(), "Wikip");
        assert_eq!(archive.offset(), 9);
        let whole = adler2::adler32_slice(b"\0\0\0\x05Wikip");
        assert_eq!(archive.sum(), i64::from(whole));
    }
}
