//! Buffers of large frames that are used again: each page of fresh memory costs a
//! fault and is zeroed before the bytes of a frame are written over it.
//!
//! A buffer is kept while frames may still share it; who takes it gets one that
//! nobody shares any more.
//!
//! **Invariant:** never more than `KEPT_MAX` bytes are kept for all connections.

use std::collections::VecDeque;

use bytes::BytesMut;
use parking_lot::Mutex;

/// Smaller ones are cheap.
const SMALLEST: usize = 64 * 1024;
/// Larger ones are rare.
const LARGEST: usize = 4 * 1024 * 1024;
/// What is kept for all connections together.
const KEPT_MAX: usize = 8 * 1024 * 1024;

static KEPT: Mutex<Kept> = Mutex::new(Kept::new());

/// An empty buffer with `room` for a frame, if one is left over.
pub(super) fn take(room: usize) -> Option<BytesMut> {
    match (SMALLEST..=LARGEST).contains(&room) {
        true => KEPT.lock().take(room),
        false => None,
    }
}

/// Leaves a `buffer` of `size` bytes, whose frames were cut off, to whoever comes next.
pub(super) fn give(buffer: BytesMut, size: usize) {
    if buffer.is_empty() && (SMALLEST..=LARGEST).contains(&size) {
        KEPT.lock().give(buffer, size);
    }
}

struct Kept {
    /// With their sizes, oldest first.
    buffers: VecDeque<(BytesMut, usize)>,
    bytes: usize,
}

impl Kept {
    const fn new() -> Self {
        Self {
            buffers: VecDeque::new(),
            bytes: 0,
        }
    }

    fn take(&mut self, room: usize) -> Option<BytesMut> {
        let mut buffers = self.buffers.iter_mut();
        let index = buffers.position(|(buffer, size)| *size >= room && buffer.try_reclaim(room))?;
        let (buffer, size) = self.buffers.remove(index)?;
        self.bytes -= size;
        Some(buffer)
    }

    fn give(&mut self, buffer: BytesMut, size: usize) {
        self.buffers.push_back((buffer, size));
        self.bytes += size;
        while self.bytes > KEPT_MAX
            && let Some((_, size)) = self.buffers.pop_front()
        {
            self.bytes -= size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1024 * 1024;

    /// A buffer whose only frame is cut off, and the frame.
    fn cut() -> (BytesMut, BytesMut) {
        let mut buffer = BytesMut::zeroed(SIZE);
        let frame = buffer.split();
        (buffer, frame)
    }

    #[test]
    fn a_buffer_is_used_again_when_its_frame_is_gone() {
        let mut kept = Kept::new();
        let (buffer, frame) = cut();
        let address = frame.as_ptr();
        kept.give(buffer, SIZE);
        assert!(kept.take(SIZE).is_none());
        drop(frame);
        assert!(kept.take(SIZE + 1).is_none());
        let again = kept.take(SIZE).unwrap();
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        assert!(again.capacity() >= SIZE);
        assert_eq!(kept.bytes, 0);
    }

    #[test]
    fn the_oldest_are_dropped_beyond_the_limit() {
        let mut kept = Kept::new();
        let frames: Vec<_> = std::iter::repeat_with(|| {
            let (buffer, frame) = cut();
            kept.give(buffer, SIZE);
            frame
        })
        .take(KEPT_MAX / SIZE + 3)
        .collect();
        assert_eq!(
            (kept.bytes, kept.buffers.len()),
            (KEPT_MAX, KEPT_MAX / SIZE)
        );
        drop(frames);
        let taken = std::iter::from_fn(|| kept.take(SIZE)).count();
        assert_eq!((taken, kept.bytes), (KEPT_MAX / SIZE, 0));
    }
}
