//! What the tree keeps up by itself: the counts of the quotas, and the list of
//! the nodes that the server removes some day.

use std::ops::Bound;

use common::zk::path;

use super::quota::{self, Track};
use super::{Node, Owner, Tree, signed, slab};

/// A node to remove, in the version that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) path: String,
    pub(crate) version: i32,
}

/// A way through all candidates, a part at a time, so that nobody waits long.
#[derive(Debug, Default)]
pub(crate) struct Look {
    next: Option<slab::Id>,
    pub(crate) is_over: bool,
}

/// As many candidates are looked at in one go.
const LOOK_MAX: usize = 1000;

impl Tree {
    /// The containers without children and the nodes whose time to live is over,
    /// among the next ones to look at. A container that never had children is left
    /// alone for `never_used_ms`, and for ever if that is 0.
    pub(crate) fn leftovers(
        &self,
        look: &mut Look,
        now_ms: i64,
        never_used_ms: i64,
    ) -> Vec<Leftover> {
        let from = look.next.map_or(Bound::Unbounded, Bound::Included);
        let mut candidates = self.removable.range((from, Bound::Unbounded));
        let nodes = candidates.by_ref().take(LOOK_MAX);
        let leftovers = nodes
            .map(|id| self.node(*id))
            .filter(|node| is_leftover(*node, now_ms, never_used_ms))
            .map(|node| Leftover {
                path: node.path(),
                version: node.version,
            })
            .collect();
        look.next = candidates.next().copied();
        look.is_over = look.next.is_none();
        leftovers
    }

    /// The longest prefix of `path` that has a quota: itself or what is above it.
    pub(crate) fn quota_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.quotas.is_empty() {
            return None;
        }
        let mut prefix = Some(path);
        while let Some(path) = prefix {
            if self.quotas.contains(path) {
                return Some(path);
            }
            prefix = path::parent(path);
        }
        None
    }

    /// The limits of a path and what is used of them.
    pub(crate) fn quota(&self, about: &str) -> Option<(Track, Track)> {
        let track = |path: String| {
            let node = self.get(&path);
            node.map(|node| Track::parse(node.data()))
        };
        let limits = track(quota::limits_path(about))?;
        Some((limits, track(quota::stats_path(about))?))
    }

    /// Counts a change in the quota that it falls under.
    pub(super) fn count_in_quota(&mut self, path: &str, count: i64, bytes: i64) {
        let Some(about) = self.quota_of(path) else {
            return;
        };
        let stats = quota::stats_path(about);
        let Some(node) = self.get(&stats) else {
            tracing::debug!(about, "a quota without statistics");
            return;
        };
        let mut track = Track::parse(node.data());
        track.add(count, bytes);
        self.store_stats(&stats, &track);
    }

    /// Counts anew what is used of a quota.
    pub(super) fn recount(&mut self, about: &str) {
        let (mut count, mut bytes) = (0, 0);
        if let Some(top) = self.get(about) {
            for id in self.slab.subtree(top.id) {
                count += 1;
                bytes += signed(self.slab.get(id).data_len());
            }
        }
        self.store_stats(&quota::stats_path(about), &Track::of(count, bytes));
    }

    /// Replaces the text of a node and nothing else: no version, no time.
    fn store_stats(&mut self, path: &str, track: &Track) {
        let Ok(id) = self.find(path) else {
            return;
        };
        let node = self.slab.get_mut(id);
        let before = node.data_len();
        node.set_data(Some(track.to_string().as_bytes()));
        self.data_size = self.data_size - before + node.data_len();
    }
}

