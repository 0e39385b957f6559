//! What everybody may see of the tree.
//!
//! **Invariant:** data and the names of children are shown only where the node's ACL
//! lets the world read; whoever asks over HTTP has proven nothing.

use common::zk::{Acl, Stat, perms};
use serde_json::Value;

use crate::pipeline::Access;
use crate::tree::{Node, acl};
use crate::txn::State;

/// A look at one state, with the eyes of somebody unknown.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) state: &'a State,
    pub(super) access: &'a Access,
}

impl<'a> Look<'a> {
    pub(super) fn stat(self, path: &str) -> Option<Stat> {
        self.state.tree.get(path).map(|node| node.stat())
    }

    /// The node's ACL without the hashes in it, if it may be read.
    pub(super) fn acl(self, path: &str) -> Option<Vec<Acl>> {
        self.readable(path).map(|node| acl::mask(node.acl()))
    }

    /// The node's data if it may be read; a node may also have none.
    pub(super) fn data(self, path: &str) -> Option<&'a [u8]> {
        self.readable(path).and_then(|node| node.data())
    }

    /// The data as JSON, if it is JSON.
    pub(super) fn json(self, path: &str) -> Option<Value> {
        serde_json::from_slice(self.data(path)?).ok()
    }

    /// The names of the children, in no order, if they may be read.
    pub(super) fn children(self, path: &str) -> Option<impl Iterator<Item = &'a str>> {
        let node = self.readable(path)?;
        Some(node.children())
    }

    /// The children's names in order: at most `limit` behind `after`, and whether
    /// there are more.
    pub(super) fn page(self, path: &str, after: &str, limit: usize) -> (Vec<String>, bool) {
        let Some(children) = self.children(path) else {
            return (Vec::new(), false);
        };
        first_behind(children, after, limit)
    }

    fn readable(self, path: &str) -> Option<Node<'a>> {
        let node = self.state.tree.get(path)?;
        let check = self.access.check(node.acl(), perms::READ, &[]);
        check.is_ok().then_some(node)
    }
}

/// The least `limit` names behind `after`, in order, and whether there are more.
/// Takes no room for the others: a node may have a million children.
fn first_behind<'a>(
    names: impl Iterator<Item = &'a str>,
    after: &str,
    limit: usize,
) -> (Vec<String>, bool) {
    let mut first = std::collections::BinaryHeap::with_capacity(limit + 1);
    let mut more = false;
    for name in names.filter(|name| *name > after) {
        if first.len() == limit {
            more = true;
            if first.peek().is_none_or(|last| *last <= name) {
                continue;
            }
            first.pop();
        }
        first.push(name);
    }
    let names = first.into_sorted_vec().into_iter().map(str::to_owned);
    (names.collect(), more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let names = ["d", "a", "c", "e", "b"];
        let page = |after, limit| first_behind(names.into_iter(), after, limit);
        assert_eq!(page("", 2), (vec!["a".into(), "b".into()], true));
        assert_eq!(page("b", 2), (vec!["c".into(), "d".into()], true));
        assert_eq!(page("d", 2), (vec!["e".into()], false));
        assert!(!page("", 5).1);
        assert_eq!(page("", 0), (vec![], true));
    }
}
