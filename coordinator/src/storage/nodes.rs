//! Between the tree and the records of a snapshot.
//!
//! **Invariant:** this is all that the formats on disk know of the tree's memory.

use bytes::Bytes;

use super::snapshot::{Head, NodeRecord};
use crate::tree::{Inconsistent, Node, Stored, Tree};
use crate::txn::State;

/// All nodes in the order of their paths: parents come before their children.
pub(super) fn sorted(tree: &Tree) -> impl Iterator<Item = NodeRecord> {
    let nodes = tree.iter().map(|node| (node.path(), node));
    let mut nodes: Vec<(String, Node<'_>)> = nodes.collect();
    nodes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    nodes.into_iter().map(|(path, node)| record(path, node))
}

pub(super) fn record(path: String, node: Node<'_>) -> NodeRecord {
    NodeRecord {
        path,
        data: node.data().map(Bytes::copy_from_slice),
        acl: node.acl().to_vec(),
        czxid: node.czxid,
        mzxid: node.mzxid,
        pzxid: node.pzxid(),
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        cversion: node.cversion(),
        aversion: node.aversion,
        owner: node.stored_owner(),
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
    pub(super) fn add(&mut self, record: &NodeRecord) -> Result<(), Inconsistent> {
        let tree = &mut self.state.tree;
        let node = Stored {
            data: record.data.as_deref(),
            acl: &record.acl,
            czxid: record.czxid,
            mzxid: record.mzxid,
            pzxid: record.pzxid,
            ctime: record.ctime,
            mtime: record.mtime,
            version: record.version,
            cversion: record.cversion,
            aversion: record.aversion,
            owner: record.owner,
        };
        tree.restore(&record.path, &node)
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
