//! One node as its readers see it.

use std::ops::Deref;

use common::zk::Stat;

use super::record::Record;
use super::{AclRef, Owner, Tree, slab};

/// One node of a tree; its numbers are those of its [`Record`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(super) tree: &'a Tree,
    pub(super) id: slab::Id,
    pub(super) record: &'a Record,
}

impl Deref for Node<'_> {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.record
    }
}

impl<'a> Node<'a> {
    pub(crate) fn path(&self) -> String {
        self.tree.slab.path(self.id)
    }

    pub(crate) fn data(&self) -> Option<&'a [u8]> {
        self.record.data()
    }

    pub(crate) fn acl(&self) -> &'a AclRef {
        &self.tree.classes.get(self.record.class).acl
    }

    pub(crate) fn data_len(&self) -> usize {
        self.record.data_len()
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner::of(self.stored_owner())
    }

    /// The owner in the form that is kept on disk.
    pub(crate) fn stored_owner(&self) -> i64 {
        self.tree.classes.get(self.record.class).owner
    }

    pub(crate) fn child_count(&self) -> usize {
        let family = self.tree.slab.family(self.id);
        family.map_or(0, |family| family.count as usize)
    }

    /// How many children were ever created; also the next sequence number.
    pub(crate) fn cversion(&self) -> i32 {
        let family = self.tree.slab.family(self.id);
        family.map_or(0, |family| family.cversion)
    }

    /// The last transaction that created or deleted a child.
    pub(crate) fn pzxid(&self) -> i64 {
        let family = self.tree.slab.family(self.id);
        family.map_or(self.czxid, |family| family.pzxid)
    }

    /// The names of the children, in the order of their creation.
    pub(crate) fn children(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let slab = &self.tree.slab;
        let children = slab.children(self.id);
        children.map(|id| slab.get(id).name())
    }

    /// What clients are told. The reported cversion counts deletions too: each
    /// child that is gone was one creation and is one deletion.
    pub(crate) fn stat(&self) -> Stat {
        let num_children = saturate(self.child_count());
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion().wrapping_mul(2).wrapping_sub(num_children),
            aversion: self.aversion,
            ephemeral_owner: self.owner().reported(),
            data_length: saturate(self.data_len()),
            num_children,
            pzxid: self.pzxid(),
        }
    }
}

fn saturate(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
