//! The event loop of a command, started only when it goes to the network.

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Failure, Outcome};

/// The exit codes of a shell's child that a signal ended.
const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

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

/// Ends with the first interrupt or request to terminate; the exit code for it.
pub(crate) async fn signalled() -> u8 {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => INTERRUPTED,
            _ = terminate.recv() => TERMINATED,
        },
        // Without a handler the signal ends the process by itself.
        Err(_) => std::future::pending().await,
    }
}
