//! The event loop of a command, started only when it goes to the network.

use crate::failure::{Failure, Outcome};

/// Runs `work` to its end on this thread.
pub(crate) fn block_on(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the event loop: {error}")))?;
    let outcome = runtime.block_on(work);
    // A thread that still waits for standard input must not hold up the exit.
    runtime.shutdown_background();
    outcome
}
