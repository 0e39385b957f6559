//! The room on a directory's disk, and when a full one counts as usable again.
//!
//! **Invariant:** a directory that was found full stays so until clearly more
//! room is there than when it was found: a disk on which now a record fits and
//! now none would move leaders to and fro.

use std::io;
use std::path::Path;

use parking_lot::Mutex;
use rustix::fs::statvfs;

/// What must have become free, unless the disk is small.
const ROOM_BYTES: u64 = 16 << 20;
/// On a small disk this part of it.
const ROOM_PART: u64 = 8;

/// Bytes of a directory's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub usable: u64,
}

impl Space {
    pub(in crate::log) fn of(dir: &Path) -> io::Result<Self> {
        let stat = statvfs(dir)?;
        Ok(Self {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            usable: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// What must be usable on this disk before it counts as usable again.
    fn wanted(self) -> u64 {
        self.usable + ROOM_BYTES.min(self.total / ROOM_PART)
    }
}

/// Whether a write found no room.
#[derive(Debug, Default)]
pub(in crate::log) struct Full {
    /// Usable bytes with which it ends; `None` while it does not hold.
    wanted: Mutex<Option<u64>>,
}

impl Full {
    /// A write to `dir` found no room; `false` if that was known.
    pub(in crate::log) fn begin(&self, dir: &Path) -> bool {
        let mut wanted = self.wanted.lock();
        let is_new = wanted.is_none();
        if is_new {
            *wanted = Some(Space::of(dir).map_or(ROOM_BYTES, Space::wanted));
        }
        is_new
    }

    pub(in crate::log) fn holds(&self) -> bool {
        self.wanted.lock().is_some()
    }

    /// Ends it if there is room now; says whether it was so.
    pub(in crate::log) fn end_if_room(&self, dir: &Path) -> bool {
        let mut wanted = self.wanted.lock();
        let has_room = match (*wanted, Space::of(dir)) {
            (Some(wanted), Ok(space)) => space.usable >= wanted,
            _ => false,
        };
        if has_room {
            *wanted = None;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_needs_clearly_more_room_than_when_it_was_found() {
        let space = |total, usable| Space { total, usable };
        assert_eq!(space(1 << 40, 5000).wanted(), 5000 + ROOM_BYTES);
        assert_eq!(space(24 << 20, 0).wanted(), 3 << 20);
    }

    #[test]
    fn it_is_full_until_then() {
        let root = tempfile::tempdir().unwrap();
        let full = Full::default();
        assert!(!full.holds() && !full.end_if_room(root.path()));
        assert!(full.begin(root.path()));
        assert!(!full.begin(root.path()), "told once");
        assert!(full.holds());
        *full.wanted.lock() = Some(u64::MAX);
        assert!(!full.end_if_room(root.path()) && full.holds());
        *full.wanted.lock() = Some(0);
        assert!(full.end_if_room(root.path()) && !full.holds());
        assert!(full.begin(root.path()), "and again");
    }
}
