//! Closes the sessions whose clients are silent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Server;
use crate::pipeline::{Origin, Request, Submission, Write};
use crate::session::Session;

/// The longest pause between two looks at the clock.
const STEP_MAX: Duration = Duration::from_millis(500);
/// A pause this much longer than asked for means that this process did not run:
/// it was stopped, swapped out or starved. Its clients could not reach it.
const STALL_MIN: Duration = Duration::from_millis(100);

/// Runs until a stop is requested.
pub(crate) async fn expire_sessions(server: Arc<Server>) {
    let step = server.config.tick.min(STEP_MAX);
    let mut before = server.clock.monotonic();
    loop {
        tokio::select! {
            () = tokio::time::sleep(step) => {}
            () = server.shutdown.requested() => return,
        }
        let now = server.clock.monotonic();
        let stall = stall(now.saturating_sub(before), step);
        before = now;
        let sessions = server.pipeline.sessions();
        if !stall.is_zero() {
            let ms = i64::try_from(stall.as_millis()).unwrap_or(i64::MAX);
            server.stats.stall_ms.fetch_add(ms, Ordering::Relaxed);
            tracing::warn!(
                ms,
                "this process did not run; the sessions get that much longer"
            );
            sessions.stalled(stall, now);
        }
        for session in sessions.expired(now) {
            tracing::info!(
                session = format_args!("{:#x}", session.id),
                timeout_ms = session.timeout_ms(),
                "session expired"
            );
            let metrics = server.pipeline.metrics();
            metrics.stale_sessions_expired.increment();
            close(&server, session, now);
        }
    }
}

/// How much of a pause was not asked for, if it was enough to matter.
fn stall(pause: Duration, asked: Duration) -> Duration {
    let excess = pause.saturating_sub(asked);
    if excess < STALL_MIN {
        return Duration::ZERO;
    }
    excess
}

/// Closes `session` as its own request would.
pub(super) fn close(server: &Server, session: Arc<Session>, now: Duration) {
    // From here on nothing is accepted from it, so it cannot be touched alive again.
    session.set_closing();
    let submission = Submission {
        origin: Origin {
            client: None,
            session,
            xid: 0,
            ids: Arc::from([]),
            received: now.into(),
        },
        request: Request::Write(Write::CloseSession),
        _permit: None,
    };
    if server.pipeline.submit(submission).is_err() {
        tracing::debug!("stopping: the session is closed after the next start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pause_that_matters_is_a_stall() {
        let ms = Duration::from_millis;
        assert_eq!(stall(ms(200), ms(200)), ms(0));
        assert_eq!(stall(ms(250), ms(200)), ms(0));
        assert_eq!(stall(ms(600), ms(200)), ms(400));
        assert_eq!(stall(ms(20_200), ms(200)), ms(20_000));
    }
}
