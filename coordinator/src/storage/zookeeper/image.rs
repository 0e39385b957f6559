//! The state of a ZooKeeper, as its files tell it.
//!
//! It is not a [`crate::tree::Tree`]: a snapshot of ZooKeeper's was written while
//! the tree changed, so nodes may be there before the transactions that create
//! them, and others not that the next one deletes.
//!
//! **Invariant:** a transaction changes it as it changes ZooKeeper's own tree.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use common::checksum::crc32;
use common::zk::{Acl, path};

use crate::tree::Owner;

/// The nodes below this one have no part in the digest.
const SYSTEM: &str = "/zookeeper/";

/// An ACL that many nodes share; `None` if the file has none of that number.
pub(super) type SharedAcl = Option<Arc<[Acl]>>;

/// What ZooKeeper keeps of a node's stat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    pub(super) version: i32,
    pub(super) cversion: i32,
    pub(super) aversion: i32,
    pub(super) owner: i64,
    pub(super) pzxid: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) data: Option<Bytes>,
    pub(super) acl: SharedAcl,
    pub(super) stat: Stat,
}

/// A transaction cannot be carried out: a node is there already, or is missing.
/// ZooKeeper goes on all the same, since a snapshot may be ahead of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

#[derive(Debug, Default)]
pub(super) struct Image {
    /// By path; the root is `/`.
    pub(super) nodes: HashMap<String, Node>,
    pub(super) sessions: BTreeMap<i64, i32>,
    ephemerals: HashMap<i64, BTreeSet<String>>,
    digest: i64,
}

impl Image {
    /// The sum by which ZooKeeper compares trees.
    pub(super) fn digest(&self) -> i64 {
        self.digest
    }

    /// Puts a node of a snapshot there. Its parent comes before it.
    pub(super) fn load(&mut self, path: String, node: Node) -> Result<(), Misfit> {
        if path != "/" && !self.nodes.contains_key(parent(&path)) {
            return Err(Misfit);
        }
        self.insert(path, node);
        Ok(())
    }

    pub(super) fn create(
        &mut self,
        path: &str,
        node: Node,
        parent_cversion: i32,
    ) -> Result<(), Misfit> {
        let zxid = node.stat.czxid;
        if let Some(existing) = self.nodes.get_mut(path) {
            // The snapshot may have it with an ACL that it does not know.
            existing.acl = node.acl;
            return Err(Misfit);
        }
        self.change(parent(path), |parent| {
            parent.child_created(parent_cversion, zxid);
        })?;
        self.insert(path.to_owned(), node);
        Ok(())
    }

    /// The child was in the snapshot already; its parent may have been written
    /// before it was created.
    pub(super) fn created_before(&mut self, path: &str, parent_cversion: i32, zxid: i64) {
        let changed = self.change(parent(path), |parent| {
            parent.child_created(parent_cversion, zxid);
        });
        if changed.is_err() {
            tracing::debug!(path, "neither the node nor its parent is there");
        }
    }

    pub(super) fn delete(&mut self, path: &str, zxid: i64) -> Result<(), Misfit> {
        self.change(parent(path), |parent| {
            parent.stat.pzxid = parent.stat.pzxid.max(zxid);
        })?;
        let node = self.nodes.remove(path).ok_or(Misfit)?;
        self.digest = self.digest.wrapping_sub(digest_of(path, &node));
        if let Owner::Session(session) = Owner::of(node.stat.owner)
            && let Some(owned) = self.ephemerals.get_mut(&session)
        {
            owned.remove(path);
        }
        Ok(())
    }

    /// Changes a node that is there.
    pub(super) fn change(&mut self, path: &str, how: impl FnOnce(&mut Node)) -> Result<(), Misfit> {
        let node = self.nodes.get_mut(path).ok_or(Misfit)?;
        let before = digest_of(path, node);
        how(node);
        let after = digest_of(path, node);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        Ok(())
    }

    /// Ends a session, whose nodes the transaction may name.
    pub(super) fn close_session(&mut self, session: i64, zxid: i64, named: &[String]) {
        self.sessions.remove(&session);
        let own = self.ephemerals.remove(&session).unwrap_or_default();
        let others = named.iter().filter(|path| !own.contains(*path));
        for path in own.iter().chain(others) {
            if self.delete(path, zxid).is_err() {
                tracing::debug!(path, "deleted before its session ended");
            }
        }
    }

    /// The sessions that own nodes and are not known: ZooKeeper ends them at a start.
    pub(super) fn dead_sessions(&self) -> Vec<i64> {
        let owning = self
            .ephemerals
            .iter()
            .filter(|(_, owned)| !owned.is_empty());
        let dead = owning.filter(|(id, _)| !self.sessions.contains_key(id));
        dead.map(|(id, _)| *id).collect()
    }

    fn insert(&mut self, path: String, node: Node) {
        self.digest = self.digest.wrapping_add(digest_of(&path, &node));
        if let Owner::Session(session) = Owner::of(node.stat.owner) {
            let owned = self.ephemerals.entry(session).or_default();
            owned.insert(path.clone());
        }
        if let Some(older) = self.nodes.insert(path.clone(), node) {
            self.digest = self.digest.wrapping_sub(digest_of(&path, &older));
        }
    }
}

impl Node {
    /// Sequence numbers never fall, whatever a snapshot had already.
    fn child_created(&mut self, cversion: i32, zxid: i64) {
        // Written before 3.4, or by a server that did not know.
        let cversion = match cversion {
            -1 => self.stat.cversion.wrapping_add(1),
            known => known,
        };
        if cversion > self.stat.cversion {
            self.stat.cversion = cversion;
            self.stat.pzxid = zxid;
        }
    }
}

/// The path of the parent.
pub(super) fn parent(path: &str) -> &str {
    path::parent(path).unwrap_or("/")
}

/// A node's part in the digest of the tree.
pub(super) fn digest_of(path: &str, node: &Node) -> i64 {
    if path.starts_with(SYSTEM) {
        return 0;
    }
    let data = node.data.as_deref().unwrap_or_default();
    let stat = &node.stat;
    let mut bytes = Vec::with_capacity(path.len() + data.len() + 60);
    if path != "/" {
        bytes.extend_from_slice(path.as_bytes());
    }
    bytes.extend_from_slice(data);
    for long in [stat.czxid, stat.mzxid, stat.pzxid, stat.ctime, stat.mtime] {
        bytes.extend_from_slice(&long.to_be_bytes());
    }
    for int in [stat.version, stat.cversion, stat.aversion] {
        bytes.extend_from_slice(&int.to_be_bytes());
    }
    bytes.extend_from_slice(&stat.owner.to_be_bytes());
    i64::from(crc32(&bytes))
}
