//! The ACLs of all nodes, each kept once.

use std::collections::HashMap;

use common::zk::Acl;

use super::AclRef;

/// The number under which nodes keep their ACL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AclId(u32);

#[derive(Debug, Clone)]
struct Entry {
    acl: AclRef,
    nodes: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Acls {
    entries: Vec<Entry>,
    ids: HashMap<AclRef, AclId>,
    free: Vec<AclId>,
}

impl Acls {
    pub(super) fn get(&self, id: AclId) -> &AclRef {
        &self.entries[id.0 as usize].acl
    }

    /// One more node has this ACL.
    pub(super) fn take(&mut self, acl: &[Acl]) -> AclId {
        if let Some(id) = self.ids.get(acl) {
            self.entries[id.0 as usize].nodes += 1;
            return *id;
        }
        let acl: AclRef = acl.into();
        let entry = Entry {
            acl: AclRef::clone(&acl),
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
                AclId(last.expect("nodes have numbers of 32 bits too"))
            }
        };
        self.ids.insert(acl, id);
        id
    }

    /// One node less has it; with the last one it is forgotten.
    pub(super) fn release(&mut self, id: AclId) {
        let entry = &mut self.entries[id.0 as usize];
        entry.nodes -= 1;
        if entry.nodes == 0 {
            let acl = std::mem::replace(&mut entry.acl, AclRef::from([]));
            self.ids.remove(&acl);
            self.free.push(id);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}
