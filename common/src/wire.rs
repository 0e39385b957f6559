//! Outgoing frames: memory and file ranges, written without gathering them.
//!
//! A range of a file goes from the page cache to the socket by `sendfile(2)`.
//!
//! **Invariant:** the length prefix is the sum of the parts; a file that has
//! become shorter than its range ends the connection instead of the frame.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The most that one `sendfile` call is asked for.
const SENDFILE_STEP: usize = 1 << 20;
/// The most that `Gathered` keeps.
const GATHERED_MAX: usize = 16 * 1024;

/// Bytes outside of memory: a file, or what a simulation has in its place.
pub trait Source: Debug + Send + Sync + 'static {
    /// The file for `sendfile`, where there is one.
    fn as_file(&self) -> Option<&File>;
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Source for File {
    fn as_file(&self) -> Option<&File> {
        Some(self)
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buffer, position)
    }
}

/// A stretch of a file that nobody changes while it is being sent.
#[derive(Debug, Clone)]
pub struct FileRange {
    pub source: Arc<dyn Source>,
    pub position: u64,
    pub length: usize,
}

/// One part of a frame.
#[derive(Debug, Clone)]
pub enum Part {
    Memory(Bytes),
    File(FileRange),
}

impl Part {
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(range) => range.length,
        }
    }
}

/// A frame that is ready to be sent; the prefix is added when it is.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    parts: Vec<Part>,
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self {
            parts: vec![Part::Memory(bytes)],
        }
    }
}

impl Frame {
    #[must_use]
    pub fn new(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    /// Bytes after the length prefix.
    #[must_use]
    pub fn length(&self) -> usize {
        self.parts.iter().map(Part::length).sum()
    }

    /// The same frame with its first part, where that is in memory, changed.
    #[must_use]
    pub fn map_first(mut self, change: impl FnOnce(Bytes) -> Bytes) -> Self {
        if let Some(Part::Memory(first)) = self.parts.first_mut() {
            *first = change(std::mem::take(first));
        }
        self
    }

    /// Sends prefix and parts. Not cancel safe: a dropped send leaves half a frame.
    pub async fn send(self, stream: &TcpStream) -> io::Result<()> {
        let length = i32::try_from(self.length())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "frame over 2 GiB"))?;
        let mut parts = self.parts.into_iter();
        let prefix = length.to_be_bytes();
        match parts.next() {
            Some(Part::Memory(first)) if parts.len() == 0 => {
                return send_memory(stream, prefix.chain(first), SendFlags::empty()).await;
            }
            Some(Part::Memory(first)) => {
                send_memory(stream, prefix.chain(first), SendFlags::MORE).await?;
            }
            other => {
                send_memory(stream, &prefix[..], SendFlags::MORE).await?;
                if let Some(part) = other {
                    send_part(stream, part, parts.len() == 0).await?;
                }
            }
        }
        while let Some(part) = parts.next() {
            send_part(stream, part, parts.len() == 0).await?;
        }
        Ok(())
    }
}

/// Small frames that leave together, since a send costs more than a copy.
///
/// **Invariant:** frames leave in the order in which they were pushed.
#[derive(Debug, Default)]
pub struct Gathered {
    bytes: BytesMut,
}

impl Gathered {
    /// Keeps a small frame until the next `flush`; any other frame is sent at
    /// once, behind what was kept. Not cancel safe.
    pub async fn push(&mut self, frame: Frame, stream: &TcpStream) -> io::Result<()> {
        let room = GATHERED_MAX.saturating_sub(self.bytes.len() + size_of::<i32>());
        match &frame.parts[..] {
            [Part::Memory(bytes)] if bytes.len() <= room => {
                let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
                self.bytes.put_i32(length);
                self.bytes.put_slice(bytes);
                Ok(())
            }
            _ => {
                self.flush(stream).await?;
                frame.send(stream).await
            }
        }
    }

    /// Sends what was kept. Not cancel safe.
    pub async fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        let kept = std::mem::take(&mut self.bytes);
        send_memory(stream, kept, SendFlags::empty()).await
    }
}

async fn send_part(stream: &TcpStream, part: Part, is_last: bool) -> io::Result<()> {
    match part {
        Part::Memory(bytes) => {
            let more = if is_last {
                SendFlags::empty()
            } else {
                SendFlags::MORE
            };
            send_memory(stream, bytes, more).await
        }
        Part::File(range) => send_file(stream, &range).await,
    }
}

async fn send_memory(stream: &TcpStream, mut bytes: impl Buf, flags: SendFlags) -> io::Result<()> {
    const SLICES_MAX: usize = 2;
    let flags = flags | SendFlags::NOSIGNAL;
    while bytes.has_remaining() {
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                let mut slices = [io::IoSlice::new(&[]); SLICES_MAX];
                let filled = bytes.chunks_vectored(&mut slices);
                Ok(rustix::net::sendmsg(
                    stream,
                    &slices[..filled],
                    &mut rustix::net::SendAncillaryBuffer::default(),
                    flags,
                )?)
            })
            .await?;
        bytes.advance(sent);
    }
    Ok(())
}

