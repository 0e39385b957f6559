//! Who watches which path, both ways.
//!
//! A path is kept once and has a number; a watcher's set holds numbers. Most paths
//! have one watcher, which then stands beside the path.
//!
//! **Invariant:** a path is here as long as somebody watches it, and is in the set
//! of each of its watchers.

use std::hash::BuildHasher;

use common::zk::path;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use super::{Mode, WatcherId};

type PathId = u32;

/// The modes in which one watcher watches one path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) fn has(self, mode: Mode) -> bool {
        self.0 & mode as u8 != 0
    }

    fn with(self, mode: Mode) -> Self {
        Self(self.0 | mode as u8)
    }

    fn without(self, mode: Mode) -> Self {
        Self(self.0 & !(mode as u8))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[derive(Debug)]
enum Watchers {
    One(WatcherId, Modes),
    Many(Box<HashMap<WatcherId, Modes>>),
}

impl Watchers {
    fn len(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(all) => all.len(),
        }
    }

    fn modes(&self, watcher: WatcherId) -> Modes {
        match self {
            Self::One(one, modes) if *one == watcher => *modes,
            Self::One(..) => Modes::default(),
            Self::Many(all) => all.get(&watcher).copied().unwrap_or_default(),
        }
    }

    fn set(&mut self, watcher: WatcherId, modes: Modes) {
        match self {
            Self::One(one, old) if *one == watcher => *old = modes,
            Self::One(one, old) => {
                let both = [(*one, *old), (watcher, modes)];
                *self = Self::Many(Box::new(both.into_iter().collect()));
            }
            Self::Many(all) => {
                all.insert(watcher, modes);
            }
        }
    }

    /// Takes a watcher out; says whether it was the last one.
    fn remove(&mut self, watcher: WatcherId) -> bool {
        match self {
            Self::One(one, _) => *one == watcher,
            Self::Many(all) => {
                all.remove(&watcher);
                all.is_empty()
            }
        }
    }

    fn for_each(&self, mut look: impl FnMut(WatcherId, Modes)) {
        match self {
            Self::One(watcher, modes) => look(*watcher, *modes),
            Self::Many(all) => all
                .iter()
                .for_each(|(watcher, modes)| look(*watcher, *modes)),
        }
    }
}

#[derive(Debug)]
struct Watched {
    path: Box<str>,
    watchers: Watchers,
}

/// Watches on data, or on children.
#[derive(Debug, Default)]
pub(super) struct Table {
    watched: Vec<Option<Watched>>,
    free: Vec<PathId>,
    index: HashTable<PathId>,
    hasher: DefaultHashBuilder,
    by_watcher: HashMap<WatcherId, HashSet<PathId>>,
    recursive_count: usize,
}

impl Table {
    pub(super) fn add(&mut self, path: &str, watcher: WatcherId, mode: Mode) {
        let (id, before) = match self.find(path) {
            Some(id) => (id, self.modes_of(id, watcher)),
            None => (self.begin(path, watcher), Modes::default()),
        };
        if before.has(mode) {
            return;
        }
        if before.is_empty() {
            self.by_watcher.entry(watcher).or_default().insert(id);
        }
        if let Some(watched) = &mut self.watched[id as usize] {
            watched.watchers.set(watcher, before.with(mode));
        }
        if mode == Mode::Recursive {
            self.recursive_count += 1;
        }
    }

    pub(super) fn modes(&self, path: &str, watcher: WatcherId) -> Modes {
        let id = self.find(path);
        id.map(|id| self.modes_of(id, watcher)).unwrap_or_default()
    }

    /// Removes one mode, or all; says whether there was something to remove.
    pub(super) fn remove(&mut self, path: &str, watcher: WatcherId, mode: Option<Mode>) -> bool {
        let Some(id) = self.find(path) else {
            return false;
        };
        let before = self.modes_of(id, watcher);
        let after = mode.map_or_else(Modes::default, |mode| before.without(mode));
        if before == after {
            return false;
        }
        self.change(id, watcher, before, after);
        true
    }

