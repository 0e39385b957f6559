//! Orders every change of the state and answers each session in FIFO order.
//!
//! Flow of a write: [`Handle::submit`] -> `writer` drains the queue -> `prepare`
//! makes a transaction of each request, or an error -> [`Proposer`] commits the
//! whole batch with one sync -> `apply` -> watch events -> reply. A read is served
//! where it arrives ([`Handle::read`]), or, when its session has writes under way,
//! goes through the queue behind them and is served in its turn.
//!
//! State: one thread owns the pending view and is the only one that changes the
//! state; everybody reads it under a lock that is never held across I/O.
//!
//! **Invariant:** a session's requests are answered in the order they arrived.
//! **Invariant:** an event is queued on a connection before any reply that shows
//! the change, and after the reply to the request that left the watch.
//! **Invariant:** everything that can fail fails in `prepare`.
//! **Invariant:** this module knows nothing about sockets or jute.

mod apply;
mod prepare;
mod quota;
mod read;
mod report;
mod request;
mod rules;
mod solo;
mod view;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use common::clock::SharedClock;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::OwnedSemaphorePermit;

use crate::metrics::Metrics;
use crate::session::{Session, Tracker};
use crate::storage::{Done, SnapshotFile};
use crate::txn::State;
use crate::watch::{Registry, WatcherId};

pub use crate::tree::acl::Access;
pub(crate) use request::{Answer, Arrival, Client, Creation, Event, Read, Reply, Request, Write};
pub use rules::Rules;
pub(crate) use solo::Solo;
pub(crate) use writer::{Failure, Writer};

/// Who asked, and when.
pub(crate) struct Origin {
    /// Who gets the reply; `None` for what the server asks of itself.
    pub(crate) client: Option<Arc<dyn Client>>,
    pub(crate) session: Arc<Session>,
    pub(crate) xid: i32,
    pub(crate) ids: Arc<[common::zk::Id]>,
    pub(crate) received: Arrival,
}

/// A request on its way.
pub(crate) struct Submission {
    pub(crate) origin: Origin,
    pub(crate) request: Request,
    /// The request's place among the outstanding ones; free again once it is answered.
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
}

/// The pipeline has stopped and takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping")]
pub(crate) struct Stopped;

/// The requests that wait for the writer. Bounded by the permits of their
/// connections: one that gets none stops reading from its socket.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Told of `Waiting::stopped`, by which a writer knows that waits for the disk.
    stopped: Condvar,
}

#[derive(Default)]
struct Waiting {
    submissions: Vec<Submission>,
    /// Who waits for a snapshot of what has been committed.
    snapshots: Vec<Done>,
    stopped: bool,
    /// The end is to look like a crash.
    abandoned: bool,
}

/// Who is connected, and who watches what.
#[derive(Default)]
struct Watching {
    registry: Registry,
    clients: HashMap<WatcherId, Arc<dyn Client>>,
    by_session: HashMap<i64, Arc<dyn Client>>,
}

struct Shared {
    state: RwLock<State>,
    /// Locked after `state` by those who need both.
    watching: Mutex<Watching>,
    sessions: Tracker,
    queue: Queue,
    clock: SharedClock,
    rules: Rules,
    quotas: quota::Quotas,
    metrics: Metrics,
    /// Why nothing can be committed at present.
    trouble: ArcSwapOption<String>,
}

impl Shared {
    fn set_trouble(&self, trouble: Option<String>) {
        match (&*self.trouble.load(), &trouble) {
            (None, None) => return,
            (None, Some(text)) => tracing::error!("nothing is committed: {text}"),
            (Some(_), None) => tracing::info!("commits go on"),
            (Some(_), Some(_)) => {}
        }
        self.trouble.store(trouble.map(Arc::new));
    }
}

