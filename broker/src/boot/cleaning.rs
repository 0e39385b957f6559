//! The threads that compact logs.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use common::task;
use tokio::task::JoinHandle;

use crate::log::{Cleaner, CleanerConfig, Manager};
use crate::replica;

/// What the threads work on.
pub(super) struct Cleaning {
    pub(super) config: CleanerConfig,
    /// `log.cleaner.backoff.ms`.
    pub(super) backoff: Duration,
    pub(super) logs: Arc<Manager>,
    pub(super) replicas: Arc<replica::Manager>,
    pub(super) clock: SharedClock,
}

impl Cleaning {
    /// Starts the threads; they end, in the middle of a pass, with `stop`.
    pub(super) fn start(self, stop: &Shutdown) -> Vec<JoinHandle<()>> {
        let cleaner = Cleaner::new(self.config, self.logs, self.clock);
        let cleaner = Arc::new(cleaner);
        let threads = (0..self.config.threads).map(|_| {
            let (cleaner, replicas) = (cleaner.clone(), self.replicas.clone());
            let (backoff, stop) = (self.backoff, stop.clone());
            task::spawn("cleaner", async move {
                while !stop.is_requested() {
                    if !clean_one(&cleaner, &replicas, &stop).await {
                        tokio::select! {
                            () = stop.requested() => {}
                            () = tokio::time::sleep(backoff) => {}
                        }
                    }
                }
            })
        });
        threads.collect()
    }
}

/// Cleans the log that needs it most, if one does.
async fn clean_one(
    cleaner: &Arc<Cleaner>,
    replicas: &Arc<replica::Manager>,
    stop: &Shutdown,
) -> bool {
    let (worker, replicas) = (cleaner.clone(), replicas.clone());
    let work = move || {
        worker.clean_filthiest(&|id| {
            let partition = replicas.partition(id).ok()?;
            Some(partition.high_watermark())
        })
    };
    let mut work = task::spawn_blocking("cleaner", work);
    let done = tokio::select! {
        done = &mut work => done,
        () = stop.requested() => {
            cleaner.stop();
            work.await
        }
    };
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "a cleaning failed");
        false
    })
}
