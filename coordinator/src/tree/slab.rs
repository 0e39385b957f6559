//! Where the nodes live: pages of records, and beside them pages of family links.
//!
//! A node is a number. Its record is of fixed size and points to one allocation
//! that holds path and data; its links make a ring of each node's children, in the
//! order of their creation, so that listing them needs no set of names.
//!
//! **Invariant:** a clone shares all pages with the original. Whoever changes a page
//! that is shared changes a copy of it, so cloning costs a reference per page, and
//! what it delays later is one page at a time.
//! **Invariant:** an id is valid from `insert` to `remove`; ids are used again.

use std::sync::Arc;

use super::acls::AclId;

/// A node's number.
pub(super) type Id = u32;

/// The parent of the root, and the first child of a node without children.
pub(super) const NONE: Id = Id::MAX;

const PAGE: usize = 128;

/// Path and data in one piece of memory.
#[derive(Debug, Clone)]
pub(super) struct Body {
    bytes: Arc<[u8]>,
    path_len: u32,
    /// There is no data, which is not the same as data of no bytes.
    is_null: bool,
}

impl Body {
    pub(super) fn new(path: &str, data: Option<&[u8]>) -> Self {
        let mut bytes = Vec::with_capacity(path.len() + data.map_or(0, <[u8]>::len));
        bytes.extend_from_slice(path.as_bytes());
        bytes.extend_from_slice(data.unwrap_or_default());
        Self {
            bytes: bytes.into(),
            path_len: u32::try_from(path.len()).expect("a frame is far below 4 GiB"),
            is_null: data.is_none(),
        }
    }

    pub(super) fn path_bytes(&self) -> &[u8] {
        &self.bytes[..self.path_len as usize]
    }

    pub(super) fn path(&self) -> &str {
        std::str::from_utf8(self.path_bytes()).expect("it was made of a str")
    }

    pub(super) fn data(&self) -> Option<&[u8]> {
        (!self.is_null).then(|| &self.bytes[self.path_len as usize..])
    }

    pub(super) fn data_len(&self) -> usize {
        self.bytes.len() - self.path_len as usize
    }

    /// Bytes of path and data.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn set_data(&mut self, data: Option<&[u8]>) {
        let new = data.unwrap_or_default();
        let start = self.path_len as usize;
        self.is_null = data.is_none();
        if self.data_len() == new.len()
            && let Some(bytes) = Arc::get_mut(&mut self.bytes)
        {
            bytes[start..].copy_from_slice(new);
            return;
        }
        let mut bytes = Vec::with_capacity(start + new.len());
        bytes.extend_from_slice(self.path_bytes());
        bytes.extend_from_slice(new);
        self.bytes = bytes.into();
    }
}

/// What is kept of a node.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(super) body: Body,
    pub(super) acl: AclId,
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) pzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    /// As [`Owner`](super::Owner) stores it: the session of an ephemeral node, 0 for
    /// most others.
    pub(crate) owner: i64,
    pub(crate) version: i32,
    /// How many children were ever created; also the next sequence number.
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
}

/// A node's place in the family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) parent: Id,
    pub(super) child_count: u32,
    /// The oldest child.
    first_child: Id,
    /// The siblings are a ring: the newest is before the oldest.
    before: Id,
    after: Id,
}

impl Links {
    const UNUSED: Self = Self {
        parent: NONE,
        child_count: 0,
        first_child: NONE,
        before: NONE,
        after: NONE,
    };
}

type RecordPage = Arc<[Option<Record>; PAGE]>;
type LinksPage = Arc<[Links; PAGE]>;

#[derive(Debug, Clone, Default)]
pub(super) struct Slab {
    records: Vec<RecordPage>,
    links: Vec<LinksPage>,
    free: Vec<Id>,
    /// Ids from here on were never used.
    fresh: Id,
}

fn place(id: Id) -> (usize, usize) {
    (id as usize / PAGE, id as usize % PAGE)
}

impl Slab {
    pub(super) fn len(&self) -> usize {
        self.fresh as usize - self.free.len()
    }

    pub(super) fn get(&self, id: Id) -> &Record {
        let (page, slot) = place(id);
        let record = self.records[page][slot].as_ref();
        record.expect("ids are valid until their node is removed")
    }

    pub(super) fn get_mut(&mut self, id: Id) -> &mut Record {
        let record = self.slot(id).as_mut();
        record.expect("ids are valid until their node is removed")
    }

    pub(super) fn links(&self, id: Id) -> Links {
        let (page, slot) = place(id);
        self.links[page][slot]
    }

    /// Takes in a node as the newest child of `parent`, which is [`NONE`] for the root.
    pub(super) fn insert(&mut self, record: Record, parent: Id) -> Id {
        let id = self.free.pop().unwrap_or_else(|| self.next_fresh());
        *self.slot(id) = Some(record);
        *self.links_mut(id) = Links {
            parent,
            before: id,
            after: id,
            ..Links::UNUSED
        };
        if parent != NONE {
            self.join_siblings(id, parent);
        }
        id
    }

    /// Takes out a node that has no children.
    pub(super) fn remove(&mut self, id: Id) -> Record {
        let links = self.links(id);
        if links.parent != NONE {
            self.leave_siblings(id, links);
        }
        *self.links_mut(id) = Links::UNUSED;
        let record = self.slot(id).take();
        self.free.push(id);
        record.expect("ids are valid until their node is removed")
    }

