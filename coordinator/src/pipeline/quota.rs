//! Whether a change fits the quota that it falls under.
//!
//! What the same batch changes counts already, so that nobody exceeds a quota by
//! sending faster. Within one multi it does not, as in ZooKeeper.

use std::collections::HashMap;
use std::time::Duration;

use common::zk::ErrorCode;
use parking_lot::Mutex;

use crate::tree::quota::Track;

/// A quota that stays exceeded is reported this often.
const REPORT_PAUSE: Duration = Duration::from_secs(15 * 60);
/// So many quotas are remembered as reported, then all are forgotten.
const REPORTED_MAX: usize = 1000;

/// By how much a change moves the statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) count: i64,
    pub(super) bytes: i64,
}

impl Growth {
    pub(super) fn of_new_node(bytes: usize) -> Self {
        Self {
            count: 1,
            bytes: signed(bytes),
        }
    }

    pub(super) fn of_change(before: usize, after: usize) -> Self {
        Self {
            count: 0,
            bytes: signed(after) - signed(before),
        }
    }
}

impl Growth {
    pub(super) fn of_deletion(bytes: usize) -> Self {
        Self {
            count: -1,
            bytes: -signed(bytes),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// A quota and what is used of it.
#[derive(Debug)]
pub(super) struct Quota {
    /// The path that it is set on.
    pub(super) about: String,
    pub(super) limits: Track,
    pub(super) used: Track,
    /// What will be used besides, when what is under way is carried out.
    pub(super) pending: Growth,
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A limit that a change would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Excess {
    what: &'static str,
    would_be: i64,
    limit: i64,
    is_hard: bool,
}

/// Checks quotas, and remembers which excess was reported when.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    reported: Mutex<HashMap<String, Duration>>,
}

impl Quotas {
    /// Reports what exceeds a quota, and refuses it if the quota is hard and
    /// quotas are enforced.
    pub(super) fn check(
        &self,
        quota: &Quota,
        growth: Growth,
        (enforce, now): (bool, Duration),
    ) -> Result<(), ErrorCode> {
        let about = &quota.about;
        for excess in excesses(quota, growth).into_iter().flatten() {
            if self.is_to_report(about, now) {
                let kind = if excess.is_hard { "hard" } else { "soft" };
                let Excess {
                    what,
                    would_be,
                    limit,
                    ..
                } = excess;
                tracing::warn!(
                    "quota exceeded: {about} [current {what}={would_be}, {kind} limit={limit}]"
                );
            }
            if excess.is_hard && enforce {
                return Err(ErrorCode::QuotaExceeded);
            }
        }
        Ok(())
    }

    fn is_to_report(&self, about: &str, now: Duration) -> bool {
        let mut reported = self.reported.lock();
        let recent = |at: &Duration| now.saturating_sub(*at) < REPORT_PAUSE;
        if reported.get(about).is_some_and(recent) {
            return false;
        }
        if reported.len() >= REPORTED_MAX {
            reported.clear();
        }
        reported.insert(about.to_owned(), now);
        true
    }
}

/// The limits on nodes and on bytes that would be exceeded. What does not grow
/// (or shrink) is not checked: nobody is punished for what others did.
fn excesses(quota: &Quota, growth: Growth) -> [Option<Excess>; 2] {
    let Quota {
        limits,
        used,
        pending,
        ..
    } = quota;
    let excess = |what, grows: i64, used: i64, limit: Option<(i64, bool)>| {
        let (limit, is_hard) = limit.filter(|_| grows != 0)?;
        let would_be = used.saturating_add(grows);
        (would_be > limit).then_some(Excess {
            what,
            would_be,
            limit,
            is_hard,
        })
    };
    let count = used.count().saturating_add(pending.count);
    let bytes = used.bytes().saturating_add(pending.bytes);
    [
        excess("count", growth.count, count, limits.count_limit()),
        excess("bytes", growth.bytes, bytes, limits.bytes_limit()),
    ]
}
