//! A request to stop, shared by everything that runs.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use tokio_util::sync::CancellationToken;

/// Cheap to clone; a child stops with its parent, not the other way round.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    flag: Arc<Flag>,
}

/// Says the same as the token, without its lock: every connection asks whenever it is
/// woken.
#[derive(Debug, Default)]
struct Flag {
    is_set: AtomicBool,
    parent: Option<Arc<Flag>>,
}

impl Flag {
    fn is_set(&self) -> bool {
        let parent = || self.parent.as_ref().is_some_and(|parent| parent.is_set());
        self.is_set.load(Ordering::Acquire) || parent()
    }
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone who holds a clone or a child to stop.
    pub fn request(&self) {
        // Before the token wakes anybody.
        self.flag.is_set.store(true, Ordering::Release);
        self.token.cancel();
    }

    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.flag.is_set()
    }

    /// Resolves once a stop was requested; cancel safe.
    pub async fn requested(&self) {
        let mut cancelled = pin!(self.token.cancelled());
        let mut known: Option<Waker> = None;
        poll_fn(|context| {
            let waker = context.waker();
            let is_known = known.as_ref().is_some_and(|known| known.will_wake(waker));
            if is_known && !self.is_requested() {
                return Poll::Pending;
            }
            if !is_known {
                known = Some(waker.clone());
            }
            cancelled.as_mut().poll(context)
        })
        .await;
    }

    /// A request of its own that also follows this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            flag: Arc::new(Flag {
                is_set: AtomicBool::new(false),
                parent: Some(Arc::clone(&self.flag)),
            }),
        }
    }
}

/// Resolves with the name of the signal when the operator asks to stop
/// (SIGTERM, SIGINT).
pub async fn stop_signal() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    })
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    #[tokio::test]
    async fn a_child_follows_its_parent_and_not_the_other_way_round() {
        let parent = Shutdown::new();
        let (child, other) = (parent.child(), parent.child());
        let waiting = crate::task::spawn("wait", {
            let grandchild = child.child();
            async move { grandchild.requested().await }
        });
        child.request();
        waiting.await.unwrap();
        assert!(child.is_requested() && !parent.is_requested() && !other.is_requested());
        let mut requested = pin!(other.requested());
        for _ in 0..3 {
            let mut context = Context::from_waker(Waker::noop());
            assert!(requested.as_mut().poll(&mut context).is_pending());
        }
        parent.clone().request();
        assert!(other.is_requested());
        requested.await;
    }
}
