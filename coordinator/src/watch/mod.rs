//! Who waits for what: one-shot, persistent and recursive watches.
//!
//! Flow: reads register, `pipeline::apply` triggers and delivers to whom it is told.
//!
//! **Invariant:** pure bookkeeping; it knows watchers by number only.

mod table;

use common::zk::{EventType, WatcherType};

use table::{Table, add_new};

/// Names one client connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WatcherId(pub(crate) u64);

/// How a watch behaves when it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    OneShot = 1,
    Persistent = 2,
    Recursive = 4,
}

/// What changed at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Deleted,
    DataChanged,
    /// A child of the path was created or deleted.
    ChildrenChanged,
}

impl Change {
    pub(crate) fn event_type(self) -> EventType {
        match self {
            Self::Created => EventType::NodeCreated,
            Self::Deleted => EventType::NodeDeleted,
            Self::DataChanged => EventType::NodeDataChanged,
            Self::ChildrenChanged => EventType::NodeChildrenChanged,
        }
    }
}

/// How many connections watch how many paths, and the watches in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) connections: usize,
    pub(crate) paths: usize,
    pub(crate) watches: usize,
}

/// All watches of this server.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    data: Table,
    children: Table,
}

impl Registry {
    /// Leaves a one-shot watch on the existence and data of `path`.
    pub(crate) fn watch_data(&mut self, path: &str, watcher: WatcherId) {
        self.data.add(path, watcher, Mode::OneShot);
    }

    /// Leaves a one-shot watch on the children of `path`.
    pub(crate) fn watch_children(&mut self, path: &str, watcher: WatcherId) {
        self.children.add(path, watcher, Mode::OneShot);
    }

    pub(crate) fn watch_persistent(&mut self, path: &str, watcher: WatcherId) {
        self.data.add(path, watcher, Mode::Persistent);
        self.children.add(path, watcher, Mode::Persistent);
    }

    pub(crate) fn watch_recursive(&mut self, path: &str, watcher: WatcherId) {
        self.data.add(path, watcher, Mode::Recursive);
    }

    /// Who hears of `change`. A watcher of both the node and its children hears
    /// of a deletion once; recursive watchers never hear of `ChildrenChanged`.
    pub(crate) fn trigger(&mut self, path: &str, change: Change) -> Vec<WatcherId> {
        match change {
            Change::Created | Change::DataChanged => self.data.trigger(path),
            Change::ChildrenChanged => self.children.trigger(path),
            Change::Deleted => {
                let mut told = self.data.trigger(path);
                add_new(&mut told, self.children.trigger(path));
                told
            }
        }
    }

    pub(crate) fn contains(&self, path: &str, kind: WatcherType, watcher: WatcherId) -> bool {
        let data = self.data.modes(path, watcher);
        let children = self.children.modes(path, watcher);
        match kind {
            WatcherType::Children => children.has(Mode::OneShot),
            WatcherType::Data => data.has(Mode::OneShot),
            WatcherType::Any => !data.is_empty() || !children.is_empty(),
            WatcherType::Persistent => data.has(Mode::Persistent),
            WatcherType::PersistentRecursive => data.has(Mode::Recursive),
        }
    }

    /// Removes watches; says whether there were any.
    pub(crate) fn remove(&mut self, path: &str, kind: WatcherType, watcher: WatcherId) -> bool {
        let (in_data, in_children) = match kind {
            WatcherType::Children => (None, Some(Some(Mode::OneShot))),
            WatcherType::Data => (Some(Some(Mode::OneShot)), None),
            WatcherType::Any => (Some(None), Some(None)),
            WatcherType::Persistent => (Some(Some(Mode::Persistent)), Some(Some(Mode::Persistent))),
            WatcherType::PersistentRecursive => (Some(Some(Mode::Recursive)), None),
        };
        let data = in_data.is_some_and(|mode| self.data.remove(path, watcher, mode));
        let children = in_children.is_some_and(|mode| self.children.remove(path, watcher, mode));
        data || children
    }

    pub(crate) fn remove_watcher(&mut self, watcher: WatcherId) {
        self.data.remove_watcher(watcher);
        self.children.remove_watcher(watcher);
    }

