//! A partition of an internal topic in the hands of its coordinator, and the loop
//! around it: load, then commands, own events and deadlines.
//!
//! Commands that come at the same time share what they can: the first of them lets the
//! tasks that are ready go first, which bring the others (`gather`).
//!
//! State: one task owns a shard, from the load to the end of its leadership.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::loading::{Found, Loading};
use super::records::{self, Entry, StateRecord};
use super::{Error, StateLog};
use crate::model::LeaderEpoch;

/// Commands are left in the channel while this many writes are in flight, which
/// in turn makes those who send them wait.
const WRITES_IN_FLIGHT_MAX: usize = 1_000;

/// Commands that are taken at a time, so that events do not wait for long.
const COMMANDS_PER_ROUND_MAX: usize = 64;

/// How often a command lets others come before it; it goes on at once when none does.
const GATHERING_ROUNDS_MAX: usize = 8;

/// The state of one partition and the decisions on it.
pub trait Shard: Send + 'static {
    /// What the log calls its task.
    const NAME: &'static str;
    /// A newer leader epoch of a partition that is served already reads it again.
    const IS_OF_ONE_EPOCH: bool;

    /// What it is asked to do.
    type Command: Send + 'static;
    /// What its partition holds.
    type Record: StateRecord + Send;
    /// What it waits for itself, such as the end of a write.
    type Event: Send;
    /// What a load has found, for the log.
    type Found: Found;

    /// Takes over what the log holds.
    fn replay_entry(&mut self, entry: Entry<Self::Record>);
    /// The end of the log is reached; commands come from now on.
    fn on_loaded(&mut self) -> Self::Found;
    /// Decides one command. A reply that nobody waits for any more is dropped.
    fn handle(&mut self, command: Self::Command);
    /// Says whether a command left something to `flush`, which others may share.
    fn has_gathered(&self) -> bool {
        false
    }
    /// Does what the commands so far have left to do.
    fn flush(&mut self) {}
    /// The next event; pending while there is none. Dropping it loses nothing.
    fn next_event(&mut self) -> impl Future<Output = Self::Event> + Send;
    fn on_event(&mut self, event: Self::Event);
    /// The next moment of the monotonic clock at which something is due.
    fn next_deadline(&self) -> Option<Duration>;
    fn on_deadline(&mut self, now: Duration);
    fn writes_in_flight(&self) -> usize;
    /// Says whether somebody still waits for a write, which a stop in good order
    /// lets come to its end.
    fn is_awaited(&self) -> bool;
}

/// What a running shard needs besides its state.
pub(super) struct Task<S: Shard> {
    pub(super) shard: S,
    pub(super) partition: i32,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) log: Arc<dyn StateLog>,
    pub(super) clock: SharedClock,
    /// Bytes read at a time while loading.
    pub(super) load_buffer_size: usize,
    /// Closed by the owner for a stop in good order: writes in flight are
    /// awaited and answered.
    pub(super) commands: mpsc::Receiver<S::Command>,
    /// Stops at once, when the partition is led by another broker.
    pub(super) stop: Shutdown,
    pub(super) is_loaded: Arc<AtomicBool>,
    /// Taken when the partition is read back.
    pub(super) loading: Option<Loading<S::Found>>,
    /// The previous life of the same partition, which must be over first.
    pub(super) predecessor: Option<JoinHandle<()>>,
}

/// Runs until the partition is given up. Whoever still waits then finds its
/// reply gone, which means that this broker is not the coordinator any more.
pub(super) async fn run<S: Shard>(mut task: Task<S>) {
    if let Some(predecessor) = task.predecessor.take()
        && let Err(error) = predecessor.await
    {
        tracing::error!(%error, "the previous {} of the partition failed", S::NAME);
    }
    let stop = task.stop.clone();
    tokio::select! {
        biased;
        () = stop.requested() => {}
        () = serve(&mut task) => {}
    }
}