    fn join_siblings(&mut self, id: Id, parent: Id) {
        let of_parent = self.links_mut(parent);
        of_parent.child_count += 1;
        let oldest = of_parent.first_child;
        if oldest == NONE {
            of_parent.first_child = id;
            return;
        }
        let newest = std::mem::replace(&mut self.links_mut(oldest).before, id);
        self.links_mut(newest).after = id;
        let own = self.links_mut(id);
        (own.before, own.after) = (newest, oldest);
    }

    fn leave_siblings(&mut self, id: Id, links: Links) {
        self.links_mut(links.before).after = links.after;
        self.links_mut(links.after).before = links.before;
        let of_parent = self.links_mut(links.parent);
        of_parent.child_count -= 1;
        if of_parent.first_child == id {
            of_parent.first_child = if links.after == id { NONE } else { links.after };
        }
    }

    /// The children of a node, the oldest first.
    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = Id> {
        let first = self.links(id).first_child;
        let first = (first != NONE).then_some(first);
        std::iter::successors(first, |child| self.next_sibling(*child))
    }

    fn next_sibling(&self, id: Id) -> Option<Id> {
        let links = self.links(id);
        let is_newest = links.parent == NONE || links.after == self.links(links.parent).first_child;
        (!is_newest).then_some(links.after)
    }

    /// A node and all below it, parents before their children.
    pub(super) fn subtree(&self, top: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(top), move |id| {
            let first = self.links(*id).first_child;
            if first != NONE {
                return Some(first);
            }
            let mut id = *id;
            while id != top {
                if let Some(next) = self.next_sibling(id) {
                    return Some(next);
                }
                id = self.links(id).parent;
            }
            None
        })
    }

    fn next_fresh(&mut self) -> Id {
        let id = self.fresh;
        if place(id).0 == self.records.len() {
            self.records.push(Arc::new([const { None }; PAGE]));
            self.links.push(Arc::new([Links::UNUSED; PAGE]));
        }
        self.fresh += 1;
        assert!(self.fresh < NONE, "memory ends before the numbers do");
        id
    }

    fn slot(&mut self, id: Id) -> &mut Option<Record> {
        let (page, slot) = place(id);
        &mut Arc::make_mut(&mut self.records[page])[slot]
    }

    fn links_mut(&mut self, id: Id) -> &mut Links {
        let (page, slot) = place(id);
        &mut Arc::make_mut(&mut self.links[page])[slot]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> Record {
        Record {
            body: Body::new(path, None),
            acl: AclId::default(),
            czxid: 0,
            mzxid: 0,
            pzxid: 0,
            ctime: 0,
            mtime: 0,
            owner: 0,
            version: 0,
            cversion: 0,
            aversion: 0,
        }
    }

    fn paths(slab: &Slab, ids: impl Iterator<Item = Id>) -> Vec<&str> {
        ids.map(|id| slab.get(id).body.path()).collect()
    }

    #[test]
    fn children_are_listed_in_the_order_of_their_creation() {
        let mut slab = Slab::default();
        let root = slab.insert(record("/"), NONE);
        let ids: Vec<Id> = ["/a", "/b", "/c", "/d"]
            .into_iter()
            .map(|path| slab.insert(record(path), root))
            .collect();
        slab.insert(record("/b/x"), ids[1]);
        let listed = paths(&slab, slab.children(root));
        assert_eq!(listed, ["/a", "/b", "/c", "/d"]);
        // The oldest, one between others, the newest.
        for (gone, left) in [
            (0, ["/b", "/c", "/d"].as_slice()),
            (2, &["/b", "/d"]),
            (3, &["/b"]),
        ] {
            slab.remove(ids[gone]);
            assert_eq!(paths(&slab, slab.children(root)), left);
        }
        assert_eq!(slab.links(root).child_count, 1);
        assert_eq!(paths(&slab, slab.subtree(root)), ["/", "/b", "/b/x"]);
        assert_eq!(slab.len(), 3);
    }

    #[test]
    fn a_subtree_ends_where_it_should() {
        let mut slab = Slab::default();
        let root = slab.insert(record("/"), NONE);
        let a = slab.insert(record("/a"), root);
        let b = slab.insert(record("/a/b"), a);
        slab.insert(record("/a/b/c"), b);
        slab.insert(record("/a/d"), a);
        slab.insert(record("/e"), root);
        let below = |id| paths(&slab, slab.subtree(id)).join(" ");
        assert_eq!(below(root), "/ /a /a/b /a/b/c /a/d /e");
        assert_eq!(below(a), "/a /a/b /a/b/c /a/d");
        assert_eq!(below(b), "/a/b /a/b/c");
    }

    #[test]
    fn numbers_are_used_again() {
        let mut slab = Slab::default();
        let root = slab.insert(record("/"), NONE);
        for n in 0..3 * PAGE {
            let id = slab.insert(record(&format!("/{n}")), root);
            slab.remove(id);
        }
        assert_eq!((slab.len(), slab.records.len()), (1, 1));
        assert_eq!(slab.children(root).next(), None);
    }

    #[test]
    fn a_body_keeps_its_path_and_tells_null_from_empty() {
        let mut body = Body::new("/a", Some(b"data"));
        for data in [
            Some(b"atad".as_slice()),
            None,
            Some(b""),
            Some(b"longer than before"),
        ] {
            body.set_data(data);
            assert_eq!((body.path(), body.data()), ("/a", data));
        }
        let shared = body.clone();
        body.set_data(Some(b"LONGER THAN BEFORE"));
        assert_eq!(shared.data(), Some(b"longer than before".as_slice()));
    }

    #[test]
    fn records_are_small() {
        assert!(size_of::<Option<Record>>() <= 96);
        assert_eq!(size_of::<Links>(), 20);
    }
}