    pub(super) fn remove_watcher(&mut self, watcher: WatcherId) {
        for id in self.by_watcher.remove(&watcher).unwrap_or_default() {
            let before = self.modes_of(id, watcher);
            self.change(id, watcher, before, Modes::default());
        }
    }

    /// Who is told about a change of `path`; their one-shot watches are gone then.
    pub(super) fn trigger(&mut self, path: &str) -> Vec<WatcherId> {
        let mut told = Vec::new();
        if let Some(id) = self.find(path) {
            let watched = self.watched[id as usize].as_ref();
            let mut all = Vec::with_capacity(watched.map_or(0, |w| w.watchers.len()));
            if let Some(watched) = watched {
                watched
                    .watchers
                    .for_each(|watcher, modes| all.push((watcher, modes)));
            }
            for (watcher, modes) in all {
                told.push(watcher);
                if modes.has(Mode::OneShot) {
                    self.change(id, watcher, modes, modes.without(Mode::OneShot));
                }
            }
        }
        if self.recursive_count > 0 {
            let above = self.recursive_above(path);
            add_new(&mut told, above);
        }
        told
    }

    fn recursive_above(&self, path: &str) -> Vec<WatcherId> {
        let mut found = Vec::new();
        let mut ancestor = path::parent(path);
        while let Some(path) = ancestor {
            let id = self.find(path);
            if let Some(watched) = id.and_then(|id| self.watched[id as usize].as_ref()) {
                watched.watchers.for_each(|watcher, modes| {
                    if modes.has(Mode::Recursive) {
                        found.push(watcher);
                    }
                });
            }
            ancestor = path::parent(path);
        }
        found
    }

    /// The paths that somebody watches, in no order.
    pub(super) fn paths_of(&self, watcher: WatcherId) -> impl Iterator<Item = &str> {
        let ids = self.by_watcher.get(&watcher).into_iter().flatten();
        let watched = ids.filter_map(|id| self.watched[*id as usize].as_ref());
        watched.map(|watched| &*watched.path)
    }

    /// Every path with the number of its watchers.
    pub(super) fn watched(&self) -> impl Iterator<Item = (&str, usize)> {
        let watched = self.watched.iter().flatten();
        watched.map(|watched| (&*watched.path, watched.watchers.len()))
    }

    /// How many watchers there are.
    pub(super) fn watcher_count(&self) -> usize {
        self.by_watcher.len()
    }

    /// How many paths are watched.
    pub(super) fn path_count(&self) -> usize {
        self.index.len()
    }

    /// How many watches there are; one path of one watcher counts once.
    pub(super) fn count(&self) -> usize {
        self.by_watcher.values().map(HashSet::len).sum()
    }

    /// How many of the watches are recursive.
    #[cfg(test)]
    pub(super) fn recursive_count(&self) -> usize {
        self.recursive_count
    }

    fn find(&self, path: &str) -> Option<PathId> {
        let hash = self.hasher.hash_one(path);
        let is_it = |id: &PathId| {
            let watched = self.watched[*id as usize].as_ref();
            watched.is_some_and(|watched| &*watched.path == path)
        };
        self.index.find(hash, is_it).copied()
    }

    fn modes_of(&self, id: PathId, watcher: WatcherId) -> Modes {
        let watched = self.watched[id as usize].as_ref();
        let modes = watched.map(|watched| watched.watchers.modes(watcher));
        modes.unwrap_or_default()
    }

