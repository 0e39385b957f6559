//! The threads that compact logs.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use common::config::Values;
use common::shutdown::Shutdown;
use common::task;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{cleaner, millis};
use crate::log::{Cleaner, CleanerConfig, Manager};
use crate::replica;

/// How the threads work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    pub(super) config: CleanerConfig,
    /// `log.cleaner.backoff.ms`.
    pub(super) backoff: Duration,
}

impl Settings {
    /// `None` when the cleaner is off, or cannot work so.
    pub(super) fn of(values: &Values) -> Option<Self> {
        let config = cleaner(values).ok().flatten()?;
        Some(Self {
            config,
            backoff: millis(values, "log.cleaner.backoff.ms"),
        })
    }
}

/// What the threads work on.
pub(super) struct Cleaning {
    pub(super) logs: Arc<Manager>,
    pub(super) replicas: Arc<replica::Manager>,
    pub(super) clock: SharedClock,
}

impl Cleaning {
    /// Runs the threads until `stop`, and anew with each other settings.
    pub(super) async fn run(self, mut settings: watch::Receiver<Settings>, stop: Shutdown) {
        loop {
            let current = *settings.borrow_and_update();
            let stop_threads = Shutdown::new();
            let threads = self.start(current, &stop_threads);
            let is_changed = tokio::select! {
                () = stop.requested() => false,
                changed = settings.wait_for(|next| *next != current) => changed.is_ok(),
            };
            if !is_changed {
                stop.requested().await;
            }
            stop_threads.request();
            for thread in threads {
                if let Err(error) = thread.await {
                    tracing::error!(%error, "a cleaner ended");
                }
            }
            if !is_changed {
                return;
            }
            tracing::info!("the cleaner starts anew with another configuration");
        }
    }

    /// Starts the threads; they end, in the middle of a pass, with `stop`.
    fn start(&self, settings: Settings, stop: &Shutdown) -> Vec<JoinHandle<()>> {
        let cleaner = Cleaner::new(settings.config, self.logs.clone(), self.clock.clone());
        let cleaner = Arc::new(cleaner);
        let threads = (0..settings.config.threads).map(|_| {
            let (cleaner, replicas) = (cleaner.clone(), self.replicas.clone());
            let (backoff, stop) = (settings.backoff, stop.clone());
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
