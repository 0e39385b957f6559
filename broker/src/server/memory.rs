//! Memory for requests (`queued.max.request.bytes`): while it is used up, no
//! connection reads a further request, and TCP tells the clients to wait.
//!
//! **Invariant:** as in Kafka, the last request that is let in may exceed the
//! bound, so that one larger than the bound is served and not stuck.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The memory of all connections; clones share it.
#[derive(Debug, Clone, Default)]
pub struct RequestMemory {
    /// Nothing when there is no bound.
    bounded: Option<Arc<Bounded>>,
}

#[derive(Debug)]
struct Bounded {
    available: Mutex<i64>,
    freed: Notify,
}

/// A request's share; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lease {
    of: Arc<Bounded>,
    bytes: i64,
}

impl RequestMemory {
    /// `bytes` for all requests together; none or fewer mean no bound.
    #[must_use]
    pub fn new(bytes: i64) -> Self {
        let bounded = (bytes > 0).then(|| {
            Arc::new(Bounded {
                available: Mutex::new(bytes),
                freed: Notify::new(),
            })
        });
        Self { bounded }
    }

    pub(super) fn is_bounded(&self) -> bool {
        self.bounded.is_some()
    }

    /// A share for a request of `length` bytes, once there is memory left.
    /// Cancel safe.
    pub(super) async fn lease(&self, length: usize) -> Option<Lease> {
        let bounded = self.bounded.as_ref()?;
        let bytes = i64::try_from(length).unwrap_or(i64::MAX);
        loop {
            let freed = bounded.freed.notified();
            {
                let mut available = bounded.available.lock();
                if *available > 0 {
                    *available = available.saturating_sub(bytes);
                    return Some(Lease {
                        of: bounded.clone(),
                        bytes,
                    });
                }
            }
            freed.await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut available = self.of.available.lock();
        *available = available.saturating_add(self.bytes);
        drop(available);
        self.of.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn requests_wait_while_the_memory_is_used_up() {
        let memory = RequestMemory::new(100);
        let first = memory.lease(60).await;
        let second = memory.lease(60).await;
        assert!(memory.lease(1).now_or_never().is_none(), "20 too many");
        let third = memory.lease(1);
        tokio::pin!(third);
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let third = third.now_or_never().expect("there is memory again");
        drop((second, third));
        assert!(memory.lease(1000).now_or_never().is_some(), "served alone");
    }

    #[tokio::test]
    async fn without_a_bound_nobody_waits() {
        for unlimited in [RequestMemory::default(), RequestMemory::new(-1)] {
            assert!(!unlimited.is_bounded());
            assert!(unlimited.lease(usize::MAX).await.is_none());
        }
    }
}
