//! What many nodes have in common, kept once: their ACL and their owner.

use hashbrown::{Equivalent, HashMap};

use common::zk::Acl;

use super::AclRef;

/// The number of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ClassId(u32);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Class {
    pub(super) acl: AclRef,
    /// As [`Owner`](super::Owner) stores it.
    pub(super) owner: i64,
}

/// A class that is looked for; it hashes as [`Class`] does.
#[derive(Hash)]
struct Wanted<'a> {
    acl: &'a [Acl],
    owner: i64,
}

impl Equivalent<Class> for Wanted<'_> {
    fn equivalent(&self, class: &Class) -> bool {
        self.owner == class.owner && self.acl == &*class.acl
    }
}

#[derive(Debug)]
struct Entry {
    class: Class,
    nodes: usize,
}

#[derive(Debug, Default)]
pub(super) struct Classes {
    entries: Vec<Entry>,
    ids: HashMap<Class, ClassId>,
    free: Vec<ClassId>,
}

impl Classes {
    pub(super) fn get(&self, id: ClassId) -> &Class {
        &self.entries[id.0 as usize].class
    }

    /// The class of one more node.
    pub(super) fn take(&mut self, acl: &[Acl], owner: i64) -> ClassId {
        if let Some(id) = self.ids.get(&Wanted { acl, owner }) {
            self.entries[id.0 as usize].nodes += 1;
            return *id;
        }
        let acl = acl.into();
        let class = Class { acl, owner };
        let entry = Entry {
            class: class.clone(),
            nodes: 1,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id.0 as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                let last = u32::try_from(self.entries.len() - 1);
                ClassId(last.expect("nodes have numbers of 32 bits too"))
            }
        };
        self.ids.insert(class, id);
        id
    }

    /// One node less has it; with the last one it is forgotten.
    pub(super) fn release(&mut self, id: ClassId) {
        let entry = &mut self.entries[id.0 as usize];
        entry.nodes -= 1;
        if entry.nodes == 0 {
            self.ids.remove(&entry.class);
            entry.class.acl = AclRef::from([]);
            self.free.push(id);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}
