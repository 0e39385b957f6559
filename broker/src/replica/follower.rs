//! Where a follower cuts its log so that it agrees with its leader's.
//!
//! A leader that is asked to go on after a record of some epoch says, if the
//! two logs part there, which epoch its own log has last and where that ends
//! (KIP-101, KIP-279, KIP-595). The follower cuts at the end of that epoch in
//! its own log or in the leader's, whichever comes first. When it does not know
//! the epoch it cuts to what it has from before it and asks again.
//!
//! **Invariant:** pure.
//! **Invariant:** what is cut was never committed, or the leader was elected
//! uncleanly: an in-sync replica has everything that is.

use crate::log::EpochEndOffset;
use crate::model::Offset;

/// Where a log is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) offset: Offset,
    /// Both logs are the same up to there; else the leader is asked again.
    pub(super) is_final: bool,
}

/// Where to cut after the leader said that its log has `leader` last; `own` is the
/// largest epoch in the own log not beyond the leader's, and where it ends.
pub(super) fn cut(
    leader: EpochEndOffset,
    own: Option<EpochEndOffset>,
    log_end: Offset,
    high_watermark: Offset,
) -> Cut {
    let (offset, is_final) = if leader.end_offset < 0 {
        // The leader knows no epochs: only the high watermark is safe.
        (high_watermark, true)
    } else if leader.epoch < 0 {
        (leader.end_offset, true)
    } else {
        match own {
            // An epoch that only the leader has is asked for again.
            Some(own) if own.epoch != leader.epoch => (own.end_offset, false),
            Some(own) => (own.end_offset.min(leader.end_offset), true),
            None => (leader.end_offset, true),
        }
    };
    Cut {
        offset: offset.min(log_end),
        is_final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(epoch: i32, end_offset: Offset) -> EpochEndOffset {
        EpochEndOffset { epoch, end_offset }
    }

    #[test]
    fn logs_are_cut_where_they_part() {
        // (leader's last epoch, own floor of it, log end) -> cut
        let again = [12];
        let table = [
            // The leader's epoch ends earlier: the rest was never committed.
            (end(3, 10), Some(end(3, 15)), 15, 10),
            // Ours ends earlier: later epochs of ours are unknown to the leader.
            (end(3, 20), Some(end(3, 15)), 18, 15),
            // KIP-279: we lack the leader's epoch, so what we have after the
            // one before it goes, and we ask again from there.
            (end(2, 20), Some(end(1, 12)), 18, 12),
            (end(2, 20), None, 18, 18),
            (end(2, 5), None, 18, 5),
            // No epochs at the leader.
            (end(-1, -1), Some(end(1, 12)), 18, 7),
            (end(-1, 9), None, 18, 9),
        ];
        for (leader, own, log_end, expected) in table {
            let cut = cut(leader, own, log_end, 7);
            assert_eq!(cut.offset, expected, "{leader:?} {own:?}");
            assert_eq!(cut.is_final, !again.contains(&expected), "{leader:?}");
        }
    }
}
