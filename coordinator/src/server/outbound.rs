//! What waits to be sent on one connection, in order.
//!
//! **Invariant:** frames leave in the order in which they were pushed.

use bytes::{BufMut, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Above this a connection sends before it reads on.
pub(super) const HIGH_WATER: usize = 1 << 20;
/// Above this the client is given up: events cannot wait for it for ever.
const LIMIT: usize = 64 << 20;

#[derive(Debug, Default)]
struct Queue {
    bytes: BytesMut,
    /// The connection ends once `bytes` are sent.
    closing: bool,
    overflowed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Outbound {
    queue: Mutex<Queue>,
    ready: Notify,
}

/// What the sender should do.
pub(super) enum Next {
    Send(BytesMut),
    Nothing,
    Close,
    Overflow(usize),
}

impl Outbound {
    /// Appends a frame whose payload `write` produces.
    pub(super) fn push(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut queue = self.queue.lock();
        if queue.closing {
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

    pub(super) fn len(&self) -> usize {
        self.queue.lock().bytes.len()
    }

    /// Nothing is taken any more; the connection ends when all is sent.
    pub(super) fn close(&self) {
        self.queue.lock().closing = true;
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.ready.notify_one();
    }

    /// Resolves after a [`Outbound::wake`]; cancel safe.
    pub(super) async fn woken(&self) {
        self.ready.notified().await;
    }

    pub(super) fn next(&self) -> Next {
        let mut queue = self.queue.lock();
        if queue.overflowed {
            return Next::Overflow(queue.bytes.len());
        }
        match (queue.bytes.is_empty(), queue.closing) {
            (false, _) => Next::Send(queue.bytes.split()),
            (true, false) => Next::Nothing,
            (true, true) => Next::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_sent_in_order_and_before_the_end() {
        let outbound = Outbound::default();
        outbound.push(|out| out.put_u8(7));
        outbound.push(|out| out.put_slice(b"ab"));
        outbound.close();
        outbound.push(|out| out.put_u8(9));
        let Next::Send(bytes) = outbound.next() else {
            panic!("nothing to send");
        };
        assert_eq!(&bytes[..], [0, 0, 0, 1, 7, 0, 0, 0, 2, b'a', b'b']);
        assert!(matches!(outbound.next(), Next::Close));
    }

    #[test]
    fn a_client_that_never_reads_is_given_up() {
        let outbound = Outbound::default();
        let frame = vec![0; 1 << 20];
        for _ in 0..70 {
            outbound.push(|out| out.put_slice(&frame));
        }
        assert!(matches!(outbound.next(), Next::Overflow(_)));
    }
}
