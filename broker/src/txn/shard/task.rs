//! The loop around a shard: load, then commands, committed writes, answers of
//! leaders and retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::shutdown::Shutdown;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Command, Shard};

/// Commands are left in the channel while this many writes are in flight, which
/// in turn makes those who send them wait.
const WRITES_IN_FLIGHT_MAX: usize = 1_000;

/// What a running shard needs besides its state.
pub(in crate::txn) struct Task {
    pub(in crate::txn) shard: Shard,
    /// Closed by the owner for a stop in good order: writes in flight are
    /// awaited and answered.
    pub(in crate::txn) commands: mpsc::Receiver<Command>,
    /// Stops at once, when the partition is led by another broker.
    pub(in crate::txn) stop: Shutdown,
    pub(in crate::txn) is_loaded: Arc<AtomicBool>,
    /// The previous life of the same partition, which must be over first.
    pub(in crate::txn) predecessor: Option<JoinHandle<()>>,
}

/// Runs until the partition is given up. Whoever still waits then finds its
/// reply gone, which means that this broker is not the coordinator any more.
pub(in crate::txn) async fn run(mut task: Task) {
    if let Some(predecessor) = task.predecessor.take()
        && let Err(error) = predecessor.await
    {
        tracing::error!(%error, "the previous owner of a transaction partition failed");
    }
    let stop = task.stop.clone();
    tokio::select! {
        biased;
        () = stop.requested() => {}
        () = serve(&mut task) => {}
    }
}

async fn serve(task: &mut Task) {
    let shard = &mut task.shard;
    if let Err(error) = shard.load().await {
        let partition = shard.partition;
        tracing::error!(partition, %error, "a partition of the transaction topic cannot be loaded");
        return;
    }
    task.is_loaded.store(true, Ordering::Release);
    shard.resume();
    let mut is_open = true;
    while is_open || shard.awaited_count > 0 {
        let now = shard.parts.clock.monotonic();
        let deadline = shard.retries.next_deadline();
        if deadline.is_some_and(|deadline| deadline <= now) {
            shard.on_deadline();
            continue;
        }
        let accepts = is_open && shard.writing.len() < WRITES_IN_FLIGHT_MAX;
        tokio::select! {
            biased;
            Some((write, result)) = shard.writing.next() => shard.on_written(write, result),
            Some(answer) = shard.answers.recv() => shard.on_answer(answer),
            () = until(deadline, now) => {}
            command = task.commands.recv(), if accepts => match command {
                Some(command) => shard.handle(command),
                None => is_open = false,
            },
        }
    }
}

async fn until(deadline: Option<Duration>, now: Duration) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.saturating_sub(now)).await,
        None => std::future::pending().await,
    }
}