async fn send_file(stream: &TcpStream, range: &FileRange) -> io::Result<()> {
    let mut position = range.position;
    let end = range.position + range.length as u64;
    while position < end {
        let step = SENDFILE_STEP.min(usize::try_from(end - position).unwrap_or(SENDFILE_STEP));
        let sent = match range.source.as_file() {
            Some(file) => sendfile(stream, file, position, step).await?,
            None => send_copy(stream, &*range.source, position, step).await?,
        };
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file became shorter while it was being sent",
            ));
        }
        position += sent as u64;
    }
    Ok(())
}

async fn sendfile(
    stream: &TcpStream,
    file: &File,
    position: u64,
    length: usize,
) -> io::Result<usize> {
    stream
        .async_io(Interest::WRITABLE, || {
            let mut from = position;
            Ok(rustix::fs::sendfile(stream, file, Some(&mut from), length)?)
        })
        .await
}

async fn send_copy(
    stream: &TcpStream,
    source: &dyn Source,
    position: u64,
    length: usize,
) -> io::Result<usize> {
    let mut buffer = vec![0; length];
    let read = source.read_at(position, &mut buffer)?;
    send_memory(stream, &buffer[..read], SendFlags::empty()).await?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::io::AsyncReadExt;

    use super::*;

    async fn sent(frame: Frame) -> io::Result<Vec<u8>> {
        let listener = crate::net::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = crate::net::connect("127.0.0.1", address.port()).await?;
        let (server, _) = listener.accept().await?;
        let reading = crate::task::spawn("read", async move {
            let mut all = Vec::new();
            client.read_to_end(&mut all).await.map(|_| all)
        });
        frame.send(&server).await?;
        drop(server);
        reading.await.unwrap()
    }

    fn range(content: &[u8], position: u64, length: usize) -> Part {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Part::File(FileRange {
            source: Arc::new(file),
            position,
            length,
        })
    }

    #[tokio::test]
    async fn parts_arrive_in_order_behind_their_length() {
        let memory = |text: &'static [u8]| Part::Memory(Bytes::from_static(text));
        let big = vec![7_u8; 3 << 20];
        let frame = Frame::new(vec![memory(b"ab"), range(&big, 1, 2 << 20), memory(b"z")]);
        let got = sent(frame).await.unwrap();
        assert_eq!(got[..6], [0, 0x20, 0, 3, b'a', b'b']);
        assert_eq!(got.len(), 4 + 3 + (2 << 20));
        assert_eq!(got.last(), Some(&b'z'));
        assert_eq!(sent(Frame::default()).await.unwrap(), [0; 4]);
        let file_first = Frame::new(vec![range(b"xyz", 1, 2)]);
        assert_eq!(sent(file_first).await.unwrap(), b"\0\0\0\x02yz");
    }

    #[tokio::test]
    async fn gathered_frames_leave_in_order_at_a_flush_or_before_a_large_one() {
        let listener = crate::net::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = crate::net::connect("127.0.0.1", port).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut gathered = Gathered::default();
        let mut got = [0; 12];
        for text in [&b"ab"[..], b"cd"] {
            let frame = Frame::from(Bytes::from_static(text));
            gathered.push(frame, &server).await.unwrap();
        }
        assert!(client.try_read(&mut got).is_err());
        gathered.flush(&server).await.unwrap();
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"\0\0\0\x02ab\0\0\0\x02cd");

        let small = Frame::from(Bytes::from_static(b"z"));
        gathered.push(small, &server).await.unwrap();
        let large = Frame::from(Bytes::from(vec![7; GATHERED_MAX]));
        gathered.push(large, &server).await.unwrap();
        let mut got = vec![0; 5 + 4 + GATHERED_MAX];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(got[..9], [0, 0, 0, 1, b'z', 0, 0, 0x40, 0]);
    }

    #[derive(Debug)]
    struct Memory(&'static [u8]);

    impl Source for Memory {
        fn as_file(&self) -> Option<&File> {
            None
        }

        fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let rest = &self.0[usize::try_from(position).unwrap()..];
            let count = rest.len().min(buffer.len()).min(2);
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    #[tokio::test]
    async fn what_is_no_file_is_copied() {
        let part = Part::File(FileRange {
            source: Arc::new(Memory(b"abcdef")),
            position: 1,
            length: 5,
        });
        assert_eq!(
            sent(Frame::new(vec![part])).await.unwrap(),
            b"\0\0\0\x05bcdef"
        );
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        let error = sent(Frame::new(vec![range(b"abc", 0, 5)]))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
