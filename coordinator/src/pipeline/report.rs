//! Who watches what, for operators. Copies under the lock; large answers stall
//! the delivery of events for as long as the copying takes.

use std::collections::BTreeMap;

use super::Handle;

impl Handle {
    /// The paths whose data or existence each session watches, as ZooKeeper's `wchc`.
    pub(crate) fn data_watches_by_session(&self) -> BTreeMap<i64, Vec<String>> {
        let watching = self.0.watching.lock();
        let mut sessions = BTreeMap::new();
        for (session, client) in &watching.by_session {
            let paths = watching.registry.data_paths_of(client.watcher_id());
            let mut paths: Vec<String> = paths.map(str::to_owned).collect();
            if !paths.is_empty() {
                paths.sort_unstable();
                sessions.insert(*session, paths);
            }
        }
        sessions
    }

    /// The same, by path, as `wchp`.
    pub(crate) fn data_watches_by_path(&self) -> BTreeMap<String, Vec<i64>> {
        let mut paths: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (session, watched) in self.data_watches_by_session() {
            for path in watched {
                paths.entry(path).or_default().push(session);
            }
        }
        paths
    }

    /// Every watched path with the number of its watches, on data and on children.
    pub(crate) fn watched_paths(&self) -> BTreeMap<String, usize> {
        self.with_watches(|registry| {
            let mut paths = BTreeMap::new();
            for (path, count) in registry.watched_paths() {
                *paths.entry(path.to_owned()).or_default() += count;
            }
            paths
        })
    }
}
