//! Between the tree and the records of a snapshot.
//!
//! **Invariant:** this is all that the formats on disk know of the tree's memory.

use std::sync::Arc;

use super::snapshot::{Head, NodeRecord};
use crate::tree::{Inconsistent, Node, Tree};
use crate::txn::State;

/// All nodes in the order of their paths: parents come before their children.
pub(super) fn sorted(tree: &Tree) -> impl Iterator<Item = NodeRecord> {
    let mut nodes: Vec<(&Arc<str>, &Node)> = tree.iter().collect();
    nodes.sort_unstable_by_key(|(path, _)| Arc::clone(path));
    nodes.into_iter().map(|(path, node)| record(path, node))
}

pub(super) fn record(path: &str, node: &Node) -> NodeRecord {
    NodeRecord {
        path: path.to_owned(),
        data: node.data.clone(),
        acl: node.acl.to_vec(),
        czxid: node.czxid,
        mzxid: node.mzxid,
        pzxid: node.pzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        cversion: node.cversion,
        aversion: node.aversion,
        owner: node.owner,
    }
}

/// Makes a state of a snapshot's parts.
#[derive(Debug)]
pub(super) struct Builder {
    state: State,
}

impl Builder {
    pub(super) fn new(head: Head) -> Self {
        let mut state = State::fresh(head.secret);
        state.tree = Tree::empty();
        state.zxid = head.zxid;
        state.sessions = head.sessions.into_iter().collect();
        state.imported = head.imported.into_iter().collect();
        Self { state }
    }

    /// Adds a node; its parent has to be there.
    pub(super) fn add(&mut self, record: NodeRecord) -> Result<(), Inconsistent> {
        let tree = &mut self.state.tree;
        let node = Node {
            data: record.data,
            acl: tree.intern(&record.acl),
            czxid: record.czxid,
            mzxid: record.mzxid,
            pzxid: record.pzxid,
            ctime: record.ctime,
            mtime: record.mtime,
            version: record.version,
            cversion: record.cversion,
            aversion: record.aversion,
            owner: record.owner,
            children: std::collections::HashSet::new(),
        };
        tree.restore(record.path.into(), node)
    }

    /// The state, if each ephemeral node has its session; else that session.
    pub(super) fn finish(self) -> Result<State, i64> {
        let state = self.state;
        let owners = state.tree.ephemerals().keys();
        match owners
            .into_iter()
            .find(|id| !state.sessions.contains_key(id))
        {
            Some(orphan) => Err(*orphan),
            None => Ok(state),
        }
    }

    /// The state of some of the nodes.
    pub(super) fn finish_partly(self) -> State {
        self.state
    }
}
