//! Carries out committed transactions, and tells the watchers.

use std::sync::Arc;

use common::zk::{Create2Response, ErrorCode, MultiResult, PathResponse, StatResponse, perms};

use super::request::{Client, Event, Reply};
use super::{Shared, Watching};
use crate::metrics::Metrics;
use crate::tree::Inconsistent;
use crate::tree::acl::Access;
use crate::txn::{Effect, Entry, Outcome};
use crate::watch::Change;

/// Applies one entry. The events are queued before anybody can read the new state.
pub(super) fn apply(
    shared: &Shared,
    entry: &Entry,
    told: &mut Vec<Arc<dyn Client>>,
) -> Result<Outcome, Inconsistent> {
    let mut state = shared.state.write();
    let applied = state.apply(entry)?;
    if !applied.effects.is_empty() {
        let mut watching = shared.watching.lock();
        for effect in &applied.effects {
            let count = watching.tell(&shared.rules.access, effect, entry.zxid, told);
            count_told(&shared.metrics, effect.change, count);
        }
    }
    Ok(applied.outcome)
}

impl Watching {
    fn tell(
        &mut self,
        access: &Access,
        effect: &Effect,
        zxid: i64,
        told: &mut Vec<Arc<dyn Client>>,
    ) -> usize {
        let watchers = self.registry.trigger(&effect.path, effect.change);
        for watcher in &watchers {
            let Some(client) = self.clients.get(watcher) else {
                continue;
            };
            // Who may not read a node is not told of it either.
            if access
                .check(&effect.acl, perms::READ, &client.ids())
                .is_err()
            {
                continue;
            }
            client.on_event(Event {
                event_type: effect.change.event_type(),
                path: &effect.path,
                zxid,
            });
            note(told, Arc::clone(client));
        }
        watchers.len()
    }
}

/// A change that nobody watched is no value of the metric, as in ZooKeeper.
fn count_told(metrics: &Metrics, change: Change, count: usize) {
    if count == 0 {
        return;
    }
    let metric = match change {
        Change::Created => &metrics.node_created_watch_count,
        Change::Deleted => &metrics.node_deleted_watch_count,
        Change::DataChanged => &metrics.node_changed_watch_count,
        Change::ChildrenChanged => &metrics.node_children_watch_count,
    };
    metric.add(count as u64);
}

/// Adds a client to those to be woken, unless it was the last one added: the same
/// client often comes several times in a row, and waking it twice is harmless.
pub(super) fn note(told: &mut Vec<Arc<dyn Client>>, client: Arc<dyn Client>) {
    let last = told.last().map(|client| client.watcher_id());
    if last != Some(client.watcher_id()) {
        told.push(client);
    }
}

/// The session is over: nobody may use it, and its connection ends.
pub(super) fn end_session(shared: &Shared, session: i64) {
    shared.sessions.remove(session);
    let mut watching = shared.watching.lock();
    if let Some(client) = watching.by_session.remove(&session) {
        watching.forget(client.watcher_id());
        client.close();
    }
}

/// The reply that an outcome makes.
pub(super) fn reply(outcome: Outcome) -> Result<Reply, ErrorCode> {
    Ok(match outcome {
        Outcome::Error(code) => {
            return Err(ErrorCode::from_code(code).unwrap_or(ErrorCode::SystemError));
        }
        Outcome::Done | Outcome::Checked | Outcome::Deleted => Reply::Nothing,
        Outcome::Created { path, stat: None } => Reply::Path(path),
        Outcome::Created {
            path,
            stat: Some(stat),
        } => Reply::PathStat(path, stat),
        Outcome::Stat(stat) => Reply::Stat(stat),
        Outcome::Multi(parts) => Reply::Multi(parts.into_iter().map(multi_result).collect()),
    })
}

fn multi_result(outcome: Outcome) -> MultiResult {
    match outcome {
        Outcome::Error(code) => MultiResult::Error(code),
        Outcome::Done | Outcome::Checked => MultiResult::Check,
        Outcome::Deleted => MultiResult::Delete,
        Outcome::Created { path, stat: None } => MultiResult::Create(PathResponse { path }),
        Outcome::Created {
            path,
            stat: Some(stat),
        } => MultiResult::Create2(Create2Response { path, stat }),
        Outcome::Stat(stat) => MultiResult::SetData(StatResponse { stat }),
        // A multi has no multis inside; its decoder knows none.
        Outcome::Multi(_) => MultiResult::Error(ErrorCode::SystemError.code()),
    }
}
