//! Removes the nodes that are no longer needed: containers that have become
//! empty, and TTL nodes whose time is over.
//!
//! Each removal is a transaction of its own, prepared like a client's request: a
//! node that was used again in the meantime stays.

use std::sync::Arc;
use std::time::Duration;

use super::Server;
use crate::pipeline::{Origin, Request, Submission, Write};
use crate::session::Session;
use crate::tree::{Leftover, Look};

/// Who asks for what the server itself wants.
const NO_SESSION: i64 = 0;

/// Runs until a stop is requested.
pub(crate) async fn remove_leftovers(server: Arc<Server>) {
    let config = server.config.leftovers;
    let pause = Duration::from_secs(60) / config.per_minute_max.max(1);
    loop {
        if stopped_within(&server, config.check_interval).await {
            return;
        }
        let mut look = Look::default();
        while !look.is_over {
            let (now_ms, never_used_ms) = (server.clock.wall_ms(), config.never_used_ms_max);
            let leftovers = server
                .pipeline
                .with_state(|state| state.tree.leftovers(&mut look, now_ms, never_used_ms));
            for leftover in leftovers {
                tracing::info!(path = leftover.path, "removing a node that is not needed");
                if !submit(&server, leftover).await || stopped_within(&server, pause).await {
                    return;
                }
            }
        }
    }
}

async fn stopped_within(server: &Server, pause: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => false,
        () = server.shutdown.requested() => true,
    }
}

/// Queues the removal; says whether anybody still takes it.
async fn submit(server: &Server, leftover: Leftover) -> bool {
    let permits = Arc::clone(&server.outstanding);
    let Ok(permit) = permits.acquire_owned().await else {
        return false;
    };
    let submission = Submission {
        origin: Origin {
            client: None,
            session: Session::requested(NO_SESSION, 0),
            xid: 0,
            ids: Arc::from([]),
            received: server.clock.monotonic().into(),
        },
        request: Request::Write(Write::DeleteLeftover(leftover)),
        _permit: Some(permit),
    };
    server.pipeline.submit(submission).is_ok()
}
