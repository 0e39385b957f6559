//! What the server counts and times, under ZooKeeper's names.
//!
//! Flow: everything that happens adds to [`Metrics`]; `server` shows them beside the
//! numbers that it can look up (`mntr`), `admin` as JSON and for Prometheus.
//!
//! **Invariant:** a name means here what it means in ZooKeeper. What cannot happen on
//! a single server, or belongs to machinery that this one does without, is named in
//! `absent` and always zero.

mod absent;
mod summary;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub(crate) use summary::{Level, Snapshot, Summary, Unit};

/// Something that is only counted.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn increment(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// What a metric says at one moment.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    Whole(i64),
    Fraction(f64),
    Count(u64),
    Summary(Snapshot),
}

macro_rules! metrics {
    (
        counters { $( $(#[doc = $counter_doc:literal])* $counter:ident ),+ $(,)? }
        summaries { $( $(#[doc = $summary_doc:literal])* $summary:ident: $level:ident($unit:ident) ),+ $(,)? }
    ) => {
        /// Everything that is added to. The fields have the names that are shown.
        #[derive(Debug)]
        pub(crate) struct Metrics {
            $( $(#[doc = $counter_doc])* pub(crate) $counter: Counter, )+
            $( $(#[doc = $summary_doc])* pub(crate) $summary: Summary, )+
            /// Waits for the disk that were longer than they should be.
            slow_syncs: Counter,
            /// From how many microseconds on they are.
            slow_sync_us: AtomicU64,
        }

        impl Default for Metrics {
            fn default() -> Self {
                Self {
                    $( $counter: Counter::default(), )+
                    $( $summary: Summary::new(Level::$level, Unit::$unit), )+
                    slow_syncs: Counter::default(),
                    slow_sync_us: AtomicU64::new(u64::MAX),
                }
            }
        }

        impl Metrics {
            /// Sets all back, as `srst` does.
            pub(crate) fn reset(&self) {
                $( self.$counter.reset(); )+
                $( self.$summary.reset(); )+
            }

            fn own(&self) -> Vec<(&'static str, Reading)> {
                vec![
                    $( (stringify!($counter), Reading::Count(self.$counter.get())), )+
                    $( (stringify!($summary), Reading::Summary(self.$summary.read())), )+
                ]
            }
        }
    };
}

metrics! {
    counters {
        /// Received from clients, with their length fields.
        bytes_received_count,
        /// Sent to clients as replies.
        response_bytes,
        /// Sent to clients as events.
        watch_bytes,
        /// Requests for a session, old or new.
        connection_request_count,
        /// Sessions that were taken up again.
        connection_revalidate_count,
        /// Connections that there were too many of already.
        connection_rejected,
        /// Connections closed because they were given up.
        connection_drop_count,
        /// Connections that asked for no session in time.
        sessionless_connections_expired,
        /// Sessions whose clients were silent.
        stale_sessions_expired,
        /// Requests that went to the writer.
        prep_processor_request_queued,
        /// Transactions given to the log.
        sync_processor_request_queued,
        /// The end of the server that nobody asked for.
        unrecoverable_error_count,
        /// Requests for a snapshot over HTTP that came too soon.
        snapshot_rate_limited_count,
        /// Snapshots asked for over HTTP that failed.
        snapshot_error_count,
    }
    summaries {
        /// Reading all that is on the disk at the start.
        dbinittime: Basic(Time),
        startup_txns_loaded: Basic(Number),
        /// One batch on its way to the disk, from the first write until it is there.
        fsynctime: Basic(Time),
        /// Transactions in a batch.
        sync_processor_batch_size: Basic(Number),
        /// Making transactions of a batch of requests.
        prep_process_time: Basic(Time),
        /// Applying and answering a batch.
        proposal_process_time: Basic(Time),
        /// Requests that waited when the writer came for more.
        prep_processor_queue_size: Basic(Number),
        /// Clients told of one change.
        node_created_watch_count: Basic(Number),
        node_deleted_watch_count: Basic(Number),
        node_changed_watch_count: Basic(Number),
        node_children_watch_count: Basic(Number),
        /// From the last byte of a request to its reply, if it changes nothing.
        readlatency: Advanced(Time),
        /// The same of requests that go through the log.
        updatelatency: Advanced(Time),
        /// From a request's arrival to the moment when its change can be seen.
        propagation_latency: Advanced(Time),
        /// Waiting for the disk, seen from one batch.
        sync_processor_queue_flush_time_ms: Advanced(Time),
        /// How long this process did not run although it should have.
        jvm_pause_time_ms: Advanced(Time),
    }
}

impl Metrics {
    /// All metrics with their names, also those that are always zero.
    pub(crate) fn read(&self) -> Vec<(&'static str, Reading)> {
        let mut all = self.own();
        let counters = absent::COUNTERS.iter();
        all.extend(counters.map(|name| (*name, Reading::Count(0))));
        for (names, level) in [
            (absent::BASIC, Level::Basic),
            (absent::ADVANCED, Level::Advanced),
        ] {
            let empty = Snapshot::empty(level);
            let summaries = names.iter();
            all.extend(summaries.map(|name| (*name, Reading::Summary(empty.clone()))));
        }
        all
    }

    /// The latencies of all requests together.
    pub(crate) fn request_latency(&self) -> Snapshot {
        self.readlatency.read().merged(&self.updatelatency.read())
    }

    /// A batch of transactions took `time` to be safe.
    pub(crate) fn synced(&self, transactions: usize, time: Duration) {
        let transactions = transactions as u64;
        self.fsynctime.add_time(time);
        self.sync_processor_queue_flush_time_ms.add_time(time);
        self.sync_processor_batch_size.add(transactions);
        self.sync_processor_request_queued.add(transactions);
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if us > self.slow_sync_us.load(Relaxed) {
            self.slow_syncs.increment();
            let ms = us / 1000;
            tracing::warn!(
                ms,
                "waiting for the disk took long (fsync.warningthresholdms)"
            );
        }
    }

    /// From now on, waits for the disk that are longer than `limit` are noted.
    pub(crate) fn note_slow_syncs(&self, limit: Duration) {
        let us = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.slow_sync_us.store(us, Relaxed);
    }

    pub(crate) fn slow_syncs(&self) -> u64 {
        self.slow_syncs.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let read = Metrics::default().read();
        let mut names: Vec<_> = read.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_batch_is_seen_in_all_its_metrics() {
        let metrics = Metrics::default();
        metrics.synced(3, Duration::from_millis(2));
        assert_eq!(metrics.sync_processor_request_queued.get(), 3);
        assert_eq!(metrics.fsynctime.read().max(), 2.0);
        metrics.reset();
        assert_eq!(metrics.fsynctime.read().count(), 0);
    }
}
