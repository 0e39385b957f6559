//! A request to stop, shared by everything that runs.

use tokio_util::sync::CancellationToken;

/// Cheap to clone; a child stops with its parent, not the other way round.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone who holds a clone or a child to stop.
    pub fn request(&self) {
        self.0.cancel();
    }

    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves once a stop was requested; cancel safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// A request of its own that also follows this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
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
