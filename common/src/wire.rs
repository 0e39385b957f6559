//! Outgoing frames: memory and file ranges, written without gathering them.
//!
//! A range of a file goes from the page cache to the socket by `sendfile(2)`.
//!
//! **Invariant:** the length prefix is the sum of the parts; a file that has
//! become shorter than its range ends the connection instead of the frame.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use rustix::net::SendFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The most that one `sendfile` call is asked for.
const SENDFILE_STEP: usize = 1 << 20;

/// A stretch of a file that nobody changes while it is being sent.
#[derive(Debug, Clone)]
pub struct FileRange {
    pub file: Arc<File>,
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
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                let mut from = position;
                Ok(rustix::fs::sendfile(
                    stream,
                    &*range.file,
                    Some(&mut from),
                    step,
                )?)
            })
            .await?;
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
            file: Arc::new(file),
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
    async fn a_file_that_became_shorter_is_an_error() {
        let error = sent(Frame::new(vec![range(b"abc", 0, 5)]))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
