//! The thread that prepares, commits and applies.
//!
//! While a batch is being synced the next one gathers in the queue, so the number
//! of requests that share one sync follows the load by itself.

use std::sync::Arc;
use std::time::Duration;

use common::zk::{ErrorCode, MultiResult};

use super::prepare::{Context, Refusal, prepare};
use super::request::{Answer, Client, Reply, Request, Write};
use super::solo::Proposer;
use super::view::View;
use super::{Handle, Shared, Submission, apply, read};
use crate::storage;
use crate::tree::Inconsistent;
use crate::txn::{Entry, Txn};

/// The most requests in one batch; it bounds how long a reader waits for the writer.
const BATCH_MAX: usize = 1000;

/// To so many clients the writer itself sends what a batch has for them.
const SENT_HERE_MAX: usize = 128;

/// How often it is seen whether a full disk has space again.
const DISK_FULL_RETRY: Duration = Duration::from_millis(500);

/// Why the pipeline ended on its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the transaction log failed: {0}")]
    Storage(#[from] storage::Error),
    #[error("a committed transaction cannot be applied: {0}")]
    Apply(#[from] Inconsistent),
}

/// Owns the order of all changes.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    proposer: Box<dyn Proposer>,
}

/// A submission with what preparing made of it.
struct Prepared {
    submission: Submission,
    /// A read has no entry; it is served when its turn comes.
    entry: Option<usize>,
    /// The reply to a multi that failed, which names its culprit.
    failed_multi: Option<Vec<MultiResult>>,
}

impl Writer {
    pub(crate) fn new(handle: &Handle, proposer: Box<dyn Proposer>) -> Self {
        Self {
            shared: Arc::clone(&handle.0),
            proposer,
        }
    }