    /// Takes in a path that nobody watched; `watcher` has no mode yet.
    fn begin(&mut self, path: &str, watcher: WatcherId) -> PathId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.watched.push(None);
            u32::try_from(self.watched.len() - 1).expect("memory ends before the numbers do")
        });
        self.watched[id as usize] = Some(Watched {
            path: path.into(),
            watchers: Watchers::One(watcher, Modes::default()),
        });
        let Self {
            watched, hasher, ..
        } = self;
        let hash_of = |id: &PathId| {
            let watched = watched[*id as usize].as_ref();
            watched.map_or(0, |watched| hasher.hash_one(&*watched.path))
        };
        self.index.insert_unique(hash_of(&id), id, hash_of);
        id
    }

    /// Gives a watcher of a path other modes; with none it is gone.
    fn change(&mut self, id: PathId, watcher: WatcherId, before: Modes, after: Modes) {
        if before.has(Mode::Recursive) && !after.has(Mode::Recursive) {
            self.recursive_count -= 1;
        }
        let Some(watched) = &mut self.watched[id as usize] else {
            return;
        };
        if !after.is_empty() {
            watched.watchers.set(watcher, after);
            return;
        }
        if watched.watchers.remove(watcher) {
            let hash = self.hasher.hash_one(&*watched.path);
            if let Ok(entry) = self.index.find_entry(hash, |other| *other == id) {
                entry.remove();
            }
            self.watched[id as usize] = None;
            self.free.push(id);
        }
        if let Some(paths) = self.by_watcher.get_mut(&watcher) {
            paths.remove(&id);
            if paths.is_empty() {
                self.by_watcher.remove(&watcher);
            }
        }
    }
}

/// Adds those who are not told yet.
pub(super) fn add_new(told: &mut Vec<WatcherId>, more: Vec<WatcherId>) {
    if more.is_empty() {
        return;
    }
    let mut known: HashSet<WatcherId> = told.iter().copied().collect();
    told.extend(more.into_iter().filter(|watcher| known.insert(*watcher)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATHS: [&str; 4] = ["/", "/a", "/a/b", "/c"];
    const MODES: [Mode; 3] = [Mode::OneShot, Mode::Persistent, Mode::Recursive];

    #[test]
    fn a_watched_path_is_small() {
        assert!(size_of::<Option<Watched>>() <= 40);
    }

    /// The same as a list of what is watched, with nothing clever in it.
    #[derive(Default)]
    struct Plain(Vec<(usize, u64, Mode)>);

    impl Plain {
        fn trigger(&mut self, path: usize) -> Vec<u64> {
            let below = |above: usize| {
                let (above, path) = (PATHS[above], PATHS[path]);
                above == "/" || path.starts_with(&format!("{above}/"))
            };
            let hears = |entry: &(usize, u64, Mode)| {
                entry.0 == path || (entry.2 == Mode::Recursive && below(entry.0))
            };
            let mut told: Vec<u64> = self.0.iter().filter(|e| hears(e)).map(|e| e.1).collect();
            self.0.retain(|e| e.0 != path || e.2 != Mode::OneShot);
            told.sort_unstable();
            told.dedup();
            told
        }
    }

    proptest! {
        #[test]
        fn the_table_does_what_a_plain_list_does(
            steps in prop::collection::vec((0..5_u8, 0..4_usize, 0..3_u64, 0..3_usize), 0..60),
        ) {
            let (mut table, mut plain) = (Table::default(), Plain::default());
            for (step, path, watcher, mode) in steps {
                let (name, id, mode) = (PATHS[path], WatcherId(watcher), MODES[mode]);
                match step {
                    0 | 1 => {
                        table.add(name, id, mode);
                        plain.0.retain(|e| *e != (path, watcher, mode));
                        plain.0.push((path, watcher, mode));
                    }
                    2 => {
                        let removed = table.remove(name, id, Some(mode));
                        prop_assert_eq!(removed, plain.0.contains(&(path, watcher, mode)));
                        plain.0.retain(|e| *e != (path, watcher, mode));
                    }
                    3 => {
                        let mut told: Vec<u64> =
                            table.trigger(name).into_iter().map(|id| id.0).collect();
                        told.sort_unstable();
                        prop_assert_eq!(told, plain.trigger(path));
                    }
                    _ => {
                        table.remove_watcher(id);
                        plain.0.retain(|e| e.1 != watcher);
                    }
                }
                let mut pairs: Vec<_> = plain.0.iter().map(|e| (e.0, e.1)).collect();
                pairs.sort_unstable();
                pairs.dedup();
                prop_assert_eq!(table.count(), pairs.len());
                let recursive = plain.0.iter().filter(|e| e.2 == Mode::Recursive);
                prop_assert_eq!(table.recursive_count(), recursive.count());
                pairs.dedup_by_key(|pair| pair.0);
                prop_assert_eq!(table.path_count(), pairs.len());
            }
        }
    }
}
