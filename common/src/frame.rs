//! Frames with a big-endian `i32` length, as Kafka and ZooKeeper use them.
//!
//! **Invariant:** memory grows with the bytes that arrived, never with the
//! length that was announced.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much room a read asks for at a time.
const READ_STEP: usize = 64 * 1024;
const PREFIX: usize = 4;

/// Why a connection's bytes are not frames.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("frame length {0} is negative")]
    Negative(i32),
    #[error("frame of {length} bytes is larger than the limit of {limit}")]
    TooLarge { length: usize, limit: usize },
    #[error("the connection ended inside a frame")]
    Truncated,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Cuts a stream into frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    source: R,
    buffer: BytesMut,
    length_max: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(source: R, length_max: usize) -> Self {
        Self::with_buffer(source, length_max, BytesMut::new())
    }

    /// Continues after bytes that somebody already read from `source`.
    pub fn with_buffer(source: R, length_max: usize, buffer: BytesMut) -> Self {
        Self {
            source,
            buffer,
            length_max,
        }
    }

    /// The next frame without its prefix; `None` when the peer closed between
    /// frames. Cancel safe: bytes that arrived stay in the reader.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            self.make_room();
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(Error::Truncated),
                };
            }
        }
    }

    /// Says whether a whole frame has arrived already.
    pub fn has_frame(&self) -> bool {
        matches!(self.announced(), Ok(Some(length)) if self.buffer.len() >= PREFIX + length)
    }

    fn announced(&self) -> Result<Option<usize>, Error> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let announced = i32::from_be_bytes(*prefix);
        let length = usize::try_from(announced).map_err(|_| Error::Negative(announced))?;
        if length > self.length_max {
            return Err(Error::TooLarge {
                length,
                limit: self.length_max,
            });
        }
        Ok(Some(length))
    }

    fn take_frame(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(length) = self.announced()? else {
            return Ok(None);
        };
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Asks for the rest of a small frame, or doubles what has arrived of a big one.
    fn make_room(&mut self) {
        let missing = match self.announced() {
            Ok(Some(length)) => PREFIX + length - self.buffer.len(),
            _ => PREFIX,
        };
        let step = READ_STEP.max(self.buffer.len());
        self.buffer.reserve(missing.min(step).max(PREFIX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(bytes: &[u8], limit: usize) -> Vec<Result<Bytes, Error>> {
        let mut reader = FrameReader::new(bytes, limit);
        let mut out = Vec::new();
        loop {
            match reader.next().await {
                Ok(Some(frame)) => out.push(Ok(frame)),
                Ok(None) => return out,
                Err(error) => {
                    out.push(Err(error));
                    return out;
                }
            }
        }
    }

    #[tokio::test]
    async fn whole_frames_then_end() {
        let got = frames(b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c", 10).await;
        let got: Vec<_> = got.into_iter().map(Result::unwrap).collect();
        assert_eq!(got, [&b"ab"[..], b"", b"c"]);
    }

    #[tokio::test]
    async fn lies_about_the_length_are_errors() {
        let negative = frames(b"\xff\xff\xff\xff", 10).await;
        assert!(matches!(negative[..], [Err(Error::Negative(-1))]));
        let large = frames(b"\0\0\0\x0babcdefghijk", 10).await;
        assert!(matches!(
            large[..],
            [Err(Error::TooLarge {
                length: 11,
                limit: 10
            })]
        ));
        let cut = frames(b"\0\0\0\x05ab", 10).await;
        assert!(matches!(cut[..], [Err(Error::Truncated)]));
    }

    #[tokio::test]
    async fn a_large_announcement_allocates_little() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(server, 100 << 20);
        tokio::io::AsyncWriteExt::write_all(&mut client, &(100_i32 << 20).to_be_bytes())
            .await
            .unwrap();
        drop(client);
        assert!(matches!(reader.next().await, Err(Error::Truncated)));
        assert!(reader.buffer.capacity() <= 4 * READ_STEP);
    }
}
