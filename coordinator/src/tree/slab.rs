//! Where the nodes live: pages of records, and beside them pages of family links.
//!
//! A node is a number. Its links make a ring of each node's children, in the order
//! of their creation, so that listing them needs no set of names. Most nodes never
//! have children; what is kept of those that do is a [`Family`].
//!
//! **Invariant:** an id is valid from `insert` to `remove`; ids are used again.
//! **Invariant:** growing adds a page and moves nothing.

use super::record::Record;

/// A node's number.
pub(super) type Id = u32;

/// The parent of the root, and the family of a node that never had children.
pub(super) const NONE: Id = Id::MAX;

const PAGE: usize = 128;

/// What is kept of a node that has, or had, children.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// The oldest child.
    first: Id,
    pub(super) count: u32,
    /// How many children were ever created; also the next sequence number.
    pub(super) cversion: i32,
    pub(super) pzxid: i64,
}

/// A node's place among its relatives.
#[derive(Debug, Clone, Copy)]
struct Links {
    parent: Id,
    /// The siblings are a ring: the newest is before the oldest.
    before: Id,
    after: Id,
    family: u32,
}

const UNUSED: Links = Links {
    parent: NONE,
    before: NONE,
    after: NONE,
    family: NONE,
};

#[derive(Debug, Default)]
pub(super) struct Slab {
    records: Vec<Box<[Option<Record>; PAGE]>>,
    #[expect(clippy::vec_box, reason = "growing moves no page")]
    links: Vec<Box<[Links; PAGE]>>,
    free: Vec<Id>,
    /// Ids from here on were never used.
    fresh: Id,
    families: Vec<Family>,
    free_families: Vec<u32>,
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

    pub(super) fn parent(&self, id: Id) -> Id {
        self.links(id).parent
    }

    /// What is kept of a node's children, if it ever had any.
    pub(super) fn family(&self, id: Id) -> Option<&Family> {
        self.families.get(self.links(id).family as usize)
    }

    /// The same, which begins here if need be.
    pub(super) fn family_mut(&mut self, id: Id) -> &mut Family {
        let mut family = self.links(id).family;
        if family == NONE {
            let new = Family {
                first: NONE,
                count: 0,
                cversion: 0,
                pzxid: self.get(id).czxid,
            };
            family = match self.free_families.pop() {
                Some(free) => {
                    self.families[free as usize] = new;
                    free
                }
                None => {
                    self.families.push(new);
                    u32::try_from(self.families.len() - 1).expect("fewer than nodes")
                }
            };
            self.links_mut(id).family = family;
        }
        &mut self.families[family as usize]
    }