async fn serve<S: Shard>(task: &mut Task<S>) {
    let partition = task.partition;
    let end = match load(task).await {
        Ok(end) => end,
        Err(error) => {
            return tracing::error!(partition, %error, "a {} cannot be loaded", S::NAME);
        }
    };
    let epoch = task.leader_epoch;
    tracing::debug!(partition, epoch, end, "a {} is loaded", S::NAME);
    let shard = &mut task.shard;
    let found = shard.on_loaded();
    if let Some(loading) = task.loading.take() {
        loading.loaded(found);
    }
    task.is_loaded.store(true, Ordering::Release);
    let mut is_open = true;
    let mut alarm = Alarm::default();
    while is_open || shard.is_awaited() {
        let now = task.clock.monotonic();
        let deadline = shard.next_deadline();
        if deadline.is_some_and(|deadline| deadline <= now) {
            shard.on_deadline(now);
            continue;
        }
        let accepts = is_open && shard.writes_in_flight() < WRITES_IN_FLIGHT_MAX;
        tokio::select! {
            biased;
            event = shard.next_event() => shard.on_event(event),
            // Before commands, so that a sign of life after the deadline is late.
            () = alarm.at(deadline, now) => {}
            command = task.commands.recv(), if accepts => match command {
                Some(command) => {
                    shard.handle(command);
                    gather(shard, &mut task.commands).await;
                }
                None => is_open = false,
            },
        }
    }
}

/// Replays the partition from its start to its end, which it gives back.
///
/// Damage costs what it hides, which is as little as the log knows: a key that was
/// written again behind it has its newest value. (Kafka's group coordinator drops
/// the whole partition then, its transaction coordinator all behind the damage.)
async fn load<S: Shard>(task: &mut Task<S>) -> Result<i64, Error> {
    let Task {
        shard,
        log,
        partition,
        load_buffer_size,
        ..
    } = task;
    let mut offset = log.log_start_offset(*partition)?;
    let mut known_to = offset;
    loop {
        let chunk = match log.read(*partition, offset, *load_buffer_size).await {
            Err(error @ Error::Damaged) => {
                let next = log.behind_damage(*partition, offset).await?;
                let Some(next) = next.filter(|next| *next > offset) else {
                    // What was read is served: the alternative is to serve nobody
                    // for ever.
                    tracing::error!(partition, offset, %error, "the rest of a {} is not loaded", S::NAME);
                    return Ok(offset);
                };
                tracing::error!(partition, offset, next, %error, "a part of a {} is not loaded", S::NAME);
                offset = next;
                continue;
            }
            chunk => chunk?,
        };
        let replay = |entry| shard.replay_entry(entry);
        match records::decode(&chunk.batches, known_to, replay) {
            Some(next) => (offset, known_to) = (next, next),
            None => return Ok(offset),
        }
    }
}

/// Takes what comes together with a command that others can share.
async fn gather<S: Shard>(shard: &mut S, commands: &mut mpsc::Receiver<S::Command>) {
    for _ in 0..GATHERING_ROUNDS_MAX {
        if !shard.has_gathered() {
            return;
        }
        tokio::task::yield_now().await;
        let Ok(command) = commands.try_recv() else {
            break;
        };
        shard.handle(command);
        for _ in 1..COMMANDS_PER_ROUND_MAX {
            match commands.try_recv() {
                Ok(command) => shard.handle(command),
                Err(_) => break,
            }
        }
    }
    shard.flush();
}

/// A timer that is set anew only for an earlier deadline: one that goes off too early
/// costs less than one that is moved with every sign of life.
#[derive(Default)]
struct Alarm {
    set_for: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready at the deadline, or before.
    async fn at(&mut self, deadline: Option<Duration>, now: Duration) {
        let Some(deadline) = deadline else {
            return std::future::pending().await;
        };
        let sleep = || Box::pin(tokio::time::sleep(deadline.saturating_sub(now)));
        let timer = match &mut self.timer {
            Some(timer) if self.set_for.is_some_and(|earlier| earlier <= deadline) => timer,
            timer => {
                self.set_for = Some(deadline);
                timer.insert(sleep())
            }
        };
        timer.await;
        self.timer = None;
    }
}
