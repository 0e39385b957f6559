//! The data tree: nodes by path, their stats, and who owns the ephemeral ones.
//!
//! Flow: `txn::apply` is the only caller of the methods that change the tree;
//! `pipeline` reads it, `storage` copies it into snapshots.
//!
//! **Invariant:** no I/O and no clock; a change depends on its arguments only, so
//! a log replayed anywhere gives the same tree.
//! **Invariant:** a change that was prepared against this tree always applies; one
//! that cannot is a broken log, reported as [`Inconsistent`] and never ignored.
//! **Invariant:** every node but the root has a parent that lists it.

pub(crate) mod acl;
mod owner;
pub(crate) mod quota;
mod upkeep;

pub(crate) use owner::{Owner, TTL_MS_MAX};
pub(crate) use upkeep::Leftover;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use common::zk::{Acl, Id, Stat, path, perms};

use quota::Role;

/// An ACL shared by all the nodes that have the same.
pub(crate) type AclRef = Arc<[Acl]>;

/// The nodes that exist from the beginning and cannot be deleted.
pub(crate) const SPECIAL_PATHS: [&str; 4] = ["/", "/zookeeper", QUOTA_PATH, CONFIG_PATH];
const QUOTA_PATH: &str = "/zookeeper/quota";
const CONFIG_PATH: &str = "/zookeeper/config";

/// So few different ACLs are never worth looking for unused ones.
const ACLS_MAX_MIN: usize = 1024;

/// A transaction does not fit the tree: log and tree belong to different histories.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the transaction does not fit the tree: {0}")]
pub(crate) struct Inconsistent(String);

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: AclRef,
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) pzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    /// How many children were ever created; also the next sequence number.
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
    /// As [`Owner`] stores it: the session of an ephemeral node, 0 for most others.
    pub(crate) owner: i64,
    pub(crate) children: HashSet<Arc<str>>,
}

impl Node {
    /// What clients are told. The reported cversion counts deletions too: each
    /// child that is gone was one creation and is one deletion.
    pub(crate) fn stat(&self) -> Stat {
        let num_children = saturate(self.children.len());
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: self.owner().reported(),
            data_length: saturate(self.data.as_ref().map_or(0, Bytes::len)),
            num_children,
            pzxid: self.pzxid,
        }
    }

    pub(crate) fn data_len(&self) -> usize {
        self.data.as_ref().map_or(0, Bytes::len)
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner::of(self.owner)
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn saturate(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// What a new node starts with.
#[derive(Debug, Clone)]
pub(crate) struct NewNode {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: Vec<Acl>,
    pub(crate) owner: i64,
    /// The parent's count of creations, this one included.
    pub(crate) parent_cversion: i32,
}

/// When a change happened: its transaction and the time it was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) zxid: i64,
    pub(crate) time_ms: i64,
}

/// All nodes. A clone shares the nodes with the original until either changes.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: HashMap<Arc<str>, Arc<Node>>,
    ephemerals: HashMap<i64, BTreeSet<Arc<str>>>,
    ephemeral_count: usize,
    /// The containers and the nodes with a TTL.
    removable: HashSet<Arc<str>>,
    /// The paths that have limits below `/zookeeper/quota`.
    quotas: HashSet<Arc<str>>,
    acls: HashSet<AclRef>,
    /// At this many ACLs those that no node has any more are dropped.
    acls_max: usize,
    /// Bytes of all paths and data.
    data_size: usize,
}

impl Tree {
    /// The tree of a server that has just been set up.
    pub(crate) fn fresh() -> Self {
        let mut tree = Self::empty();
        let open = Acl::open();
        let readable = vec![Acl::new(perms::READ, Id::world())];
        for (path, acl, aversion) in [
            ("/", &open, 0),
            ("/zookeeper", &open, 0),
            (QUOTA_PATH, &open, 0),
            (CONFIG_PATH, &readable, -1),
        ] {
            let node = Node {
                data: Some(Bytes::new()),
                acl: tree.intern(acl),
                czxid: 0,
                mzxid: 0,
                pzxid: 0,
                ctime: 0,
                mtime: 0,
                version: 0,
                cversion: 0,
                aversion,
                owner: 0,
                children: HashSet::new(),
            };
            tree.restore(path.into(), node)
                .expect("parents come before their children");
        }
        tree
    }