/// The way into the pipeline.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    /// A pipeline over a recovered state, whose sessions have their full timeout again.
    pub(crate) fn new(state: State, sessions: Tracker, clock: SharedClock, rules: Rules) -> Self {
        let now = clock.monotonic();
        for (id, timeout_ms) in &state.sessions {
            sessions.track(*id, *timeout_ms, now);
        }
        Self(Arc::new(Shared {
            state: RwLock::new(state),
            watching: Mutex::default(),
            sessions,
            queue: Queue::default(),
            clock,
            rules,
            quotas: quota::Quotas::default(),
            metrics: Metrics::default(),
            trouble: ArcSwapOption::empty(),
        }))
    }

    /// Queues a request; its reply goes to its client.
    pub(crate) fn submit(&self, submission: Submission) -> Result<(), Stopped> {
        self.submit_all(&mut vec![submission])
    }

    /// Queues requests that came together; takes them out of `burst`.
    pub(crate) fn submit_all(&self, burst: &mut Vec<Submission>) -> Result<(), Stopped> {
        let mut waiting = self.0.queue.waiting.lock();
        if waiting.stopped {
            return Err(Stopped);
        }
        let metrics = &self.0.metrics;
        metrics
            .prep_processor_request_queued
            .add(burst.len() as u64);
        waiting.submissions.append(burst);
        drop(waiting);
        self.0.queue.arrived.notify_one();
        Ok(())
    }

    /// Serves a read at once. Only for clients without requests in the queue.
    pub(crate) fn read(&self, origin: &Origin, read: &Read) {
        read::serve(&self.0, origin, read);
    }

    /// Lets the client of a session receive events. An older client of the same
    /// session is closed.
    pub(crate) fn attach(&self, session: i64, client: Arc<dyn Client>) {
        let mut watching = self.0.watching.lock();
        watching
            .clients
            .insert(client.watcher_id(), Arc::clone(&client));
        let older = watching.by_session.insert(session, client);
        if let Some(older) = older {
            watching.forget(older.watcher_id());
            older.close();
        }
    }

    /// The client is gone, and its watches with it.
    pub(crate) fn detach(&self, session: i64, client: WatcherId) {
        let mut watching = self.0.watching.lock();
        watching.forget(client);
        let owner = watching.by_session.get(&session);
        if owner.is_some_and(|owner| owner.watcher_id() == client) {
            watching.by_session.remove(&session);
        }
    }

    /// Whether a client of the session is connected.
    pub(crate) fn is_attached(&self, session: i64) -> bool {
        self.0.watching.lock().by_session.contains_key(&session)
    }

    pub(crate) fn sessions(&self) -> &Tracker {
        &self.0.sessions
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Looks at the state; `look` must be quick, writes wait for it.
    pub(crate) fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.0.state.read())
    }

    pub(crate) fn with_watches<T>(&self, look: impl FnOnce(&Registry) -> T) -> T {
        look(&self.0.watching.lock().registry)
    }

    /// Why nothing can be committed at present, if so; reads are served all the same.
    pub(crate) fn trouble(&self) -> Option<Arc<String>> {
        self.0.trouble.load_full()
    }

    /// Has a snapshot written of what is committed when the writer comes to it, and
    /// passes on its file, or why there is none.
    pub(crate) fn snapshot(
        &self,
        done: impl FnOnce(Result<SnapshotFile, String>) + Send + 'static,
    ) -> Result<(), Stopped> {
        let done: Done = Box::new(move |outcome| {
            // Opened here, while nothing can have deleted it yet.
            let opened = outcome.and_then(|path| SnapshotFile::open(&path));
            done(opened.map_err(|error| error.to_string()));
        });
        let mut waiting = self.0.queue.waiting.lock();
        if waiting.stopped {
            return Err(Stopped);
        }
        waiting.snapshots.push(done);
        drop(waiting);
        self.0.queue.arrived.notify_one();
        Ok(())
    }

    /// Makes the writer answer what it has and end.
    pub(crate) fn stop(&self) {
        self.0.queue.waiting.lock().stopped = true;
        self.0.queue.arrived.notify_one();
        self.0.queue.stopped.notify_one();
    }

    /// Makes the writer end where it is, as if the process had been killed.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.0.queue.waiting.lock();
        waiting.stopped = true;
        waiting.abandoned = true;
        waiting.submissions.clear();
        drop(waiting);
        self.0.queue.arrived.notify_one();
        self.0.queue.stopped.notify_one();
    }
}

impl Watching {
    fn forget(&mut self, client: WatcherId) {
        self.clients.remove(&client);
        self.registry.remove_watcher(client);
    }
}
