//! Moves replicas between the log directories of this broker (KIP-113).
//!
//! Flow: `Manager::move_replica` (or a copy that an earlier run began) -> a task
//! copies the log, as fast as the quota lets it -> once it is whole, the copy
//! takes the log's place.
//! State: `Moves` knows which tasks run; a task owns its copy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::shutdown::Shutdown;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::manager::Manager;
use super::partition::{Cursor, MovingError, Partition, Progress};
use crate::log::{self, LogHandle};
use crate::model::TopicPartition;

/// Before a copy that went too fast goes on.
const THROTTLED_PAUSE: Duration = Duration::from_millis(100);

/// Why a replica is not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveReplicaError {
    #[error("This broker has no replica of the partition yet; it will be created there.")]
    NotHere,
    #[error("The log directory of the replica is offline.")]
    Offline,
    #[error(transparent)]
    Dir(#[from] log::MoveError),
}

/// The moves that are under way.
pub(super) struct Moves {
    running: Mutex<HashMap<TopicPartition, Shutdown>>,
    /// `num.replica.alter.log.dirs.threads`
    permits: Semaphore,
}

impl Moves {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self {
            running: Mutex::default(),
            permits: Semaphore::new(at_a_time.max(1)),
        }
    }

    fn stop(&self, id: &TopicPartition) {
        if let Some(stop) = self.running.lock().remove(id) {
            stop.request();
        }
    }
}

impl Manager {
    /// Begins to move the replica to the directory with this path; one that is
    /// not here yet will be created there. Creates files, so it belongs on a
    /// thread that may block.
    pub fn move_replica(&self, id: &TopicPartition, path: &str) -> Result<(), MoveReplicaError> {
        let _between_requests = self.lock_control();
        let dir = self.logs().usable_dir(path)?;
        let partition = self.partition(id);
        if partition.as_ref().is_ok_and(|found| found.is_offline()) {
            return Err(MoveReplicaError::Offline);
        }
        let future = self.logs().future(id);
        let is_elsewhere = |future: &LogHandle| future.read().dir().parent() != Some(dir.path());
        if future.as_ref().is_some_and(is_elsewhere) {
            self.cancel_move(id);
        }
        let Ok(partition) = partition else {
            self.logs().prefer_dir(id, &dir);
            return Err(MoveReplicaError::NotHere);
        };
        if partition.log_dir().as_deref() == Some(dir.path()) {
            return Ok(());
        }
        let now_ms = self.wall_ms();
        let future = self.logs().create_future(id, &dir, now_ms)?;
        tracing::info!(partition = %id, to = %dir.path().display(), "moving the replica to another directory");
        self.start_move(partition, future);
        Ok(())
    }

    /// Goes on with what an earlier run began.
    pub(super) fn resume_move(&self, partition: &Arc<Partition>) {
        if let Some(future) = self.logs().future(partition.id()) {
            tracing::info!(partition = %partition.id(), "goes on to move the replica");
            self.start_move(partition.clone(), future);
        }
    }

    /// Ends the replica's move, if there is one, and takes the copy away.
    pub(super) fn cancel_move(&self, id: &TopicPartition) {
        self.moves().stop(id);
        match self.logs().delete_future(id, self.wall_ms()) {
            Ok(true) => tracing::info!(partition = %id, "the replica is not moved any more"),
            Ok(false) => {}
            Err(error) => tracing::error!(partition = %id, %error, "a copy cannot be deleted"),
        }
    }

    fn start_move(&self, partition: Arc<Partition>, future: LogHandle) {
        let stop = Shutdown::new();
        let id = partition.id().clone();
        let mut running = self.moves().running.lock();
        if running.contains_key(&id) {
            return;
        }
        running.insert(id, stop.clone());
        drop(running);
        let job = Job {
            partition,
            future,
            logs: self.logs_handle(),
            moves: self.moves().clone(),
            all_stop: self.stop_of_moves(),
            stop,
        };
        common::task::spawn("move replica", job.run());
    }
}

/// One move.
struct Job {
    partition: Arc<Partition>,
    future: LogHandle,
    logs: Arc<log::Manager>,
    moves: Arc<Moves>,
    /// The broker stops: the next start goes on.
    all_stop: Shutdown,
    stop: Shutdown,
}

impl Job {
    async fn run(self) {
        let Ok(_permit) = self.moves.permits.acquire().await else {
            return;
        };
        let mut cursor = Cursor::default();
        loop {
            if self.stop.is_requested() || self.all_stop.is_requested() {
                return;
            }
            let (partition, future) = (self.partition.clone(), self.future.clone());
            let logs = self.logs.clone();
            let work = move || {
                let outcome = step(&partition, &future, &logs, &mut cursor);
                (outcome, cursor)
            };
            let done = common::task::spawn_blocking("move replica", work).await;
            let Ok((outcome, next)) = done else { return };
            cursor = next;
            match outcome {
                Ok(Step::Over) => return self.end(),
                Ok(Step::More) => {}
                Ok(Step::TooFast) => {
                    tokio::select! {
                        () = self.stop.requested() => return,
                        () = self.all_stop.requested() => return,
                        () = tokio::time::sleep(THROTTLED_PAUSE) => {}
                    }
                }
                Err(_) if self.stop.is_requested() => return,
                Err(error) => return self.give_up(&error),
            }
        }
    }

    fn end(&self) {
        let id = self.partition.id();
        self.moves.running.lock().remove(id);
        tracing::info!(partition = %id, to = ?self.partition.log_dir(), "moved the replica to another directory");
        for written in [
            self.logs.checkpoint_log_start_offsets(),
            self.logs.checkpoint_recovery_points(),
        ] {
            if let Err(error) = written {
                tracing::warn!(%error, "a checkpoint cannot be written");
            }
        }
    }

    fn give_up(&self, error: &MovingError) {
        let id = self.partition.id();
        tracing::error!(partition = %id, %error, "the replica cannot be moved");
        self.moves.running.lock().remove(id);
        let now_ms = self.partition.wall_ms();
        if let Err(error) = self.logs.delete_future(id, now_ms) {
            tracing::error!(partition = %id, %error, "a copy cannot be deleted");
        }
    }
}

enum Step {
    More,
    TooFast,
    Over,
}

fn step(
    partition: &Partition,
    future: &LogHandle,
    logs: &log::Manager,
    cursor: &mut Cursor,
) -> Result<Step, MovingError> {
    let quota = partition.log_dirs_quota();
    if quota.is_exceeded() {
        return Ok(Step::TooFast);
    }
    match partition.copy_to(future, cursor, quota)? {
        Progress::Behind => Ok(Step::More),
        Progress::CaughtUp => match partition.replace_log(logs, future, cursor)? {
            true => Ok(Step::Over),
            false => Ok(Step::More),
        },
    }
}