    /// A tree without any node, to be filled by [`Tree::restore`].
    pub(crate) fn empty() -> Self {
        Self {
            nodes: HashMap::new(),
            ephemerals: HashMap::new(),
            ephemeral_count: 0,
            removable: HashSet::new(),
            quotas: HashSet::new(),
            acls: HashSet::new(),
            acls_max: ACLS_MAX_MIN,
            data_size: 0,
        }
    }

    /// Puts back a node of a snapshot; parents come before their children.
    pub(crate) fn restore(&mut self, path: Arc<str>, node: Node) -> Result<(), Inconsistent> {
        if let Some(parent) = path::parent(&path) {
            let name = path::name(&path).into();
            self.node_mut(parent)?.children.insert(name);
        }
        self.insert(path, node)
    }

    /// The one copy of an ACL.
    pub(crate) fn intern(&mut self, acl: &[Acl]) -> AclRef {
        if let Some(known) = self.acls.get(acl) {
            return Arc::clone(known);
        }
        if self.acls.len() >= self.acls_max {
            self.acls.retain(|acl| Arc::strong_count(acl) > 1);
            self.acls_max = ACLS_MAX_MIN.max(self.acls.len() * 2);
        }
        let acl: AclRef = acl.into();
        self.acls.insert(Arc::clone(&acl));
        acl
    }

    /// The node at `path`; the empty path is another name of the root.
    pub(crate) fn get(&self, path: &str) -> Option<&Node> {
        let path = if path.is_empty() { "/" } else { path };
        self.nodes.get(path).map(Arc::as_ref)
    }

    /// Every node with its path, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Node)> {
        self.nodes.iter().map(|(path, node)| (path, node.as_ref()))
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The count that ZooKeeper reports: it counts the root under both its names.
    pub(crate) fn reported_len(&self) -> usize {
        self.nodes.len() + 1
    }

    pub(crate) fn data_size(&self) -> usize {
        self.data_size
    }

    pub(crate) fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    /// The sessions that own ephemeral nodes, with them.
    pub(crate) fn ephemerals(&self) -> &HashMap<i64, BTreeSet<Arc<str>>> {
        &self.ephemerals
    }

    /// The ephemeral nodes of one session, in order.
    pub(crate) fn ephemerals_of(&self, session: i64) -> impl Iterator<Item = &Arc<str>> {
        self.ephemerals.get(&session).into_iter().flatten()
    }

    /// How many nodes lie below `path`.
    pub(crate) fn descendant_count(&self, path: &str) -> usize {
        if path.is_empty() || path == "/" {
            return self.nodes.len() - 1;
        }
        let prefix = format!("{path}/");
        self.nodes.keys().filter(|p| p.starts_with(&prefix)).count()
    }

    pub(crate) fn create(
        &mut self,
        path: &str,
        new: NewNode,
        at: Moment,
    ) -> Result<(), Inconsistent> {
        if self.nodes.contains_key(path) {
            return Err(Inconsistent(format!("{path} to be created exists")));
        }
        let parent_path = path::parent(path)
            .ok_or_else(|| Inconsistent(format!("{path} to be created has no parent")))?;
        let parent = self.node_mut(parent_path)?;
        parent.children.insert(path::name(path).into());
        // Sequence numbers must never repeat, also if a count arrives late.
        parent.cversion = parent.cversion.max(new.parent_cversion);
        parent.pzxid = parent.pzxid.max(at.zxid);
        let acl = self.intern(&new.acl);
        let node = Node {
            data: new.data,
            acl,
            czxid: at.zxid,
            mzxid: at.zxid,
            pzxid: at.zxid,
            ctime: at.time_ms,
            mtime: at.time_ms,
            version: 0,
            cversion: 0,
            aversion: 0,
            owner: new.owner,
            children: HashSet::new(),
        };
        let bytes = signed(node.data_len());
        self.insert(path.into(), node)?;
        if let Some(Role::Stats(about)) = quota::role(path) {
            self.recount(about);
        }
        self.count_in_quota(path, 1, bytes);
        Ok(())
    }