fn is_leftover(node: Node<'_>, now_ms: i64, never_used_ms: i64) -> bool {
    if node.child_count() != 0 {
        return false;
    }
    let idle_ms = now_ms.saturating_sub(node.mtime);
    match node.owner() {
        Owner::Container if node.cversion() > 0 => true,
        Owner::Container => never_used_ms != 0 && idle_ms > never_used_ms,
        Owner::Ttl { ms } => ms != 0 && idle_ms > ms,
        Owner::Nobody | Owner::Session(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Moment, NewNode};
    use super::*;
    use bytes::Bytes;
    use common::zk::Acl;

    fn at(time_ms: i64) -> Moment {
        Moment { zxid: 1, time_ms }
    }

    fn create(tree: &mut Tree, path: &str, data: &str, owner: Owner) {
        let new = NewNode {
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            acl: Acl::open(),
            owner: owner.stored(),
            parent_cversion: 1,
        };
        tree.create(path, &new, at(1000)).unwrap();
    }

    fn leftovers(tree: &Tree, now_ms: i64, never_used_ms: i64) -> Vec<Leftover> {
        let (mut look, mut all) = (Look::default(), Vec::new());
        while !look.is_over {
            all.extend(tree.leftovers(&mut look, now_ms, never_used_ms));
        }
        all
    }

    fn paths(mut leftovers: Vec<Leftover>) -> Vec<String> {
        leftovers.sort_by(|a, b| a.path.cmp(&b.path));
        leftovers
            .into_iter()
            .map(|leftover| leftover.path)
            .collect()
    }

    #[test]
    fn a_container_ends_when_its_last_child_has_gone() {
        let mut tree = Tree::fresh();
        create(&mut tree, "/c", "", Owner::Container);
        assert_eq!(tree.get("/c").unwrap().stat().ephemeral_owner, 0);
        assert!(leftovers(&tree, i64::MAX, 0).is_empty());
        assert_eq!(paths(leftovers(&tree, 1501, 500)), ["/c"]);
        assert!(leftovers(&tree, 1500, 500).is_empty());
        create(&mut tree, "/c/x", "", Owner::Nobody);
        assert!(leftovers(&tree, i64::MAX, 500).is_empty());
        tree.delete("/c/x", 2).unwrap();
        assert_eq!(paths(leftovers(&tree, 0, 0)), ["/c"]);
        tree.delete("/c", 3).unwrap();
        assert!(leftovers(&tree, i64::MAX, 1).is_empty());
        assert!(tree.removable.is_empty());
    }

    #[test]
    fn many_candidates_are_looked_at_in_parts() {
        let mut tree = Tree::fresh();
        for n in 0..2 * LOOK_MAX + 1 {
            create(&mut tree, &format!("/t{n}"), "", Owner::Ttl { ms: 1 });
        }
        let mut look = Look::default();
        let part = tree.leftovers(&mut look, i64::MAX, 0);
        assert_eq!((part.len(), look.is_over), (LOOK_MAX, false));
        // What is removed meanwhile, also where the look goes on, is no matter.
        for leftover in part {
            tree.delete(&leftover.path, 2).unwrap();
        }
        assert_eq!(leftovers(&tree, i64::MAX, 0).len(), LOOK_MAX + 1);
        assert_eq!(tree.leftovers(&mut look, i64::MAX, 0).len(), LOOK_MAX);
        assert_eq!(tree.leftovers(&mut look, i64::MAX, 0).len(), 1);
        assert!(look.is_over);
    }

    #[test]
    fn a_ttl_counts_from_the_last_change() {
        let mut tree = Tree::fresh();
        create(&mut tree, "/t", "", Owner::Ttl { ms: 100 });
        assert!(leftovers(&tree, 1100, 0).is_empty());
        assert_eq!(paths(leftovers(&tree, 1101, 0)), ["/t"]);
        tree.set_data("/t", None, 1, at(1050)).unwrap();
        assert!(leftovers(&tree, 1150, 0).is_empty());
        let leftover = leftovers(&tree, 1151, 0).remove(0);
        assert_eq!(leftover.version, 1);
        create(&mut tree, "/t/x", "", Owner::Nobody);
        assert!(leftovers(&tree, i64::MAX, 0).is_empty());
        assert!(tree.ephemerals().is_empty());
    }

    #[test]
    fn statistics_follow_every_change_below_a_quota() {
        let mut tree = Tree::fresh();
        create(&mut tree, "/a", "12", Owner::Nobody);
        create(&mut tree, "/a/b", "345", Owner::Nobody);
        create(&mut tree, "/zookeeper/quota/a", "", Owner::Nobody);
        let limits = quota::limits_path("/a");
        create(&mut tree, &limits, "count=2,bytes=-1", Owner::Nobody);
        let stats = quota::stats_path("/a");
        create(&mut tree, &stats, "", Owner::Nobody);
        let text = |tree: &Tree| {
            let data = tree.get(&stats).unwrap().data();
            String::from_utf8(data.unwrap().to_vec()).unwrap()
        };
        assert_eq!(text(&tree), "count=2,bytes=5");
        create(&mut tree, "/a/c", "6", Owner::Session(7));
        assert_eq!(text(&tree), "count=3,bytes=6");
        tree.set_data("/a/b", None, 1, at(2000)).unwrap();
        assert_eq!(text(&tree), "count=3,bytes=3");
        tree.delete("/a/c", 9).unwrap();
        assert_eq!(text(&tree), "count=2,bytes=2");
        create(&mut tree, "/ab", "not below it", Owner::Nobody);
        assert_eq!(text(&tree), "count=2,bytes=2");
        let node = tree.get(&stats).unwrap();
        assert_eq!((node.version, node.mtime), (0, 1000));
        assert_eq!(tree.quota_of("/a/b/c"), Some("/a"));
        let expected: usize = tree.iter().map(|n| n.path().len() + n.data_len()).sum();
        assert_eq!(tree.data_size(), expected);
        tree.delete(&limits, 10).unwrap();
        assert_eq!(tree.quota_of("/a/b/c"), None);
    }
}
