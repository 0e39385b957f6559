//! The tree as it will be when everything prepared so far has been applied.

use std::collections::HashMap;

use super::quota::{Growth, Quota};
use crate::tree::{AclRef, Node, Tree};

/// What preparing needs to know of a node.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) version: i32,
    pub(super) cversion: i32,
    pub(super) aversion: i32,
    pub(super) owner: i64,
    pub(super) child_count: usize,
    pub(super) data_len: usize,
    pub(super) acl: AclRef,
}

impl Facts {
    fn of(node: Node<'_>) -> Self {
        Self {
            version: node.version,
            cversion: node.cversion(),
            aversion: node.aversion,
            owner: node.stored_owner(),
            child_count: node.child_count(),
            data_len: node.data_len(),
            acl: AclRef::clone(node.acl()),
        }
    }
}

/// The tree under the changes of one batch; `None` stands for a deleted node.
pub(super) struct View<'a> {
    tree: &'a Tree,
    changes: HashMap<String, Option<Facts>>,
    /// What the changes since the mark have replaced, oldest first.
    undo: Vec<(String, Option<Option<Facts>>)>,
    /// By how much the requests of the batch move the statistics of each quota.
    growth: HashMap<String, Growth>,
    /// The same of the request that is being prepared, which does not count yet.
    growing: Vec<(String, Growth)>,
}

impl<'a> View<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self {
            tree,
            changes: HashMap::new(),
            undo: Vec::new(),
            growth: HashMap::new(),
            growing: Vec::new(),
        }
    }

    /// The quota that `path` falls under, with what the batch has used of it.
    pub(super) fn quota_of(&self, path: &str) -> Option<Quota> {
        let about = self.tree.quota_of(path)?;
        let (limits, used) = self.tree.quota(about)?;
        Some(Quota {
            about: about.to_owned(),
            limits,
            used,
            pending: self.growth.get(about).copied().unwrap_or_default(),
        })
    }

    /// A change that will move the statistics of the quota that it falls under.
    pub(super) fn grow(&mut self, path: &str, growth: Growth) {
        if let Some(about) = self.tree.quota_of(path) {
            self.growing.push((about.to_owned(), growth));
        }
    }

    /// The request that was prepared last has come to nothing, or is none yet.
    pub(super) fn forget_growth(&mut self) {
        self.growing.clear();
    }

    /// The request will be carried out.
    pub(super) fn keep_growth(&mut self) {
        for (about, growth) in self.growing.drain(..) {
            self.growth.entry(about).or_default().add(growth);
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<Facts> {
        let path = if path.is_empty() { "/" } else { path };
        match self.changes.get(path) {
            Some(changed) => changed.clone(),
            None => self.tree.get(path).map(Facts::of),
        }
    }

    pub(super) fn put(&mut self, path: &str, facts: Facts) {
        self.change(path, Some(facts));
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.change(path, None);
    }

    fn change(&mut self, path: &str, facts: Option<Facts>) {
        let path = if path.is_empty() { "/" } else { path };
        let before = self.changes.insert(path.to_owned(), facts);
        self.undo.push((path.to_owned(), before));
    }

    /// The changes from here on can be undone together.
    pub(super) fn mark(&mut self) {
        self.undo.clear();
    }

    pub(super) fn undo_to_mark(&mut self) {
        while let Some((path, before)) = self.undo.pop() {
            match before {
                Some(facts) => self.changes.insert(path, facts),
                None => self.changes.remove(&path),
            };
        }
    }

    /// The ephemeral nodes that a session will own, in order.
    pub(super) fn ephemerals_of(&self, session: i64) -> Vec<String> {
        let mut paths: Vec<String> = self
            .tree
            .ephemerals_of(session)
            .filter(|path| !self.changes.contains_key(path.as_ref()))
            .map(ToString::to_string)
            .collect();
        let changed = self
            .changes
            .iter()
            .filter(|(_, facts)| facts.as_ref().is_some_and(|facts| facts.owner == session));
        paths.extend(changed.map(|(path, _)| path.clone()));
        paths.sort();
        paths
    }
}
