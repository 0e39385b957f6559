//! What the server and each of its connections count about requests.
//!
//! **Invariant:** counting is a few relaxed atomics, most of them of one connection;
//! what is shown may be a moment old and not quite of one moment.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use common::zk::OpCode;

use crate::metrics::Counter;
use crate::pipeline::Arrival;

/// ZooKeeper's default for the trace mask, which changes nothing here.
const TRACE_MASK: i64 = 0o462;
const NONE: i64 = -1;

/// Counters of this process that are no metrics of their own.
#[derive(Debug)]
pub(crate) struct Stats {
    started: Duration,
    pub(super) received: Counter,
    pub(super) sent: Counter,
    pub(super) auth_failed: Counter,
    pub(crate) response_sizes: Sizes,
    /// Requests beyond `jute.maxbuffer`.
    pub(crate) large_requests: Counter,
    /// Replies beyond it.
    pub(crate) large_replies: Counter,
    pub(crate) trace_mask: AtomicI64,
    pub(crate) stall_ms: AtomicI64,
}

impl Stats {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            started: now,
            received: Counter::default(),
            sent: Counter::default(),
            auth_failed: Counter::default(),
            response_sizes: Sizes::default(),
            large_requests: Counter::default(),
            large_replies: Counter::default(),
            trace_mask: AtomicI64::new(TRACE_MASK),
            stall_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(crate) fn auth_failed(&self) -> u64 {
        self.auth_failed.get()
    }

    pub(crate) fn uptime(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started)
    }

    /// What `srst` sets back here.
    pub(super) fn reset(&self) {
        self.received.reset();
        self.sent.reset();
        self.response_sizes.reset();
    }
}

/// The last, least and greatest size of a reply; −1 before the first.
#[derive(Debug)]
pub(crate) struct Sizes {
    last: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            last: AtomicI64::new(NONE),
            min: AtomicI64::new(NONE),
            max: AtomicI64::new(NONE),
        }
    }
}

impl Sizes {
    pub(super) fn add(&self, size: usize) {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        self.last.store(size, Relaxed);
        if size > self.max.load(Relaxed) {
            self.max.fetch_max(size, Relaxed);
        }
        let min = self.min.load(Relaxed);
        if min == NONE || size < min {
            self.min.store(size, Relaxed);
        }
    }

    /// Last, least and greatest.
    pub(crate) fn read(&self) -> (i64, i64, i64) {
        let load = |size: &AtomicI64| size.load(Relaxed);
        (load(&self.last), load(&self.min), load(&self.max))
    }

    fn reset(&self) {
        for size in [&self.last, &self.min, &self.max] {
            size.store(NONE, Relaxed);
        }
    }
}

/// What one connection has seen since it was established, or since `crst`.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) received: Counter,
    pub(super) sent: Counter,
    /// A number in [`OpCode::ALL`], or −1.
    last_op: AtomicI64,
    last_xid: AtomicI64,
    last_zxid: AtomicI64,
    last_response_ms: AtomicU64,
    latency_us_last: AtomicU64,
    latency_us_min: AtomicU64,
    latency_us_max: AtomicU64,
    latency_us_sum: AtomicU64,
    answered: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            received: Counter::default(),
            sent: Counter::default(),
            last_op: AtomicI64::new(NONE),
            last_xid: AtomicI64::new(NONE),
            last_zxid: AtomicI64::new(NONE),
            last_response_ms: AtomicU64::new(0),
            latency_us_last: AtomicU64::new(0),
            latency_us_min: AtomicU64::new(u64::MAX),
            latency_us_max: AtomicU64::new(0),
            latency_us_sum: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        }
    }
}

/// The same, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrafficInfo {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// ZooKeeper's tag for the operation, `NA` before the first.
    pub(crate) last_op: &'static str,
    pub(crate) last_xid: i64,
    pub(crate) last_zxid: i64,
    /// By the monotonic clock.
    pub(crate) last_response_ms: u64,
    pub(crate) latency_ms_last: u64,
    pub(crate) latency_ms_min: u64,
    pub(crate) latency_ms_avg: u64,
    pub(crate) latency_ms_max: u64,
}

