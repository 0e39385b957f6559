//! What follows when a log directory is full: the controller is told, so that
//! other replicas lead, and told again when there is room.
//!
//! Nothing is told of replicas that nobody can replace (`replica::partition`
//! says which are): they are read on here, and take records again as soon as a
//! write succeeds.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use common::task;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::log::Manager;
use crate::registry::Registry;
use crate::replica;

/// How often a full disk is looked at: nobody says when it has room.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// After so long the controller is told again of what still leads here: the
/// note may have come when nobody else could.
const NOTE_PAUSE: Duration = Duration::from_secs(5);

/// Directories that are full.
#[derive(Default)]
pub(super) struct FullDirs(Arc<Notify>);

/// What tells the controller.
struct Watch {
    fills: Arc<Notify>,
    logs: Arc<Manager>,
    replicas: Arc<replica::Manager>,
    registry: Registry,
    clock: SharedClock,
    /// When it was, by the monotonic clock.
    told: Option<Duration>,
}

impl FullDirs {
    /// Is notified whenever a directory is found full.
    pub(super) fn fills(&self) -> Arc<Notify> {
        self.0.clone()
    }

    /// Tells the controller of them until `stop`.
    pub(super) fn follow(
        self,
        logs: Arc<Manager>,
        replicas: Arc<replica::Manager>,
        registry: Registry,
        clock: SharedClock,
        stop: Shutdown,
    ) -> JoinHandle<()> {
        let watch = Watch {
            fills: self.0,
            logs,
            replicas,
            registry,
            clock,
            told: None,
        };
        task::spawn("full directories", async move {
            tokio::select! {
                () = stop.requested() => {}
                () = watch.run() => {}
            }
        })
    }
}

impl Watch {
    async fn run(mut self) {
        loop {
            self.fills.notified().await;
            while self.look().await {
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        }
    }

    /// Says whether to look again.
    async fn look(&mut self) -> bool {
        let dirs = self.logs.dirs();
        // Each is looked at, however many have room.
        let has_room = dirs.iter().filter(|dir| dir.has_room_again()).count() > 0;
        if has_room && self.told.is_some() {
            self.tell().await;
        }
        if !dirs.iter().any(|dir| dir.is_full()) {
            self.told = None;
            return false;
        }
        let now = self.clock.monotonic();
        let was_told_lately = self.told.is_some_and(|told| now < told + NOTE_PAUSE);
        if !was_told_lately && self.replicas.has_replicas_to_give_way() {
            self.tell().await;
            self.told = Some(now);
        }
        true
    }

    async fn tell(&self) {
        let broker_id = self.replicas.broker_id();
        tracing::info!(
            "the controller is told of log directories without room, or with room again"
        );
        while let Err(error) = self.registry.note_log_dir_failure(broker_id).await {
            tracing::warn!(%error, "the controller could not be told");
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }
}
