//! The only place that starts tasks, so that each has a name and a span.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::Instrument;

/// Runs `future` in the background under `name`.
#[expect(clippy::disallowed_methods, reason = "this is the wrapper")]
pub fn spawn<F>(name: &'static str, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future.instrument(tracing::trace_span!("task", name)))
}

/// Runs blocking `work` on the pool for it.
pub fn spawn_blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || tracing::trace_span!("blocking", name).in_scope(work))
}