impl Traffic {
    /// A request was answered at `now`.
    pub(super) fn answered(&self, xid: i32, zxid: i64, arrival: Arrival, now: Duration) {
        let latency = now.saturating_sub(arrival.at);
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX >> 1);
        // The special ones say nothing about how far the client is.
        if xid >= 0 {
            self.last_xid.store(i64::from(xid), Relaxed);
        }
        let op = arrival.op.map_or(NONE, |op| i64::from(op.code()));
        self.last_op.store(op, Relaxed);
        self.last_zxid.store(zxid, Relaxed);
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.last_response_ms.store(now_ms, Relaxed);
        self.latency_us_last.store(us, Relaxed);
        if us < self.latency_us_min.load(Relaxed) {
            self.latency_us_min.store(us, Relaxed);
        }
        if us > self.latency_us_max.load(Relaxed) {
            self.latency_us_max.store(us, Relaxed);
        }
        self.latency_us_sum.fetch_add(us, Relaxed);
        self.answered.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> TrafficInfo {
        let ms = |us: &AtomicU64| us.load(Relaxed) / 1000;
        let answered = self.answered.load(Relaxed);
        let op = i32::try_from(self.last_op.load(Relaxed)).unwrap_or(0);
        TrafficInfo {
            received: self.received.get(),
            sent: self.sent.get(),
            last_op: OpCode::from_code(op).map_or("NA", tag),
            last_xid: self.last_xid.load(Relaxed),
            last_zxid: self.last_zxid.load(Relaxed),
            last_response_ms: self.last_response_ms.load(Relaxed),
            latency_ms_last: ms(&self.latency_us_last),
            latency_ms_min: match answered {
                0 => 0,
                _ => ms(&self.latency_us_min),
            },
            latency_ms_avg: ms(&self.latency_us_sum).checked_div(answered).unwrap_or(0),
            latency_ms_max: ms(&self.latency_us_max),
        }
    }

    pub(super) fn reset(&self) {
        self.received.reset();
        self.sent.reset();
        for number in [&self.last_op, &self.last_xid, &self.last_zxid] {
            number.store(NONE, Relaxed);
        }
        let Self {
            last_response_ms,
            latency_us_last,
            latency_us_max,
            latency_us_sum,
            answered,
            ..
        } = self;
        for number in [
            last_response_ms,
            latency_us_last,
            latency_us_max,
            latency_us_sum,
            answered,
        ] {
            number.store(0, Relaxed);
        }
        self.latency_us_min.store(u64::MAX, Relaxed);
    }
}

/// ZooKeeper's names for operations in the list of connections.
fn tag(op: OpCode) -> &'static str {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => "CREA",
        OpCode::Delete | OpCode::DeleteContainer => "DELE",
        OpCode::Exists => "EXIS",
        OpCode::GetData => "GETD",
        OpCode::SetData => "SETD",
        OpCode::GetAcl => "GETA",
        OpCode::SetAcl => "SETA",
        OpCode::GetChildren | OpCode::GetChildren2 => "GETC",
        OpCode::GetAllChildrenNumber => "GETACN",
        OpCode::Sync => "SYNC",
        OpCode::Ping => "PING",
        OpCode::Check => "CHEC",
        OpCode::Multi => "MULT",
        OpCode::MultiRead => "MLTR",
        OpCode::Reconfig => "RECO",
        OpCode::CheckWatches => "CHKW",
        OpCode::RemoveWatches => "REMW",
        OpCode::SetWatches => "SETW",
        OpCode::SetWatches2 => "STW2",
        OpCode::AddWatch => "ADDW",
        OpCode::GetEphemerals => "GETE",
        OpCode::WhoAmI => "HOMI",
        OpCode::CreateSession => "SESS",
        OpCode::CloseSession => "CLOS",
        OpCode::Auth | OpCode::Sasl => "NA",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_knows_its_last_answer_and_its_latencies() {
        let traffic = Traffic::default();
        assert_eq!(traffic.read().last_op, "NA");
        assert_eq!(traffic.read().last_xid, -1);
        let arrival = |ms, op| Arrival {
            at: Duration::from_millis(ms),
            op: Some(op),
        };
        let now = Duration::from_millis;
        traffic.answered(7, 9, arrival(100, OpCode::Create2), now(104));
        traffic.answered(-2, 10, arrival(110, OpCode::Ping), now(112));
        let read = traffic.read();
        assert_eq!(
            (read.last_op, read.last_xid, read.last_zxid),
            ("PING", 7, 10)
        );
        assert_eq!(read.last_response_ms, 112);
        let latencies = (
            read.latency_ms_min,
            read.latency_ms_avg,
            read.latency_ms_max,
        );
        assert_eq!(latencies, (2, 3, 4));
        traffic.reset();
        let read = traffic.read();
        assert_eq!(
            (read.last_op, read.last_xid, read.latency_ms_min),
            ("NA", -1, 0)
        );
    }

    #[test]
    fn sizes_are_unknown_before_the_first() {
        let sizes = Sizes::default();
        assert_eq!(sizes.read(), (-1, -1, -1));
        for size in [16, 91, 35] {
            sizes.add(size);
        }
        assert_eq!(sizes.read(), (35, 16, 91));
    }
}
