//! Which watcher waits for what; pure.
//!
//! **Invariant:** a watch fires once; it must be set again to fire again.

use std::collections::{BTreeSet, HashMap};

use common::zk::{EventType, SetWatches};

pub(super) type WatcherId = u64;

/// A setWatches frame stays below this, far under every server's limit.
const REARM_BYTES_MAX: usize = 128 * 1024;

/// What a read asked to be told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchKind {
    /// The node exists: its data, or its end.
    Data,
    /// The node does not exist: its creation.
    Exist,
    /// The list of children, or the node's end.
    Child,
}

#[derive(Debug, Default)]
pub(super) struct Watches {
    data: HashMap<String, BTreeSet<WatcherId>>,
    exist: HashMap<String, BTreeSet<WatcherId>>,
    child: HashMap<String, BTreeSet<WatcherId>>,
}

impl Watches {
    pub(super) fn add(&mut self, kind: WatchKind, path: String, watcher: WatcherId) {
        let table = match kind {
            WatchKind::Data => &mut self.data,
            WatchKind::Exist => &mut self.exist,
            WatchKind::Child => &mut self.child,
        };
        table.entry(path).or_default().insert(watcher);
    }

    /// Takes out the watches that this event ends; their watchers, once each.
    pub(super) fn fire(&mut self, event: EventType, path: &str) -> BTreeSet<WatcherId> {
        let tables: &mut [&mut HashMap<_, _>] = match event {
            EventType::NodeCreated | EventType::NodeDataChanged => {
                &mut [&mut self.data, &mut self.exist]
            }
            EventType::NodeDeleted => &mut [&mut self.data, &mut self.exist, &mut self.child],
            EventType::NodeChildrenChanged => &mut [&mut self.child],
        };
        let mut fired = BTreeSet::new();
        for table in tables {
            fired.extend(table.remove(path).unwrap_or_default());
        }
        fired
    }

    /// Forgets a watcher that went away.
    pub(super) fn remove_watcher(&mut self, watcher: WatcherId) {
        for table in [&mut self.data, &mut self.exist, &mut self.child] {
            table.retain(|_, watchers| {
                watchers.remove(&watcher);
                !watchers.is_empty()
            });
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The requests that set all watches again on a new connection.
    pub(super) fn rearm(&self, relative_zxid: i64) -> Vec<SetWatches> {
        let mut frames = Vec::new();
        let mut frame = SetWatches { relative_zxid, ..SetWatches::default() };
        let mut size = 0;
        let kinds = [WatchKind::Data, WatchKind::Exist, WatchKind::Child];
        for (kind, table) in kinds.into_iter().zip([&self.data, &self.exist, &self.child]) {
            for path in table.keys() {
                if size + path.len() > REARM_BYTES_MAX {
                    let next = SetWatches { relative_zxid, ..SetWatches::default() };
                    frames.push(std::mem::replace(&mut frame, next));
                    size = 0;
                }
                size += path.len() + 4;
                match kind {
                    WatchKind::Data => frame.data_watches.push(path.clone()),
                    WatchKind::Exist => frame.exist_watches.push(path.clone()),
                    WatchKind::Child => frame.child_watches.push(path.clone()),
                }
            }
        }
        if size > 0 {
            frames.push(frame);
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_the_watches_that_they_concern() {
        use EventType::*;
        use WatchKind::*;
        let table = [
            (Data, NodeDataChanged, true),
            (Data, NodeDeleted, true),
            (Data, NodeChildrenChanged, false),
            (Exist, NodeCreated, true),
            (Exist, NodeChildrenChanged, false),
            (Child, NodeChildrenChanged, true),
            (Child, NodeDeleted, true),
            (Child, NodeDataChanged, false),
        ];
        for (kind, event, fires) in table {
            let mut watches = Watches::default();
            watches.add(kind, "/a".into(), 7);
            watches.add(kind, "/b".into(), 8);
            let fired = watches.fire(event, "/a");
            assert_eq!(fired.contains(&7), fires, "{kind:?} {event:?}");
            assert!(!fired.contains(&8));
            assert!(watches.fire(event, "/a").is_empty(), "one-shot");
        }
    }

    #[test]
    fn a_watcher_with_two_watches_hears_once() {
        let mut watches = Watches::default();
        watches.add(WatchKind::Data, "/a".into(), 7);
        watches.add(WatchKind::Child, "/a".into(), 7);
        assert_eq!(watches.fire(EventType::NodeDeleted, "/a").len(), 1);
    }

    #[test]
    fn rearming_names_every_watch_in_bounded_frames() {
        let mut watches = Watches::default();
        assert!(watches.rearm(5).is_empty());
        for i in 0..2000 {
            watches.add(WatchKind::Data, format!("/{i:0100}"), 1);
            watches.add(WatchKind::Child, format!("/{i:0100}"), 1);
        }
        watches.add(WatchKind::Exist, "/x".into(), 2);
        let frames = watches.rearm(5);
        assert!(frames.len() > 1);
        let count = |f: &SetWatches| {
            (f.data_watches.len(), f.exist_watches.len(), f.child_watches.len())
        };
        let sum = frames.iter().map(count).fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        assert_eq!(sum, (2000, 1, 2000));
        assert!(frames.iter().all(|f| f.relative_zxid == 5));
        watches.remove_watcher(1);
        assert_eq!(count(&watches.rearm(5)[0]), (0, 1, 0));
    }
}