    /// All watches, on data and on children.
    pub(crate) fn count(&self) -> usize {
        self.data.count() + self.children.count()
    }

    /// The paths whose data or existence somebody watches, in no order.
    pub(crate) fn data_paths_of(&self, watcher: WatcherId) -> impl Iterator<Item = &str> {
        self.data.paths_of(watcher)
    }

    /// The paths of both tables, each with its number of watchers.
    pub(crate) fn watched_paths(&self) -> impl Iterator<Item = (&str, usize)> {
        let tables = [&self.data, &self.children].into_iter();
        tables.flat_map(Table::watched)
    }

    /// As ZooKeeper's `wchs`, which reports watches on data only.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            connections: self.data.watcher_count(),
            paths: self.data.path_count(),
            watches: self.data.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: WatcherId = WatcherId(1);
    const B: WatcherId = WatcherId(2);

    fn sorted(mut watchers: Vec<WatcherId>) -> Vec<WatcherId> {
        watchers.sort();
        watchers
    }

    #[test]
    fn a_one_shot_watch_fires_once() {
        let mut registry = Registry::default();
        registry.watch_data("/a", A);
        registry.watch_data("/a", B);
        assert_eq!(sorted(registry.trigger("/a", Change::DataChanged)), [A, B]);
        assert_eq!(registry.trigger("/a", Change::DataChanged), []);
        assert_eq!(registry.count(), 0);
        assert_eq!(registry.summary().connections, 0);
    }

    #[test]
    fn each_table_hears_of_its_own_changes() {
        let mut registry = Registry::default();
        registry.watch_children("/a", A);
        assert_eq!(registry.trigger("/a", Change::DataChanged), []);
        assert_eq!(registry.trigger("/a", Change::ChildrenChanged), [A]);
        registry.watch_data("/a", B);
        assert_eq!(registry.trigger("/a", Change::ChildrenChanged), []);
        assert_eq!(registry.trigger("/a", Change::Created), [B]);
    }

    #[test]
    fn a_deletion_is_told_once() {
        let mut registry = Registry::default();
        registry.watch_data("/a", A);
        registry.watch_children("/a", A);
        registry.watch_children("/a", B);
        assert_eq!(sorted(registry.trigger("/a", Change::Deleted)), [A, B]);
        assert_eq!(registry.count(), 0);
    }

    #[test]
    fn persistent_watches_stay_and_coexist_with_one_shot_ones() {
        let mut registry = Registry::default();
        registry.watch_persistent("/a", A);
        registry.watch_data("/a", A);
        for _ in 0..2 {
            assert_eq!(registry.trigger("/a", Change::DataChanged), [A]);
            assert_eq!(registry.trigger("/a", Change::ChildrenChanged), [A]);
        }
        assert!(!registry.contains("/a", WatcherType::Data, A));
        assert!(registry.contains("/a", WatcherType::Persistent, A));
        registry.watch_recursive("/a", A);
        assert!(registry.remove("/a", WatcherType::Persistent, A));
        assert!(!registry.remove("/a", WatcherType::Persistent, A));
        assert!(registry.contains("/a", WatcherType::PersistentRecursive, A));
    }

    #[test]
    fn recursive_watches_hear_of_all_below_but_not_of_child_lists() {
        let mut registry = Registry::default();
        registry.watch_recursive("/", A);
        registry.watch_recursive("/a", A);
        assert_eq!(registry.trigger("/a/b/c", Change::Created), [A]);
        assert_eq!(registry.trigger("/x", Change::Deleted), [A]);
        assert_eq!(registry.trigger("/a", Change::ChildrenChanged), []);
        assert!(registry.remove("/a", WatcherType::Any, A));
        registry.remove_watcher(A);
        assert_eq!(registry.trigger("/a/b/c", Change::Created), []);
        assert_eq!(registry.data.recursive_count(), 0);
    }

    #[test]
    fn a_watcher_that_leaves_takes_its_watches_along() {
        let mut registry = Registry::default();
        registry.watch_data("/a", A);
        registry.watch_children("/b", A);
        registry.watch_data("/a", B);
        registry.remove_watcher(A);
        assert_eq!(registry.count(), 1);
        assert_eq!(registry.trigger("/a", Change::DataChanged), [B]);
    }
}
