//! Access control entries.

use serde::{Deserialize, Serialize};

/// The permission bits of an [`Acl`].
pub mod perms {
    pub const READ: i32 = 1;
    pub const WRITE: i32 = 2;
    pub const CREATE: i32 = 4;
    pub const DELETE: i32 = 8;
    pub const ADMIN: i32 = 16;
    pub const ALL: i32 = 31;
}

crate::jute_record! {
    /// Who: an authentication scheme and an identity within it.
    #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
    pub struct Id { scheme: String, id: String }

    /// What an [`Id`] may do.
    #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
    pub struct Acl { perms: i32, id: Id }
}

impl Id {
    pub fn new(scheme: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            scheme: scheme.into(),
            id: id.into(),
        }
    }

    /// Everybody.
    pub fn world() -> Self {
        Self::new("world", "anyone")
    }

    pub fn is_world(&self) -> bool {
        self.scheme == "world" && self.id == "anyone"
    }
}

impl Acl {
    pub fn new(perms: i32, id: Id) -> Self {
        Self { perms, id }
    }

    /// Everybody may do everything: what clients call `OPEN_ACL_UNSAFE`.
    pub fn open() -> Vec<Self> {
        vec![Self::new(perms::ALL, Id::world())]
    }
}
