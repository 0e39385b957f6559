//! The data tree: nodes by path, their stats, and who owns the ephemeral ones.
//!
//! Flow: `txn::apply` is the only caller of the methods that change the tree;
//! `pipeline` reads it, `storage` copies it into snapshots. `slab` holds the nodes,
//! `index` finds them by path, `class` keeps each ACL once.
//!
//! **Invariant:** no I/O and no clock; a change depends on its arguments only, so
//! a log replayed anywhere gives the same tree.
//! **Invariant:** a change that was prepared against this tree always applies; one
//! that cannot is a broken log, reported as [`Inconsistent`] and never ignored.
//! **Invariant:** every node but the root has a parent that lists it.

pub(crate) mod acl;
mod class;
mod index;
mod node;
mod owner;
pub(crate) mod quota;
mod record;
mod slab;
mod upkeep;

pub(crate) use node::Node;
pub(crate) use owner::{Owner, TTL_MS_MAX};
pub(crate) use upkeep::{Leftover, Look};

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use common::zk::{Acl, Id, path, perms};

use class::Classes;
use index::Index;
use quota::Role;
use record::{Numbers, Record};
use slab::{NONE, Slab};

/// An ACL shared by all the nodes that have the same.
pub(crate) type AclRef = Arc<[Acl]>;

/// The nodes that exist from the beginning and cannot be deleted.
pub(crate) const SPECIAL_PATHS: [&str; 4] = ["/", "/zookeeper", QUOTA_PATH, CONFIG_PATH];
const QUOTA_PATH: &str = "/zookeeper/quota";
const CONFIG_PATH: &str = "/zookeeper/config";

/// A transaction does not fit the tree: log and tree belong to different histories.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the transaction does not fit the tree: {0}")]
pub(crate) struct Inconsistent(String);

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
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

/// Everything about a node but its path, as a snapshot has it.
#[derive(Debug, Clone)]
pub(crate) struct Stored<'a> {
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) acl: &'a [Acl],
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) pzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
    pub(crate) owner: i64,
}

/// When a change happened: its transaction and the time it was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) zxid: i64,
    pub(crate) time_ms: i64,
}

/// The ephemeral nodes of the sessions that have any.
pub(crate) type Ephemerals = HashMap<i64, BTreeSet<Arc<str>>>;

