//! What a broker does from time to time: flush, clean up, write checkpoints.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use common::config::Values;
use common::shutdown::Shutdown;
use common::task;
use tokio::task::JoinHandle;

use crate::config::millis;
use crate::log;
use crate::model::{Offset, TopicPartition};
use crate::replica;

/// The longest time between two rounds: intervals that mean "never" stay
/// within what timers can hold.
const INTERVAL_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// How often deleted files are looked for.
const CLEANUP_MAX: Duration = Duration::from_secs(30);
/// How often logs are looked at for `flush.ms` and rolled segments.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// What the rounds work on.
#[derive(Clone)]
pub(super) struct Maintenance {
    pub(super) logs: Arc<log::Manager>,
    pub(super) replicas: Arc<replica::Manager>,
    pub(super) clock: SharedClock,
}

impl Maintenance {
    pub(super) fn new(
        logs: &Arc<log::Manager>,
        replicas: &Arc<replica::Manager>,
        clock: &SharedClock,
    ) -> Self {
        Self {
            logs: logs.clone(),
            replicas: replicas.clone(),
            clock: clock.clone(),
        }
    }

    /// Starts every periodic task.
    pub(super) fn start(&self, values: &Values, stop: &Shutdown) -> Vec<JoinHandle<()>> {
        let ms = |name| millis(values, name);
        let flush = ms("log.flush.scheduler.interval.ms").min(FLUSH_MAX);
        let retention = ms("log.retention.check.interval.ms");
        let recovery = int_millis(values, "log.flush.offset.checkpoint.interval.ms");
        let starts = int_millis(values, "log.flush.start.offset.checkpoint.interval.ms");
        let producers = int_millis(values, "producer.id.expiration.check.interval.ms");
        let watermarks = ms("replica.high.watermark.checkpoint.interval.ms");
        vec![
            self.every(flush, stop, Self::flush),
            self.every(retention, stop, Self::apply_retention),
            self.every(retention.min(CLEANUP_MAX), stop, Self::remove_deleted),
            self.every(recovery, stop, Self::checkpoint_recovery_points),
            self.every(starts, stop, Self::checkpoint_log_starts),
            self.every(producers, stop, Self::forget_producers),
            self.every(watermarks, stop, Self::checkpoint_high_watermarks),
        ]
    }

    fn every(&self, interval: Duration, stop: &Shutdown, work: fn(&Self)) -> JoinHandle<()> {
        const INTERVAL_MIN: Duration = Duration::from_millis(100);
        let interval = interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        let (this, stop) = (self.clone(), stop.clone());
        task::spawn("maintenance", async move {
            loop {
                tokio::select! {
                    () = stop.requested() => return,
                    () = tokio::time::sleep(interval) => {}
                }
                let this = this.clone();
                if let Err(error) = task::spawn_blocking("maintenance", move || work(&this)).await {
                    tracing::error!(%error, "a maintenance round failed");
                }
            }
        })
    }

    fn flush(&self) {
        for (partition, error) in self.logs.flush_dirty(self.clock.wall_ms()) {
            tracing::error!(%partition, %error, "the log cannot be flushed");
        }
    }

    fn apply_retention(&self) {
        self.cleanup(&|id| {
            let partition = self.replicas.partition(id).ok()?;
            Some(partition.high_watermark())
        });
    }

    /// Files whose deletion is due; without a high watermark nothing else goes.
    fn remove_deleted(&self) {
        self.cleanup(&|_| None);
    }

    fn cleanup(&self, high_watermark: &dyn Fn(&TopicPartition) -> Option<Offset>) {
        for (partition, error) in self.logs.cleanup(self.clock.wall_ms(), high_watermark) {
            tracing::error!(%partition, %error, "old segments cannot be deleted");
        }
    }

    fn forget_producers(&self) {
        self.logs.remove_expired_producers(self.clock.wall_ms());
    }

    pub(super) fn checkpoint_recovery_points(&self) {
        report("recovery points", self.logs.checkpoint_recovery_points());
    }

    pub(super) fn checkpoint_log_starts(&self) {
        report(
            "log start offsets",
            self.logs.checkpoint_log_start_offsets(),
        );
    }

    pub(super) fn checkpoint_high_watermarks(&self) {
        let high_watermarks = self.replicas.high_watermarks();
        let written = self.logs.checkpoint_high_watermarks(&high_watermarks);
        report("high watermarks", written);
    }
}

fn int_millis(values: &Values, name: &str) -> Duration {
    Duration::from_millis(u64::try_from(values.i32(name)).unwrap_or(0))
}

fn report(what: &str, written: Result<(), log::CheckpointError>) {
    if let Err(error) = written {
        tracing::error!(%error, "{what} cannot be written down");
    }
}
