//! What waits to be sent on one connection, in order.
//!
//! Flow: whoever has a reply or an event pushes it, and sends what is queued as far
//! as the socket takes it at once; the connection's own task is woken only for what
//! is left, or when the connection is to end. So a reply costs no change of thread.
//!
//! **Invariant:** frames leave in the order in which they were pushed: everybody
//! writes to the socket under the queue's lock, and never waits there.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// Above this a connection sends before it reads on.
pub(super) const HIGH_WATER: usize = 1 << 20;
/// Above this the client is given up: events cannot wait for it for ever.
const LIMIT: usize = 64 << 20;
/// An empty queue keeps no larger buffer, since most connections are idle.
const KEPT: usize = 512;

/// Where frames go; a seam for tests.
pub(super) trait Sink: Send + Sync {
    /// Writes what can be written without waiting.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl Sink for OwnedWriteHalf {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        OwnedWriteHalf::try_write(self, bytes)
    }
}

struct Queue<S> {
    bytes: BytesMut,
    /// `None` once the connection has ended.
    sink: Option<Arc<S>>,
    /// The connection ends once `bytes` are sent.
    closing: bool,
    overflowed: bool,
}

pub(super) struct Outbound<S = OwnedWriteHalf> {
    queue: Mutex<Queue<S>>,
    ready: Notify,
}

/// How far the sending went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// The socket takes no more now.
    Blocked,
    /// All is sent, and the connection ends.
    Close,
    Overflow(usize),
}

impl<S: Sink> Outbound<S> {
    pub(super) fn new(sink: Arc<S>) -> Self {
        Self {
            queue: Mutex::new(Queue {
                bytes: BytesMut::new(),
                sink: Some(sink),
                closing: false,
                overflowed: false,
            }),
            ready: Notify::new(),
        }
    }

    /// Appends a frame whose payload `write` produces.
    pub(super) fn push(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut queue = self.queue.lock();
        if queue.closing || queue.sink.is_none() {
            return;
        }
        if queue.bytes.len() > LIMIT {
            queue.overflowed = true;
            return;
        }
        let bytes = &mut queue.bytes;
        let start = bytes.len();
        bytes.put_i32(0);
        write(bytes);
        let length = i32::try_from(bytes.len() - start - 4).unwrap_or(i32::MAX);
        bytes[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Appends a text that is no frame.
    pub(super) fn push_text(&self, text: &str) {
        self.queue.lock().bytes.put_slice(text.as_bytes());
    }

    pub(super) fn len(&self) -> usize {
        self.queue.lock().bytes.len()
    }

    /// Nothing is taken any more; the connection ends when all is sent.
    pub(super) fn close(&self) {
        self.queue.lock().closing = true;
        self.wake();
    }

    /// The connection has ended: lets go of the socket, whoever still knows the queue.
    pub(super) fn end(&self) {
        let mut queue = self.queue.lock();
        queue.sink = None;
        queue.bytes = BytesMut::new();
    }

    /// Has the connection's task look at the queue.
    pub(super) fn wake(&self) {
        self.ready.notify_one();
    }

    /// Sends what is queued; the connection's task does what cannot be done at once.
    pub(super) fn send_or_wake(&self) {
        if !matches!(self.send(), Ok(Sent::All)) {
            self.wake();
        }
    }

    /// Resolves after a [`Outbound::wake`]; cancel safe.
    pub(super) async fn woken(&self) {
        self.ready.notified().await;
    }

    /// Sends as much of what is queued as the socket takes at once.
    pub(super) fn send(&self) -> io::Result<Sent> {
        let mut queue = self.queue.lock();
        let queue = &mut *queue;
        if queue.overflowed {
            return Ok(Sent::Overflow(queue.bytes.len()));
        }
        let Some(sink) = &queue.sink else {
            return Ok(Sent::Close);
        };
        while !queue.bytes.is_empty() {
            match sink.try_write(&queue.bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => queue.bytes.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Sent::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        // Gives back the room of what was sent; a large one to the allocator.
        queue.bytes.clear();
        if !queue.bytes.try_reclaim(1) || queue.bytes.capacity() > KEPT {
            queue.bytes = BytesMut::new();
        }
        Ok(if queue.closing {
            Sent::Close
        } else {
            Sent::All
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that takes some bytes at a time, and stops after a number of writes.
    #[derive(Default)]
    struct Socket {
        taken: Mutex<Vec<u8>>,
        at_once: usize,
        writes_left: Mutex<usize>,
    }

    impl Sink for Socket {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let mut left = self.writes_left.lock();
            if *left == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *left -= 1;
            let count = bytes.len().min(self.at_once);
            self.taken.lock().extend_from_slice(&bytes[..count]);
            Ok(count)
        }
    }

    fn outbound(at_once: usize, writes: usize) -> (Arc<Socket>, Outbound<Socket>) {
        let socket = Arc::new(Socket {
            at_once,
            writes_left: Mutex::new(writes),
            ..Socket::default()
        });
        (Arc::clone(&socket), Outbound::new(socket))
    }

    #[test]
    fn frames_are_sent_in_order_and_before_the_end() {
        let (socket, outbound) = outbound(3, 2);
        outbound.push(|out| out.put_u8(7));
        outbound.push(|out| out.put_slice(b"ab"));
        outbound.close();
        outbound.push(|out| out.put_u8(9));
        assert_eq!(outbound.send().unwrap(), Sent::Blocked);
        *socket.writes_left.lock() = 10;
        assert_eq!(outbound.send().unwrap(), Sent::Close);
        let expected = [0, 0, 0, 1, 7, 0, 0, 0, 2, b'a', b'b'];
        assert_eq!(&socket.taken.lock()[..], expected);
    }

    #[test]
    fn an_ended_connection_lets_go_of_its_socket() {
        let (socket, outbound) = outbound(100, 100);
        outbound.push(|out| out.put_u8(7));
        outbound.end();
        outbound.push(|out| out.put_u8(8));
        assert_eq!(outbound.send().unwrap(), Sent::Close);
        assert_eq!(Arc::strong_count(&socket), 1);
        assert!(socket.taken.lock().is_empty());
    }

    #[test]
    fn a_client_that_never_reads_is_given_up() {
        let (_socket, outbound) = outbound(1, 0);
        let frame = vec![0; 1 << 20];
        for _ in 0..70 {
            outbound.push(|out| out.put_slice(&frame));
        }
        assert!(matches!(outbound.send().unwrap(), Sent::Overflow(_)));
    }

    #[test]
    fn an_empty_queue_keeps_no_large_buffer() {
        let (_socket, outbound) = outbound(usize::MAX, 100);
        for _ in 0..3 {
            outbound.push(|out| out.put_slice(&[0; 100_000]));
            assert_eq!(outbound.send().unwrap(), Sent::All);
            assert!(outbound.queue.lock().bytes.capacity() <= KEPT);
        }
    }
}
