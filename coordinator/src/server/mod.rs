//! The client port: ZooKeeper's protocol and its four-letter words.
//!
//! Flow: `listener` accepts -> `handshake` gives a session -> `connection` hands
//! requests to the pipeline -> replies and events come back through one ordered
//! `outbound` queue per connection.
//!
//! **Invariant:** bytes from a client never panic, and never cost more memory than
//! the client sent and the limits allow.
//! **Invariant:** no state of the tree is kept here.

mod auth;
mod codec;
mod connection;
pub(crate) mod date;
mod death;
mod error;
mod expiry;
mod four_letter;
mod handshake;
mod leftovers;
mod listener;
pub(crate) mod monitor;
mod outbound;
mod oversize;
mod stats;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub(crate) use connection::{Connection, ConnectionInfo};
pub(crate) use expiry::expire_sessions;
pub(crate) use leftovers::remove_leftovers;
pub(crate) use listener::serve;
pub(crate) use stats::Stats;

use crate::config::Config;
use crate::pipeline::Handle;
use crate::session::IdGenerator;
use crate::watch::WatcherId;

/// This server's number in session ids; a single server is 1.
const SERVER_ID: u8 = 1;

/// What all connections share.
pub(crate) struct Server {
    pub(crate) config: Arc<Config>,
    client_address: SocketAddr,
    pub(crate) pipeline: Handle,
    pub(crate) stats: Stats,
    pub(crate) clock: SharedClock,
    pub(crate) shutdown: Shutdown,
    session_ids: IdGenerator,
    /// The bound on requests in the pipeline; who gets none stops reading.
    outstanding: Arc<Semaphore>,
    connections: Mutex<HashMap<WatcherId, Weak<Connection>>>,
    places: Mutex<listener::Places>,
    next_id: AtomicU64,
}

impl Server {
    pub(crate) fn new(
        config: Arc<Config>,
        client_address: SocketAddr,
        pipeline: Handle,
        clock: SharedClock,
        shutdown: Shutdown,
    ) -> Self {
        let session_ids = pipeline.with_state(|state| {
            let known = state.sessions.keys().copied();
            IdGenerator::new(SERVER_ID, clock.wall_ms(), known)
        });
        Self {
            stats: Stats::new(clock.monotonic()),
            session_ids,
            outstanding: Arc::new(Semaphore::new(config.outstanding_max)),
            config,
            client_address,
            pipeline,
            clock,
            shutdown,
            connections: Mutex::default(),
            places: Mutex::default(),
            next_id: AtomicU64::new(1),
        }
    }

    fn next_connection_id(&self) -> WatcherId {
        WatcherId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// The open connections, in the order in which they came.
    pub(crate) fn connections(&self) -> Vec<ConnectionInfo> {
        let connections = self.connections.lock();
        let open = connections.values().filter_map(Weak::upgrade);
        let mut infos: Vec<_> = open.map(|connection| connection.info()).collect();
        infos.sort_by_key(|info| info.id);
        infos
    }

    /// What `crst` does.
    pub(crate) fn reset_connections(&self) {
        let connections = self.connections.lock();
        for connection in connections.values().filter_map(Weak::upgrade) {
            connection.traffic.reset();
        }
    }

    /// The port that clients connect to, also where any free one was wanted.
    pub(crate) fn client_port(&self) -> u16 {
        self.client_address.port()
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }

    /// Requests in the pipeline that are not answered yet.
    pub(crate) fn outstanding(&self) -> usize {
        let free = self.outstanding.available_permits();
        self.config.outstanding_max.saturating_sub(free)
    }
}
