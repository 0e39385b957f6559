//! Closes the session of a client whose process is proved to be dead.
//!
//! ZooKeeper waits for the session's timeout, since a connection that ends says
//! nothing: a client reconnects. A client that listens at a port as long as its
//! process lives may say so in its handshake (real servers ignore what follows
//! the handshake's fields, so it is never more than haste). When its connection
//! ends, the port is knocked at; if its host answers that nobody listens there,
//! the session is closed as by its expiry.
//!
//! Both proofs come from the kernel of the client's host: it ends a connection
//! (FIN or RST) when the process closes the socket or ceases, and refuses a
//! connection when no process listens. A process that is paused or swapped out
//! closes nothing and still accepts; one that cannot be reached sends no FIN and
//! refuses nothing. Either keeps its session until the timeout.
//!
//! What could deceive is something in between that ends connections and refuses
//! new ones in the client's name, such as an address translator without the
//! port; so a port counts only if it answered once while the session was in
//! use. Were a session closed beside a living client all the same, it would be
//! no worse than an expiry during a pause: the client's ephemeral nodes go, it
//! hears of it when it reconnects, and those who replaced it are told apart by
//! their epochs. For brokers that means: no record is lost, since followers
//! leave a leader with the new leader epoch, and without them it commits
//! nothing.
//!
//! **Invariant:** a session is closed only after its last connection was ended
//! by the client, nobody took it up again, and the port refused.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::net;
use common::task;

use super::{Server, expiry};
use crate::session::Session;

/// When the port is knocked at after the connection ended. A dying process
/// closes one socket after the other, so the port may answer for a moment.
const KNOCKS_AFTER_MS: [u64; 6] = [0, 5, 20, 75, 200, 700];
/// How long an answer may take.
const KNOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The port at which a client's process listens while it lives.
#[derive(Debug)]
pub(super) struct Listens {
    at: SocketAddr,
    answered: AtomicBool,
}

/// What a knock tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knock {
    Answered,
    /// The host lives and nobody listens.
    Refused,
    Unknown,
}

impl Listens {
    /// Knocks once, so that the port may count later.
    pub(super) fn at(address: SocketAddr) -> Arc<Self> {
        let listens = Arc::new(Self {
            at: address,
            answered: AtomicBool::new(false),
        });
        let this = Arc::clone(&listens);
        task::spawn("knock", async move {
            let answered = knock(this.at).await == Knock::Answered;
            this.answered.store(answered, Ordering::Release);
        });
        listens
    }
}

/// The client ended the last connection of `session`: closes the session if its
/// process is dead.
pub(super) fn investigate(server: &Arc<Server>, session: Arc<Session>, listens: Arc<Listens>) {
    if !listens.answered.load(Ordering::Acquire) {
        return;
    }
    let server = Arc::clone(server);
    task::spawn("investigate", async move {
        let shutdown = server.shutdown.clone();
        tokio::select! {
            () = shutdown.requested() => {}
            is_dead = is_dead(&server, &session, listens.at) => if is_dead {
                tracing::info!(
                    session = format_args!("{:#x}", session.id),
                    address = %listens.at,
                    "the session's process is dead: it ended its connection and its port refuses"
                );
                expiry::close(&server, session, server.clock.monotonic());
            }
        }
    });
}

async fn is_dead(server: &Server, session: &Session, address: SocketAddr) -> bool {
    let mut waited = 0;
    for after in KNOCKS_AFTER_MS {
        tokio::time::sleep(Duration::from_millis(after - waited)).await;
        waited = after;
        let knock = knock(address).await;
        // Looked at after the knock: whoever came back meanwhile is alive.
        if session.is_closing() || server.pipeline.is_attached(session.id) {
            return false;
        }
        match knock {
            Knock::Refused => return true,
            Knock::Answered => {}
            Knock::Unknown => return false,
        }
    }
    false
}

async fn knock(address: SocketAddr) -> Knock {
    let connecting = net::connect_to(address);
    match tokio::time::timeout(KNOCK_TIMEOUT, connecting).await {
        Ok(Ok(_)) => Knock::Answered,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Knock::Refused,
        Ok(Err(_)) | Err(_) => Knock::Unknown,
    }
}