    /// Works until it is stopped and the queue is empty, or until something fails.
    /// A failure answers nobody: what is not known to be committed is not told.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let outcome = self.work();
        // Whatever the reason, nothing is accepted from here on.
        let (unanswered, abandoned) = {
            let mut waiting = shared.queue.waiting.lock();
            waiting.stopped = true;
            let snapshots = std::mem::take(&mut waiting.snapshots);
            let submissions = std::mem::take(&mut waiting.submissions);
            ((submissions, snapshots), waiting.abandoned)
        };
        drop(unanswered);
        outcome?;
        if !abandoned {
            self.proposer.close()?;
        }
        Ok(())
    }

    fn work(&mut self) -> Result<(), Failure> {
        while let Some(batch) = self.next_batch() {
            self.process(batch)?;
            let wanted = std::mem::take(&mut self.shared.queue.waiting.lock().snapshots);
            if wanted.is_empty() && self.proposer.wants_snapshot() {
                self.proposer.snapshot(None)?;
            }
            for done in wanted {
                self.proposer.snapshot(Some(done))?;
            }
        }
        Ok(())
    }

    /// Waits for work; `None` when there is none and none will come.
    fn next_batch(&self) -> Option<Vec<Submission>> {
        let queue = &self.shared.queue;
        let mut waiting = queue.waiting.lock();
        while waiting.submissions.is_empty() && waiting.snapshots.is_empty() {
            if waiting.stopped {
                return None;
            }
            queue.arrived.wait(&mut waiting);
        }
        if waiting.submissions.len() <= BATCH_MAX {
            return Some(std::mem::take(&mut waiting.submissions));
        }
        let later = waiting.submissions.split_off(BATCH_MAX);
        Some(std::mem::replace(&mut waiting.submissions, later))
    }

    fn process(&mut self, batch: Vec<Submission>) -> Result<(), Failure> {
        let shared = Arc::clone(&self.shared);
        let (clock, metrics) = (&shared.clock, &shared.metrics);
        let begun = clock.monotonic();
        metrics.prep_processor_queue_size.add(batch.len() as u64);
        let mut entries = Vec::with_capacity(batch.len());
        let prepared = self.prepare(batch, &mut entries);
        let proposed = clock.monotonic();
        metrics.prep_process_time.add_time(proposed - begun);
        let mut committed = proposed;
        if !entries.is_empty() {
            self.commit(&entries)?;
            committed = clock.monotonic();
            metrics.synced(entries.len(), committed - proposed);
        }
        let mut told: Vec<Arc<dyn Client>> = Vec::new();
        for prepared in prepared {
            self.finish(&prepared, &entries, &mut told)?;
            if let Some(client) = prepared.submission.origin.client {
                apply::note(&mut told, client);
            }
        }
        wake(&told);
        let applying = clock.monotonic() - committed;
        metrics.proposal_process_time.add_time(applying);
        Ok(())
    }

    /// Makes a batch permanent. As long as the disk is full nobody is answered who
    /// wrote, but whoever only reads goes on.
    fn commit(&mut self, entries: &[Entry]) -> Result<(), Failure> {
        loop {
            let error = match self.proposer.propose(entries) {
                Err(error) if error.is_disk_full() => error,
                outcome => {
                    self.shared.set_trouble(None);
                    return Ok(outcome?);
                }
            };
            self.shared.set_trouble(Some(error.to_string()));
            let queue = &self.shared.queue;
            let mut waiting = queue.waiting.lock();
            if !waiting.stopped {
                queue.stopped.wait_for(&mut waiting, DISK_FULL_RETRY);
            }
            if waiting.stopped {
                return Err(error.into());
            }
        }
    }

    fn prepare(&self, batch: Vec<Submission>, entries: &mut Vec<Entry>) -> Vec<Prepared> {
        let state = self.shared.state.read();
        let mut view = View::new(&state.tree);
        let (time_ms, now) = (self.shared.clock.wall_ms(), self.shared.clock.monotonic());
        let mut zxid = state.zxid;
        let mut prepared = Vec::with_capacity(batch.len());
        for submission in batch {
            let Request::Write(write) = &submission.request else {
                prepared.push(Prepared {
                    submission,
                    entry: None,
                    failed_multi: None,
                });
                continue;
            };
            let context = Context {
                session: submission.origin.session.id,
                closing: submission.origin.session.is_closing(),
                ids: &submission.origin.ids,
                rules: &self.shared.rules,
                quotas: &self.shared.quotas,
                now,
            };
            let (txn, failed_multi) = match prepare(&mut view, context, write) {
                Ok(txn) => (txn, None),
                Err(refusal) => {
                    let code = refusal.code.code();
                    (Txn::Error { code }, multi_results(write, refusal))
                }
            };
            if matches!(write, Write::CloseSession) {
                submission.origin.session.set_closing();
            }
            // Requests that fail take a zxid too, as in ZooKeeper, and so must be
            // logged: a zxid that was told to a client is never given out again.
            zxid += 1;
            entries.push(Entry {
                zxid,
                session: submission.origin.session.id,
                cxid: submission.origin.xid,
                time_ms,
                txn,
            });
            prepared.push(Prepared {
                submission,
                entry: Some(entries.len() - 1),
                failed_multi,
            });
        }
        prepared
    }

    /// Applies and answers one request, or serves a read in its turn.
    fn finish(
        &self,
        prepared: &Prepared,
        entries: &[Entry],
        told: &mut Vec<Arc<dyn Client>>,
    ) -> Result<(), Failure> {
        let submission = &prepared.submission;
        let entry = match (&submission.request, prepared.entry) {
            (Request::Read(read), _) => {
                read::serve_queued(&self.shared, &submission.origin, read);
                return Ok(());
            }
            (Request::Write(_), Some(index)) => &entries[index],
            (Request::Write(_), None) => return Ok(()),
        };
        let outcome = apply::apply(&self.shared, entry, told)?;
        let result = match &prepared.failed_multi {
            Some(results) => Ok(Reply::Multi(results.clone())),
            None => apply::reply(outcome),
        };
        let result = result.map(|reply| self.about_session(submission, reply));
        let closed = matches!(result, Ok(Reply::Closed));
        if let Some(client) = &submission.origin.client {
            client.on_reply(Answer {
                xid: submission.origin.xid,
                zxid: entry.zxid,
                received: submission.origin.received,
                result,
                queued: true,
            });
        }
        if closed {
            apply::end_session(&self.shared, submission.origin.session.id);
        }
        Ok(())
    }

    /// The replies that say something about the session itself.
    fn about_session(&self, submission: &Submission, reply: Reply) -> Reply {
        match &submission.request {
            Request::Write(Write::CreateSession { timeout_ms }) => {
                let now = self.shared.clock.monotonic();
                let id = submission.origin.session.id;
                Reply::Session(self.shared.sessions.track(id, *timeout_ms, now))
            }
            Request::Write(Write::CloseSession) => Reply::Closed,
            _ => reply,
        }
    }
}

/// Sends what was queued. Many clients at once are shared with the other threads,
/// so that the next batch does not wait for all of them.
fn wake(told: &[Arc<dyn Client>]) {
    let (here, elsewhere) = told.split_at(told.len().min(SENT_HERE_MAX));
    elsewhere.iter().for_each(|client| client.wake_elsewhere());
    here.iter().for_each(|client| client.wake());
}

/// What a multi is told whose operation `refusal.multi_index` failed: the ones
/// before it would have worked, the ones after it were not tried.
fn multi_results(write: &Write, refusal: Refusal) -> Option<Vec<MultiResult>> {
    let (Write::Multi(ops), Some(culprit)) = (write, refusal.multi_index) else {
        return None;
    };
    let code_of = |index: usize| match index.cmp(&culprit) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => refusal.code.code(),
        std::cmp::Ordering::Greater => ErrorCode::RuntimeInconsistency.code(),
    };
    let results = (0..ops.len()).map(|index| MultiResult::Error(code_of(index)));
    Some(results.collect())
}