/// All nodes.
#[derive(Debug)]
pub(crate) struct Tree {
    slab: Slab,
    index: Index,
    classes: Classes,
    ephemerals: Ephemerals,
    ephemeral_count: usize,
    /// The containers and the nodes with a TTL.
    removable: BTreeSet<slab::Id>,
    /// The paths that have limits below `/zookeeper/quota`.
    quotas: HashSet<Arc<str>>,
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
            let node = Stored {
                data: Some(&[]),
                acl,
                czxid: 0,
                mzxid: 0,
                pzxid: 0,
                ctime: 0,
                mtime: 0,
                version: 0,
                cversion: 0,
                aversion,
                owner: 0,
            };
            tree.restore(path, &node)
                .expect("parents come before their children");
        }
        tree
    }

    /// A tree without any node, to be filled by [`Tree::restore`].
    pub(crate) fn empty() -> Self {
        Self {
            slab: Slab::default(),
            index: Index::default(),
            classes: Classes::default(),
            ephemerals: HashMap::new(),
            ephemeral_count: 0,
            removable: BTreeSet::new(),
            quotas: HashSet::new(),
            data_size: 0,
        }
    }

    /// Puts back a node of a snapshot; parents come before their children.
    pub(crate) fn restore(&mut self, path: &str, node: &Stored<'_>) -> Result<(), Inconsistent> {
        let parent = match path::parent(path) {
            Some(parent) => self.find(parent)?,
            None => NONE,
        };
        if self.get(path).is_some() {
            return Err(Inconsistent(format!("{path} is there twice")));
        }
        let numbers = Numbers {
            class: self.classes.take(node.acl, node.owner),
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            aversion: node.aversion,
        };
        let record = Record::new(path::name(path), node.data, &numbers);
        let id = self.insert(path, record, parent);
        if node.cversion != 0 || node.pzxid != node.czxid {
            let family = self.slab.family_mut(id);
            (family.cversion, family.pzxid) = (node.cversion, node.pzxid);
        }
        Ok(())
    }

    /// The node at `path`; the empty path is another name of the root.
    pub(crate) fn get(&self, path: &str) -> Option<Node<'_>> {
        let path = if path.is_empty() { "/" } else { path };
        self.index.find(&self.slab, path).map(|id| self.node(id))
    }

    fn node(&self, id: slab::Id) -> Node<'_> {
        Node {
            tree: self,
            id,
            record: self.slab.get(id),
        }
    }

    /// Every node, parents before their children.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Node<'_>> {
        let root = self.index.find(&self.slab, "/");
        let nodes = root.map(|root| self.slab.subtree(root));
        nodes.into_iter().flatten().map(|id| self.node(id))
    }

    /// The count that ZooKeeper reports: it counts the root under both its names.
    pub(crate) fn reported_len(&self) -> usize {
        self.slab.len() + 1
    }

    pub(crate) fn data_size(&self) -> usize {
        self.data_size
    }

    pub(crate) fn ephemeral_count(&self) -> usize {
        self.ephemeral_count
    }

    /// The sessions that own ephemeral nodes, with them.
    pub(crate) fn ephemerals(&self) -> &Ephemerals {
        &self.ephemerals
    }

    /// The ephemeral nodes of one session, in order.
    pub(crate) fn ephemerals_of(&self, session: i64) -> impl Iterator<Item = &Arc<str>> {
        let owned = self.ephemerals.get(&session);
        owned.into_iter().flatten()
    }

    /// How many nodes lie below `path`.
    pub(crate) fn descendant_count(&self, path: &str) -> usize {
        let top = self.get(path);
        top.map_or(0, |top| self.slab.subtree(top.id).count() - 1)
    }

    pub(crate) fn create(
        &mut self,
        path: &str,
        new: &NewNode,
        at: Moment,
    ) -> Result<(), Inconsistent> {
        if self.get(path).is_some() {
            return Err(Inconsistent(format!("{path} to be created exists")));
        }
        let parent_path = path::parent(path)
            .ok_or_else(|| Inconsistent(format!("{path} to be created has no parent")))?;
        let parent_id = self.find(parent_path)?;
        let family = self.slab.family_mut(parent_id);
        // Sequence numbers must never repeat, also if a count arrives late.
        family.cversion = family.cversion.max(new.parent_cversion);
        family.pzxid = family.pzxid.max(at.zxid);
        let numbers = Numbers {
            class: self.classes.take(&new.acl, new.owner),
            czxid: at.zxid,
            mzxid: at.zxid,
            ctime: at.time_ms,
            mtime: at.time_ms,
            version: 0,
            aversion: 0,
        };
        let record = Record::new(path::name(path), new.data.as_deref(), &numbers);
        let bytes = signed(record.data_len());
        self.insert(path, record, parent_id);
        if let Some(Role::Stats(about)) = quota::role(path) {
            self.recount(about);
        }
        self.count_in_quota(path, 1, bytes);
        Ok(())
    }

    /// Removes a node; its ACL says who may hear of that.
    pub(crate) fn delete(&mut self, path: &str, zxid: i64) -> Result<AclRef, Inconsistent> {
        let id = self.find(path)?;
        if self.node(id).child_count() != 0 {
            return Err(Inconsistent(format!("{path} to be deleted has children")));
        }
        let parent = self.slab.parent(id);
        if parent == NONE {
            return Err(Inconsistent(format!("{path} cannot be deleted")));
        }
        let family = self.slab.family_mut(parent);
        family.pzxid = family.pzxid.max(zxid);
        self.index.remove(path, id);
        let record = self.slab.remove(id);
        self.data_size -= path.len() + record.data_len();
        let class = self.classes.get(record.class);
        let acl = AclRef::clone(&class.acl);
        match Owner::of(class.owner) {
            Owner::Nobody => {}
            Owner::Container | Owner::Ttl { .. } => {
                self.removable.remove(&id);
            }
            Owner::Session(session) => self.disown(session, path),
        }
        if let Some(Role::Limits(about)) = quota::role(path) {
            self.quotas.remove(about);
        }
        self.count_in_quota(path, -1, -signed(record.data_len()));
        self.classes.release(record.class);
        Ok(acl)
    }

    fn disown(&mut self, session: i64, path: &str) {
        let Some(owned) = self.ephemerals.get_mut(&session) else {
            return;
        };
        owned.remove(path);
        self.ephemeral_count -= 1;
        if owned.is_empty() {
            self.ephemerals.remove(&session);
        }
    }

    pub(crate) fn set_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        at: Moment,
    ) -> Result<Node<'_>, Inconsistent> {
        let id = self.find(path)?;
        let record = self.slab.get_mut(id);
        let size_before = record.data_len();
        record.set_data(data);
        record.version = version;
        record.mzxid = at.zxid;
        record.mtime = at.time_ms;
        let size_after = record.data_len();
        self.data_size = self.data_size - size_before + size_after;
        self.count_in_quota(path, 0, signed(size_after) - signed(size_before));
        Ok(self.node(id))
    }

    pub(crate) fn set_acl(
        &mut self,
        path: &str,
        acl: &[Acl],
        aversion: i32,
    ) -> Result<Node<'_>, Inconsistent> {
        let id = self.find(path)?;
        let class = self.classes.take(acl, self.node(id).stored_owner());
        let record = self.slab.get_mut(id);
        record.aversion = aversion;
        let before = std::mem::replace(&mut record.class, class);
        self.classes.release(before);
        Ok(self.node(id))
    }

    /// Takes in a node whose path is not taken.
    fn insert(&mut self, path: &str, record: Record, parent: slab::Id) -> slab::Id {
        self.data_size += path.len() + record.data_len();
        let owner = self.classes.get(record.class).owner;
        let id = self.slab.insert(record, parent);
        self.index.insert(&self.slab, path, id);
        match Owner::of(owner) {
            Owner::Nobody => {}
            Owner::Container | Owner::Ttl { .. } => {
                self.removable.insert(id);
            }
            Owner::Session(session) => {
                let owned = self.ephemerals.entry(session).or_default();
                owned.insert(path.into());
                self.ephemeral_count += 1;
            }
        }
        if let Some(Role::Limits(about)) = quota::role(path) {
            self.quotas.insert(about.into());
        }
        id
    }

    fn find(&self, path: &str) -> Result<slab::Id, Inconsistent> {
        let node = self.get(path);
        node.map(|node| node.id)
            .ok_or_else(|| Inconsistent(format!("{path} does not exist")))
    }
}

#[cfg(test)]
mod tests;
