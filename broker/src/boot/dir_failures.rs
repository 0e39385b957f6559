//! What follows when a log directory fails: the controller is told, and the
//! broker ends when none is left.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::task;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::full_dirs::FullDirs;
use super::running::Stops;
use crate::log::{Failure, FailureHook, Manager};
use crate::model::BrokerId;
use crate::registry::Registry;

const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Directories that failed, in the order in which they did.
pub(super) struct DirFailures(mpsc::Receiver<PathBuf>);

impl DirFailures {
    /// Room for each of `dirs` directories: each fails at most once. What is
    /// only full is for the second to hear.
    pub(super) fn new(dirs: usize) -> (FailureHook, Self, FullDirs) {
        let (sender, receiver) = mpsc::channel(dirs.max(1));
        let full = FullDirs::default();
        let fills = full.fills();
        let hook = FailureHook::new(move |dir, failure| match failure {
            Failure::Full => fills.notify_one(),
            Failure::Failed => {
                if let Err(error) = sender.try_send(dir.to_owned()) {
                    tracing::error!(%error, "a failed directory cannot be reported");
                }
            }
        });
        (hook, Self(receiver), full)
    }

    /// Reports failures until a stop; requests
    /// `all_dirs_failed` when none is left.
    pub(super) fn follow(
        mut self,
        broker_id: BrokerId,
        logs: Arc<Manager>,
        registry: Registry,
        stops: &Stops,
    ) -> JoinHandle<()> {
        let (all_failed, stop) = (stops.all_dirs_failed.clone(), stops.background.clone());
        task::spawn("log directories", async move {
            loop {
                let failed = tokio::select! {
                    () = stop.requested() => return,
                    failed = self.0.recv() => failed,
                };
                let Some(dir) = failed else { return };
                if logs.dirs().iter().all(|dir| !dir.is_online()) {
                    tracing::error!("all log directories have failed: the broker stops");
                    all_failed.request();
                    return;
                }
                tracing::warn!(dir = %dir.display(), "the controller is told of the failed directory");
                while let Err(error) = registry.note_log_dir_failure(broker_id).await {
                    tracing::warn!(%error, "the controller could not be told");
                    tokio::select! {
                        () = stop.requested() => return,
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                    }
                }
            }
        })
    }
}