    /// Removes a node and returns what it was.
    pub(crate) fn delete(&mut self, path: &str, zxid: i64) -> Result<Arc<Node>, Inconsistent> {
        match self.get(path) {
            None => return Err(missing(path)),
            Some(node) if !node.children.is_empty() => {
                return Err(Inconsistent(format!("{path} to be deleted has children")));
            }
            Some(_) => {}
        }
        let parent_path =
            path::parent(path).ok_or_else(|| Inconsistent(format!("{path} cannot be deleted")))?;
        let parent = self.node_mut(parent_path)?;
        parent.children.remove(path::name(path));
        parent.pzxid = parent.pzxid.max(zxid);
        let node = self.nodes.remove(path).ok_or_else(|| missing(path))?;
        self.data_size -= path.len() + node.data_len();
        match node.owner() {
            Owner::Nobody => {}
            Owner::Container | Owner::Ttl { .. } => {
                self.removable.remove(path);
            }
            Owner::Session(session) => {
                if let Some(owned) = self.ephemerals.get_mut(&session) {
                    owned.remove(path);
                    self.ephemeral_count -= 1;
                    if owned.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
        }
        if let Some(Role::Limits(about)) = quota::role(path) {
            self.quotas.remove(about);
        }
        self.count_in_quota(path, -1, -signed(node.data_len()));
        Ok(node)
    }

    pub(crate) fn set_data(
        &mut self,
        path: &str,
        data: Option<Bytes>,
        version: i32,
        at: Moment,
    ) -> Result<&Node, Inconsistent> {
        let size_after = data.as_ref().map_or(0, Bytes::len);
        let node = self.node_mut(path)?;
        let size_before = node.data_len();
        node.data = data;
        node.version = version;
        node.mzxid = at.zxid;
        node.mtime = at.time_ms;
        self.data_size = self.data_size - size_before + size_after;
        self.count_in_quota(path, 0, signed(size_after) - signed(size_before));
        self.get(path).ok_or_else(|| missing(path))
    }

    pub(crate) fn set_acl(
        &mut self,
        path: &str,
        acl: &[Acl],
        aversion: i32,
    ) -> Result<&Node, Inconsistent> {
        let acl = self.intern(acl);
        let node = self.node_mut(path)?;
        node.acl = acl;
        node.aversion = aversion;
        Ok(node)
    }

    fn insert(&mut self, path: Arc<str>, node: Node) -> Result<(), Inconsistent> {
        match node.owner() {
            Owner::Nobody => {}
            Owner::Container | Owner::Ttl { .. } => {
                self.removable.insert(Arc::clone(&path));
            }
            Owner::Session(session) => {
                let owned = self.ephemerals.entry(session).or_default();
                owned.insert(Arc::clone(&path));
                self.ephemeral_count += 1;
            }
        }
        if let Some(Role::Limits(about)) = quota::role(&path) {
            self.quotas.insert(about.into());
        }
        self.data_size += path.len() + node.data_len();
        match self.nodes.insert(Arc::clone(&path), Arc::new(node)) {
            None => Ok(()),
            Some(_) => Err(Inconsistent(format!("{path} is there twice"))),
        }
    }

    fn node_mut(&mut self, path: &str) -> Result<&mut Node, Inconsistent> {
        let path = if path.is_empty() { "/" } else { path };
        let node = self.nodes.get_mut(path).ok_or_else(|| missing(path))?;
        Ok(Arc::make_mut(node))
    }
}

fn missing(path: &str) -> Inconsistent {
    Inconsistent(format!("{path} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zxid: i64) -> Moment {
        Moment {
            zxid,
            time_ms: zxid * 10,
        }
    }

    fn node(owner: i64, parent_cversion: i32) -> NewNode {
        NewNode {
            data: Some(Bytes::from_static(b"data")),
            acl: Acl::open(),
            owner,
            parent_cversion,
        }
    }

    #[test]
    fn a_fresh_tree_is_that_of_zookeeper() {
        let tree = Tree::fresh();
        assert_eq!(tree.reported_len(), 5);
        let root = tree.get("/").unwrap().stat();
        assert_eq!((root.num_children, root.cversion, root.pzxid), (1, -1, 0));
        assert_eq!(tree.get("").unwrap().stat(), root);
        assert_eq!(tree.get("/zookeeper").unwrap().stat().cversion, -2);
        assert_eq!(tree.get(CONFIG_PATH).unwrap().aversion, -1);
        assert_eq!(tree.descendant_count("/zookeeper"), 2);
        assert_eq!(tree.descendant_count("/"), 3);
    }

    #[test]
    fn creation_and_deletion_move_the_parents_stat() {
        let mut tree = Tree::fresh();
        tree.create("/a", node(0, 1), at(1)).unwrap();
        tree.create("/a/b", node(0, 1), at(2)).unwrap();
        tree.create("/a/c", node(0, 2), at(3)).unwrap();
        let stat = tree.get("/a").unwrap().stat();
        assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (2, 2, 3));
        tree.delete("/a/b", 4).unwrap();
        let stat = tree.get("/a").unwrap().stat();
        assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (3, 1, 4));
        assert_eq!((stat.czxid, stat.mzxid, stat.version), (1, 1, 0));
    }

    #[test]
    fn data_moves_version_and_mzxid_only() {
        let mut tree = Tree::fresh();
        tree.create("/a", node(0, 1), at(1)).unwrap();
        let size = tree.data_size();
        tree.set_data("/a", None, 1, at(2)).unwrap();
        assert_eq!(tree.data_size(), size - 4);
        let stat = tree.get("/a").unwrap().stat();
        assert_eq!((stat.mzxid, stat.version, stat.mtime), (2, 1, 20));
        assert_eq!((stat.czxid, stat.ctime, stat.data_length), (1, 10, 0));
        tree.set_acl("/a", &[], 1).unwrap();
        let stat = tree.get("/a").unwrap().stat();
        assert_eq!((stat.mzxid, stat.version, stat.aversion), (2, 1, 1));
    }

    #[test]
    fn ephemerals_are_known_by_their_session() {
        let mut tree = Tree::fresh();
        tree.create("/e1", node(7, 1), at(1)).unwrap();
        tree.create("/e2", node(7, 2), at(2)).unwrap();
        let owned: Vec<_> = tree.ephemerals_of(7).map(ToString::to_string).collect();
        assert_eq!(owned, ["/e1", "/e2"]);
        assert_eq!(tree.ephemeral_count(), 2);
        tree.delete("/e1", 3).unwrap();
        tree.delete("/e2", 4).unwrap();
        assert!(tree.ephemerals().is_empty());
        assert_eq!(tree.ephemeral_count(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut tree = Tree::fresh();
        assert!(tree.create("/a/b", node(0, 1), at(1)).is_err());
        assert!(tree.create("/zookeeper", node(0, 1), at(1)).is_err());
        assert!(tree.delete("/zookeeper", 1).is_err());
        assert!(tree.delete("/nothing", 1).is_err());
        assert!(tree.set_data("/nothing", None, 1, at(1)).is_err());
    }

    #[test]
    fn acls_that_nobody_has_are_forgotten() {
        let mut tree = Tree::fresh();
        tree.create("/a", node(0, 1), at(1)).unwrap();
        for n in 0..10 * ACLS_MAX_MIN {
            let acl = [Acl::new(perms::READ, Id::new("digest", format!("u:{n}")))];
            tree.set_acl("/a", &acl, 1).unwrap();
        }
        assert!(tree.acls.len() <= ACLS_MAX_MIN);
        assert_eq!(tree.get("/a").unwrap().acl[0].id.id, "u:10239");
        assert_eq!(tree.get("/").unwrap().acl.to_vec(), Acl::open());
    }

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut tree = Tree::fresh();
        tree.create("/a", node(0, 1), at(1)).unwrap();
        let copy = tree.clone();
        tree.create("/a/b", node(0, 1), at(2)).unwrap();
        tree.set_data("/a", None, 1, at(3)).unwrap();
        assert_eq!(copy.get("/a").unwrap().stat().mzxid, 1);
        assert_eq!(copy.get("/a").unwrap().stat().num_children, 0);
        assert!(copy.get("/a/b").is_none());
    }
}
