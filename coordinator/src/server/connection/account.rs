//! What is counted of a connection, and what an operator is shown of it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::Connection;
use crate::pipeline::Arrival;
use crate::server::codec;
use crate::server::stats::TrafficInfo;
use crate::watch::WatcherId;

/// What the operator is shown of a connection.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    pub(crate) id: WatcherId,
    pub(crate) peer: SocketAddr,
    pub(crate) queued: usize,
    pub(crate) session: Option<i64>,
    pub(crate) timeout_ms: i32,
    /// When the session's timeout has passed, by the monotonic clock.
    pub(crate) deadline_ms: Option<u64>,
    /// By the wall clock.
    pub(crate) established_ms: i64,
    pub(crate) traffic: TrafficInfo,
}

impl ConnectionInfo {
    /// What ZooKeeper shows between brackets: whether requests are read.
    pub(crate) fn interest_ops(&self) -> i32 {
        i32::from(self.session.is_some())
    }
}

impl Connection {
    pub(in crate::server) fn info(&self) -> ConnectionInfo {
        let session = self.session.get();
        ConnectionInfo {
            id: self.id,
            peer: self.peer,
            queued: self.pending.load(Ordering::Relaxed),
            session: session.map(|session| session.id),
            timeout_ms: session.map_or(0, |session| session.timeout_ms()),
            deadline_ms: session.map(|session| session.deadline_ms()),
            established_ms: self.established_ms,
            traffic: self.traffic.read(),
        }
    }

    /// A frame of so many bytes, or a word, has arrived.
    pub(in crate::server) fn count_received(&self, bytes: usize) {
        self.traffic.received.increment();
        self.server.stats.received.increment();
        let metrics = self.server.pipeline.metrics();
        metrics.bytes_received_count.add(bytes as u64);
    }

    pub(in crate::server) fn count_sent(&self) {
        self.traffic.sent.increment();
        self.server.stats.sent.increment();
    }

    pub(super) fn count_answered(&self, xid: i32, zxid: i64, arrival: Arrival) {
        let now = self.server.clock.monotonic();
        self.traffic.answered(xid, zxid, arrival, now);
        let latency = now.saturating_sub(arrival.at);
        let metrics = self.server.pipeline.metrics();
        match arrival.op {
            Some(op) if codec::is_write(op) => {
                metrics.updatelatency.add_time(latency);
                metrics.propagation_latency.add_time(latency);
            }
            _ => metrics.readlatency.add_time(latency),
        }
    }

    /// A client whose limit is the same as the server's cannot read such a reply.
    pub(super) fn note_large_reply(&self, xid: i32, size: usize) {
        self.server.stats.large_replies.increment();
        tracing::warn!(
            peer = %self.peer,
            xid,
            "a reply of {size} bytes is larger than jute.maxbuffer; its client may not take it"
        );
    }
}