    /// Takes in a node as the newest child of `parent`, which is [`NONE`] for the root.
    pub(super) fn insert(&mut self, record: Record, parent: Id) -> Id {
        let id = self.free.pop().unwrap_or_else(|| self.next_fresh());
        *self.slot(id) = Some(record);
        *self.links_mut(id) = Links {
            parent,
            before: id,
            after: id,
            family: NONE,
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
        if links.family != NONE {
            self.free_families.push(links.family);
        }
        *self.links_mut(id) = UNUSED;
        let record = self.slot(id).take();
        self.free.push(id);
        record.expect("ids are valid until their node is removed")
    }

    fn join_siblings(&mut self, id: Id, parent: Id) {
        let family = self.family_mut(parent);
        family.count += 1;
        let oldest = family.first;
        if oldest == NONE {
            family.first = id;
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
        let family = self.family_mut(links.parent);
        family.count -= 1;
        if family.first == id {
            family.first = if links.after == id { NONE } else { links.after };
        }
    }

    fn first_child(&self, id: Id) -> Option<Id> {
        let first = self.family(id)?.first;
        (first != NONE).then_some(first)
    }

    fn next_sibling(&self, id: Id) -> Option<Id> {
        let links = self.links(id);
        let oldest = self.family(links.parent)?.first;
        (links.after != oldest).then_some(links.after)
    }

    /// The children of a node, the oldest first.
    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(self.first_child(id), |child| self.next_sibling(*child))
    }

    /// A node and all below it, parents before their children.
    pub(super) fn subtree(&self, top: Id) -> impl Iterator<Item = Id> {
        std::iter::successors(Some(top), move |id| {
            let mut id = *id;
            if let Some(first) = self.first_child(id) {
                return Some(first);
            }
            while id != top {
                if let Some(next) = self.next_sibling(id) {
                    return Some(next);
                }
                id = self.links(id).parent;
            }
            None
        })
    }

    /// The names from the root down to a node, with a slash before each.
    pub(super) fn path(&self, id: Id) -> String {
        let mut names: Vec<&[u8]> = self.names_upwards(id).collect();
        if names.is_empty() {
            return "/".to_owned();
        }
        names.reverse();
        let length = names.iter().map(|name| name.len() + 1).sum();
        let mut path = Vec::with_capacity(length);
        for name in names {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        String::from_utf8(path).expect("it is made of names")
    }

    /// The names from a node up to the root, which has none.
    pub(super) fn names_upwards(&self, id: Id) -> impl Iterator<Item = &[u8]> {
        let mut id = id;
        std::iter::from_fn(move || {
            let parent = self.links(id).parent;
            if parent == NONE {
                return None;
            }
            let name = self.get(id).name_bytes();
            id = parent;
            Some(name)
        })
    }

    /// Says whether `path` is that of a node.
    pub(super) fn has_path(&self, id: Id, path: &str) -> bool {
        if self.links(id).parent == NONE {
            return path == "/";
        }
        let mut rest = path.as_bytes();
        for name in self.names_upwards(id) {
            let before = rest.strip_suffix(name);
            let Some(before) = before.and_then(|before| before.strip_suffix(b"/")) else {
                return false;
            };
            rest = before;
        }
        rest.is_empty()
    }

    fn next_fresh(&mut self) -> Id {
        let id = self.fresh;
        if place(id).0 == self.records.len() {
            self.records.push(Box::new([const { None }; PAGE]));
            self.links.push(Box::new([UNUSED; PAGE]));
        }
        self.fresh += 1;
        assert!(self.fresh < NONE, "memory ends before the numbers do");
        id
    }

    fn slot(&mut self, id: Id) -> &mut Option<Record> {
        let (page, slot) = place(id);
        &mut self.records[page][slot]
    }

    fn links(&self, id: Id) -> Links {
        let (page, slot) = place(id);
        self.links[page][slot]
    }

    fn links_mut(&mut self, id: Id) -> &mut Links {
        let (page, slot) = place(id);
        &mut self.links[page][slot]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::record::Numbers;

    fn record(name: &str) -> Record {
        Record::new(name, None, &Numbers::default())
    }

    fn names(slab: &Slab, ids: impl Iterator<Item = Id>) -> Vec<&str> {
        ids.map(|id| slab.get(id).name()).collect()
    }

    #[test]
    fn children_are_listed_in_the_order_of_their_creation() {
        let mut slab = Slab::default();
        let root = slab.insert(record(""), NONE);
        let ids: Vec<Id> = ["a", "b", "c", "d"]
            .into_iter()
            .map(|name| slab.insert(record(name), root))
            .collect();
        slab.insert(record("x"), ids[1]);
        let listed = names(&slab, slab.children(root));
        assert_eq!(listed, ["a", "b", "c", "d"]);
        // The oldest, one between others, the newest.
        let steps = [
            (0, ["b", "c", "d"].as_slice()),
            (2, &["b", "d"]),
            (3, &["b"]),
        ];
        for (gone, left) in steps {
            slab.remove(ids[gone]);
            assert_eq!(names(&slab, slab.children(root)), left);
        }
        assert_eq!(slab.family(root).unwrap().count, 1);
        assert_eq!(names(&slab, slab.subtree(root)), ["", "b", "x"]);
        assert_eq!(slab.len(), 3);
    }

    #[test]
    fn a_subtree_ends_where_it_should() {
        let mut slab = Slab::default();
        let root = slab.insert(record(""), NONE);
        let a = slab.insert(record("a"), root);
        let b = slab.insert(record("b"), a);
        slab.insert(record("c"), b);
        slab.insert(record("d"), a);
        slab.insert(record("e"), root);
        let below = |top| {
            let paths: Vec<String> = slab.subtree(top).map(|id| slab.path(id)).collect();
            paths.join(" ")
        };
        assert_eq!(below(root), "/ /a /a/b /a/b/c /a/d /e");
        assert_eq!(below(a), "/a /a/b /a/b/c /a/d");
        assert_eq!(below(b), "/a/b /a/b/c");
    }

    #[test]
    fn a_path_is_compared_to_its_last_slash() {
        let mut slab = Slab::default();
        let root = slab.insert(record(""), NONE);
        let a = slab.insert(record("a"), root);
        let b = slab.insert(record("bc"), a);
        for (id, path) in [(root, "/"), (a, "/a"), (b, "/a/bc")] {
            assert!(slab.has_path(id, path), "{path}");
            for other in [
                "", "/", "//", "/a", "//a", "a", "/a/bc", "/a/c", "/x/bc", "bc", "/aa/bc",
            ] {
                assert_eq!(
                    slab.has_path(id, other),
                    other == path,
                    "{path} and {other}"
                );
            }
        }
    }

    #[test]
    fn numbers_are_used_again() {
        let mut slab = Slab::default();
        let root = slab.insert(record(""), NONE);
        for n in 0..3 * PAGE {
            let id = slab.insert(record(&n.to_string()), root);
            let child = slab.insert(record("child"), id);
            slab.remove(child);
            slab.remove(id);
        }
        assert_eq!((slab.len(), slab.records.len()), (1, 1));
        assert_eq!(slab.families.len(), 2);
        assert_eq!(slab.children(root).next(), None);
    }
}
