//! Frames with a big-endian `i32` length, as Kafka and ZooKeeper use them.
//!
//! **Invariant:** memory grows with the bytes that arrived, never with the
//! length that was announced.
//! **Invariant:** a reader that waits for its next frame keeps no buffer, so
//! an idle connection costs nothing after a large frame.

mod recycled;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// Room for a read between frames: several small frames come at once.
const READ_STEP: usize = 16 * 1024;
/// The bytes of a length.
pub const PREFIX: usize = 4;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_STEP].into_boxed_slice());
}

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
    /// The largest frame so far: as much may be reserved for the next one.
    largest: usize,
    /// Bytes of the buffer before frames were cut off from it.
    allocated: usize,
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
            largest: 0,
            allocated: 0,
        }
    }

    /// The next frame without its prefix; `None` when the peer closed between
    /// frames. Cancel safe: bytes that arrived stay in the reader.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            if self.fill().await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(Error::Truncated),
                };
            }
        }
    }

    /// Throws away the frame that [`Error::TooLarge`] was about, but for its first
    /// `keep` bytes. Not cancel safe: the reader is of no use if it does not end.
    pub async fn skip(&mut self, keep: usize) -> Result<Bytes, Error> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX>() else {
            return Err(Error::Truncated);
        };
        let announced = i32::from_be_bytes(*prefix);
        let mut left = usize::try_from(announced).map_err(|_| Error::Negative(announced))?;
        self.buffer.advance(PREFIX);
        let mut kept = BytesMut::new();
        while left > 0 {
            if self.buffer.is_empty() {
                self.buffer.reserve(READ_STEP);
                if self.source.read_buf(&mut self.buffer).await? == 0 {
                    return Err(Error::Truncated);
                }
            }
            let arrived = self.buffer.len().min(left);
            let wanted = keep.saturating_sub(kept.len()).min(arrived);
            kept.extend_from_slice(&self.buffer[..wanted]);
            self.buffer.advance(arrived);
            left -= arrived;
        }
        Ok(kept.freeze())
    }

    /// The length of the next frame as soon as it is known, while few of its
    /// bytes were read; `None` when the peer closed between frames. Cancel safe.
    pub async fn announcement(&mut self) -> Result<Option<usize>, Error> {
        loop {
            if let Some(length) = self.announced()? {
                return Ok(Some(length));
            }
            if self.fill().await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(Error::Truncated),
                };
            }
        }
    }

    /// Waits for more bytes; 0 at the end of the stream.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|context| {
            if self.buffer.is_empty() {
                return self.poll_first(context);
            }
            self.make_room();
            pin!(self.source.read_buf(&mut self.buffer)).poll(context)
        })
        .await
    }

    /// Reads the first bytes of frames. Most polls find none, so the room for them
    /// is the thread's, and what came is given just the room that it needs.
    fn poll_first(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let used = std::mem::take(&mut self.buffer);
        recycled::give(used, std::mem::take(&mut self.allocated));
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.source).poll_read(context, &mut read))?;
            self.buffer.extend_from_slice(read.filled());
            Poll::Ready(Ok(self.buffer.len()))
        })
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
        self.largest = self.largest.max(length);
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Makes room for the rest of a frame as far as the peer has shown that it
    /// sends that much, or else doubles what has arrived of it. A buffer that is
    /// left over has room for all of it.
    fn make_room(&mut self) {
        let Ok(Some(length)) = self.announced() else {
            return self.buffer.reserve(READ_STEP);
        };
        let missing = PREFIX + length - self.buffer.len();
        if self.buffer.capacity() - self.buffer.len() >= missing {
            return;
        }
        if let Some(mut buffer) = recycled::take(PREFIX + length) {
            buffer.extend_from_slice(&self.buffer);
            self.buffer = buffer;
        } else {
            let shown = READ_STEP.max(self.buffer.len()).max(self.largest);
            self.buffer.reserve(missing.min(shown));
        }
        self.allocated = self.buffer.capacity();
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
    async fn a_frame_is_announced_before_it_is_read() {
        let bytes = frame(1 << 20);
        let mut reader = FrameReader::new(&bytes[..], 1 << 20);
        assert_eq!(reader.announcement().await.unwrap(), Some(1 << 20));
        assert!(reader.buffer.len() <= READ_STEP);
        assert_eq!(reader.next().await.unwrap().unwrap().len(), 1 << 20);
        assert_eq!(reader.announcement().await.unwrap(), None);
        let mut cut = FrameReader::new(&b"\0\0"[..], 10);
        assert!(matches!(cut.announcement().await, Err(Error::Truncated)));
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
    async fn a_frame_beyond_the_limit_can_be_skipped() {
        let mut reader = FrameReader::new(&b"\0\0\0\x0babcdefghijk\0\0\0\x01x"[..], 10);
        assert!(matches!(reader.next().await, Err(Error::TooLarge { .. })));
        assert_eq!(reader.skip(4).await.unwrap(), &b"abcd"[..]);
        assert_eq!(reader.next().await.unwrap().unwrap(), &b"x"[..]);
        let mut reader = FrameReader::new(&b"\0\0\0\x0babc"[..], 10);
        assert!(reader.next().await.is_err());
        assert!(matches!(reader.skip(4).await, Err(Error::Truncated)));
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

    /// Counts the reads that it hands on.
    struct Counted<R>(R, usize);

    impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.1 += 1;
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    fn frame(length: i32) -> Vec<u8> {
        let mut out = length.to_be_bytes().to_vec();
        out.resize(PREFIX + usize::try_from(length).unwrap(), 7);
        out
    }

    #[tokio::test]
    async fn small_frames_that_arrived_together_take_one_read() {
        let bytes = frame(1000).repeat(10);
        let mut reader = FrameReader::new(Counted(&bytes[..], 0), 1000);
        for _ in 0..10 {
            assert_eq!(reader.next().await.unwrap().unwrap().len(), 1000);
        }
        assert_eq!(reader.source.1, 1);
    }

    #[tokio::test]
    async fn after_a_large_frame_the_next_one_takes_few_reads() {
        let bytes = frame(1 << 20).repeat(2);
        let mut reader = FrameReader::new(Counted(&bytes[..], 0), 1 << 20);
        reader.next().await.unwrap().unwrap();
        assert!(reader.source.1 < 12, "{}", reader.source.1);
        reader.source.1 = 0;
        reader.next().await.unwrap().unwrap();
        assert!(reader.source.1 <= 2, "{}", reader.source.1);
    }

    async fn must_wait<R: AsyncRead + Unpin>(reader: &mut FrameReader<R>) -> bool {
        tokio::select! {
            biased;
            _ = reader.next() => false,
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test]
    async fn a_reader_that_waits_for_a_frame_keeps_no_buffer() {
        let (mut client, server) = tokio::io::duplex(2 << 20);
        let mut reader = FrameReader::new(server, 1 << 20);
        tokio::io::AsyncWriteExt::write_all(&mut client, &frame(1 << 20))
            .await
            .unwrap();
        reader.next().await.unwrap().unwrap();
        assert!(must_wait(&mut reader).await);
        assert_eq!(reader.buffer.capacity(), 0);
        tokio::io::AsyncWriteExt::write_all(&mut client, &frame(3)[..5])
            .await
            .unwrap();
        assert!(must_wait(&mut reader).await);
        assert_eq!(reader.buffer.len(), 5);
    }
}
