//! The one type that changes the state, and the state that it changes.
//!
//! Flow: `pipeline::prepare` makes a [`Txn`] of a request, `storage` keeps it, and
//! [`State::apply`] carries it out: once when it is committed, and again on every
//! recovery.
//!
//! **Invariant:** time, session ids and sequence numbers are inside the
//! transaction, so applying depends on nothing else.
//! **Invariant:** transactions apply in the order of their zxids, without gaps.
//! **Invariant:** the variants are part of the format on disk: new ones go to the
//! end, none is removed or reordered.

mod apply;

pub(crate) use apply::{Effect, Outcome, State};

use bytes::Bytes;
use common::zk::Acl;
use serde::{Deserialize, Serialize};

/// A change of the state. All variants but `Multi` are one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Txn {
    /// A request that failed: nothing changes but the zxid.
    Error {
        code: i32,
    },
    CreateSession {
        timeout_ms: i32,
    },
    /// Ends a session and deletes the ephemeral nodes that it owned.
    CloseSession {
        ephemerals: Vec<String>,
    },
    Create(Create),
    Delete {
        path: String,
    },
    SetData {
        path: String,
        data: Option<Bytes>,
        version: i32,
    },
    SetAcl {
        path: String,
        acl: Vec<Acl>,
        aversion: i32,
    },
    /// A check inside a multi that held.
    Check {
        path: String,
    },
    Multi(Vec<Txn>),
}

impl Txn {
    /// Names every node that the transaction changes, but not its parent.
    pub(crate) fn for_each_path(&self, visit: &mut dyn FnMut(&str)) {
        match self {
            Self::Error { .. } | Self::CreateSession { .. } => {}
            Self::CloseSession { ephemerals } => ephemerals.iter().for_each(|path| visit(path)),
            Self::Create(create) => visit(&create.path),
            Self::Delete { path }
            | Self::SetData { path, .. }
            | Self::SetAcl { path, .. }
            | Self::Check { path } => visit(path),
            Self::Multi(parts) => parts.iter().for_each(|part| part.for_each_path(visit)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Create {
    pub(crate) path: String,
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: Vec<Acl>,
    /// The owner of an ephemeral node, else 0.
    pub(crate) owner: i64,
    pub(crate) parent_cversion: i32,
    /// Whether the reply carries the stat; of no meaning to the state.
    pub(crate) with_stat: bool,
}

/// A transaction in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) zxid: i64,
    /// Who asked for it.
    pub(crate) session: i64,
    /// The number of the request in its connection.
    pub(crate) cxid: i32,
    /// The wall clock of the server that prepared it.
    pub(crate) time_ms: i64,
    pub(crate) txn: Txn,
}
