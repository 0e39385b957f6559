//! The thread that writes snapshots, one after the other.
//!
//! **Invariant:** a snapshot that fails costs nothing but itself: the older ones
//! and all logs are still there, and files are deleted only after a success.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::merge::Merge;
use super::{Error, recovery};

/// The priority of the thread: lower than that of those who answer clients.
const NICENESS: i32 = 10;

/// Who wants to know of a snapshot is told its file, or why there is none.
pub(crate) type Done = Box<dyn FnOnce(Result<PathBuf, Error>) + Send>;

struct Job {
    zxid: i64,
    done: Option<Done>,
}

/// Where the files are, and how many stay.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) snapshot_dir: PathBuf,
    pub(super) log_dir: PathBuf,
    pub(super) retain: usize,
}

#[derive(Debug, Default)]
struct Progress {
    /// Jobs that are not finished.
    waiting: AtomicUsize,
    cancelled: AtomicBool,
    /// The length of the newest snapshot.
    newest_len: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Snapshotter {
    jobs: Option<mpsc::Sender<Job>>,
    progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl Snapshotter {
    pub(super) fn start(place: Place) -> std::io::Result<Self> {
        let progress = Arc::new(Progress::default());
        let newest = recovery::snapshots(&place.snapshot_dir).ok();
        if let Some((_, path)) = newest.and_then(|mut all| all.pop()) {
            note_len(&progress, &path);
        }
        // Bounded by its users: the writer asks only when none is being written,
        // an operator waits for what he asked for.
        let (jobs, queue) = mpsc::channel::<Job>();
        let shared = Arc::clone(&progress);
        let run = move || {
            yield_to_others();
            for job in queue {
                let outcome = carry_out(&place, job.zxid, &shared);
                shared.waiting.fetch_sub(1, Ordering::AcqRel);
                if let Some(done) = job.done {
                    done(outcome);
                }
            }
        };
        let thread = std::thread::Builder::new().name("snapshot".into());
        Ok(Self {
            jobs: Some(jobs),
            progress,
            thread: Some(thread.spawn(run)?),
        })
    }

    /// Has the snapshot written that ends with `zxid`; the log behind it has begun.
    pub(super) fn write(&self, zxid: i64, done: Option<Done>) {
        self.progress.waiting.fetch_add(1, Ordering::AcqRel);
        if let Some(jobs) = &self.jobs
            && jobs.send(Job { zxid, done }).is_err()
        {
            self.progress.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.progress.waiting.load(Ordering::Acquire) > 0
    }

    pub(super) fn newest_len(&self) -> u64 {
        self.progress.newest_len.load(Ordering::Relaxed)
    }

    /// Waits for what is under way.
    #[cfg(test)]
    pub(super) fn finish(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Snapshotter {
    /// Gives up what is under way.
    fn drop(&mut self) {
        self.progress.cancelled.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Writing snapshots has time; on Linux this is about the calling thread alone.
fn yield_to_others() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "snapshots are written with the priority of all else");
    }
}

fn note_len(progress: &Progress, path: &std::path::Path) {
    let len = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    progress.newest_len.store(len, Ordering::Relaxed);
}

fn carry_out(place: &Place, zxid: i64, progress: &Progress) -> Result<PathBuf, Error> {
    let merge = Merge {
        snapshot_dir: &place.snapshot_dir,
        log_dir: &place.log_dir,
        zxid,
        cancelled: &progress.cancelled,
    };
    let path = merge.write().inspect_err(|error| match error {
        Error::Cancelled => tracing::debug!("the snapshot under way is given up"),
        error => tracing::error!(%error, "no snapshot was written; the logs are kept"),
    })?;
    note_len(progress, &path);
    if let Err(error) = recovery::purge(&place.snapshot_dir, &place.log_dir, place.retain) {
        tracing::warn!(%error, "old files could not be deleted");
    }
    Ok(path)
}
