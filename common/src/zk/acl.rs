//! Access control entries.

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::jute::{Reader, Record, Result};

/// The permission bits of an [`Acl`].
pub mod perms {
    pub const READ: i32 = 1;
    pub const WRITE: i32 = 2;
    pub const CREATE: i32 = 4;
    pub const DELETE: i32 = 8;
    pub const ADMIN: i32 = 16;
    pub const ALL: i32 = 31;
}

/// Who: an authentication scheme and an identity within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    pub scheme: String,
    pub id: String,
}

impl Record for Id {
    const MIN_LEN: usize = 8;

    fn encode(&self, out: &mut BytesMut) {
        self.scheme.encode(out);
        self.id.encode(out);
    }

    /// What is missing is empty: `auth` has no identity, and some clients send null.
    fn decode(reader: &mut Reader) -> Result<Self> {
        let scheme: Option<String> = reader.read()?;
        let id: Option<String> = reader.read()?;
        Ok(Self::new(
            scheme.unwrap_or_default(),
            id.unwrap_or_default(),
        ))
    }
}

crate::jute_record! {
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
