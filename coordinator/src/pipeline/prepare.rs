//! Makes a transaction of a request, or says why it cannot be one.
//!
//! The order of the checks is ZooKeeper's, since it decides which error a client sees.

use bytes::Bytes;
use common::zk::path::{self, sequence_suffix};
use common::zk::{
    Acl, CheckVersionRequest, CreateMode, CreateRequest, DeleteRequest, ErrorCode, Id, MultiOp,
    SetAclRequest, SetDataRequest, perms,
};

use super::request::Write;
use super::view::{Facts, View};
use crate::tree::{AclRef, SPECIAL_PATHS, acl};
use crate::txn::{Create, Txn};

/// Any version will do.
const ANY_VERSION: i32 = -1;

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) session: i64,
    /// The session is being closed, so nothing is done for it any more.
    pub(super) closing: bool,
    pub(super) ids: &'a [Id],
}

/// Why there is no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    /// The operation of a multi that failed.
    pub(super) multi_index: Option<usize>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            multi_index: None,
        }
    }
}

/// Prepares one request and notes in `view` what it will change.
pub(super) fn prepare(
    view: &mut View<'_>,
    context: Context<'_>,
    write: &Write,
) -> Result<Txn, Refusal> {
    let mut prepare = Prepare { view, context };
    Ok(match write {
        Write::Create { request, with_stat } => prepare.create(request, *with_stat)?,
        Write::Delete(request) => prepare.delete(request)?,
        Write::SetData(request) => prepare.set_data(request)?,
        Write::SetAcl(request) => prepare.set_acl(request)?,
        Write::Multi(ops) => prepare.multi(ops)?,
        Write::CreateSession { timeout_ms } => Txn::CreateSession {
            timeout_ms: *timeout_ms,
        },
        Write::CloseSession => prepare.close_session(),
        Write::Refused(code) => return Err((*code).into()),
    })
}

struct Prepare<'a, 'tree> {
    view: &'a mut View<'tree>,
    context: Context<'a>,
}

impl Prepare<'_, '_> {
    fn create(&mut self, request: &CreateRequest, with_stat: bool) -> Result<Txn, ErrorCode> {
        let mode = CreateMode::from_flags(request.flags).ok_or(ErrorCode::BadArguments)?;
        if mode.has_ttl() {
            return Err(ErrorCode::Unimplemented);
        }
        self.check_session()?;
        let parent_path = parent_of(&request.path)?;
        let acl = acl::normalise(&request.acl, self.context.ids)?;
        let mut parent = self.existing(parent_path)?;
        acl::check(&parent.acl, perms::CREATE, self.context.ids)?;
        let mut path = request.path.clone();
        if mode.is_sequential() {
            path.push_str(&sequence_suffix(parent.cversion));
        }
        path::validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        if self.view.get(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if parent.owner != 0 {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let owner = if mode.is_ephemeral() {
            self.context.session
        } else {
            0
        };
        parent.cversion = parent.cversion.wrapping_add(1);
        parent.child_count += 1;
        let parent_cversion = parent.cversion;
        self.view.put(parent_path, parent);
        self.view.put(&path, new_facts(&acl, owner));
        Ok(Txn::Create(Create {
            path,
            data: owned(&request.data),
            acl,
            owner,
            parent_cversion,
            with_stat,
        }))
    }

    fn delete(&mut self, request: &DeleteRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        let path = request.path.as_str();
        if SPECIAL_PATHS.contains(&path) {
            return Err(ErrorCode::BadArguments);
        }
        let parent_path = parent_of(path)?;
        let mut parent = self.existing(parent_path)?;
        acl::check(&parent.acl, perms::DELETE, self.context.ids)?;
        let node = self.existing(path)?;
        next_version(node.version, request.version)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        parent.child_count -= 1;
        self.view.put(parent_path, parent);
        self.view.remove(path);
        Ok(Txn::Delete {
            path: path.to_owned(),
        })
    }

    fn set_data(&mut self, request: &SetDataRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        let path = request.path.as_str();
        let mut node = self.valid_and_existing(path)?;
        acl::check(&node.acl, perms::WRITE, self.context.ids)?;
        node.version = next_version(node.version, request.version)?;
        let version = node.version;
        self.view.put(path, node);
        Ok(Txn::SetData {
            path: path.to_owned(),
            data: owned(&request.data),
            version,
        })
    }

    fn set_acl(&mut self, request: &SetAclRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        let path = request.path.as_str();
        path::validate(path).map_err(|_| ErrorCode::BadArguments)?;
        let acl = acl::normalise(&request.acl, self.context.ids)?;
        let mut node = self.existing(path)?;
        acl::check(&node.acl, perms::ADMIN, self.context.ids)?;
        node.aversion = next_version(node.aversion, request.version)?;
        node.acl = AclRef::from(acl.as_slice());
        let aversion = node.aversion;
        self.view.put(path, node);
        Ok(Txn::SetAcl {
            path: path.to_owned(),
            acl,
            aversion,
        })
    }

    fn check(&mut self, request: &CheckVersionRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        let node = self.valid_and_existing(&request.path)?;
        acl::check(&node.acl, perms::READ, self.context.ids)?;
        next_version(node.version, request.version)?;
        Ok(Txn::Check {
            path: request.path.clone(),
        })
    }

    fn multi(&mut self, ops: &[MultiOp]) -> Result<Txn, Refusal> {
        self.view.mark();
        let mut parts = Vec::with_capacity(ops.len());
        for (index, op) in ops.iter().enumerate() {
            match self.multi_op(op) {
                Ok(part) => parts.push(part),
                Err(code) => {
                    self.view.undo_to_mark();
                    return Err(Refusal {
                        code,
                        multi_index: Some(index),
                    });
                }
            }
        }
        Ok(Txn::Multi(parts))
    }

    fn multi_op(&mut self, op: &MultiOp) -> Result<Txn, ErrorCode> {
        match op {
            MultiOp::Create(request) => self.create(request, false),
            MultiOp::Create2(request) => self.create(request, true),
            MultiOp::Delete(request) => self.delete(request),
            MultiOp::SetData(request) => self.set_data(request),
            MultiOp::Check(request) => self.check(request),
            MultiOp::CreateContainer(_) | MultiOp::CreateTtl(_) => Err(ErrorCode::Unimplemented),
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => Err(ErrorCode::BadArguments),
        }
    }

    fn close_session(&mut self) -> Txn {
        let ephemerals = self.view.ephemerals_of(self.context.session);
        for path in &ephemerals {
            if let Some(parent_path) = path::parent(path)
                && let Some(mut parent) = self.view.get(parent_path)
            {
                parent.child_count = parent.child_count.saturating_sub(1);
                self.view.put(parent_path, parent);
            }
            self.view.remove(path);
        }
        Txn::CloseSession { ephemerals }
    }

    fn check_session(&self) -> Result<(), ErrorCode> {
        if self.context.closing {
            return Err(ErrorCode::SessionExpired);
        }
        Ok(())
    }

    fn existing(&self, path: &str) -> Result<Facts, ErrorCode> {
        self.view.get(path).ok_or(ErrorCode::NoNode)
    }

    fn valid_and_existing(&self, path: &str) -> Result<Facts, ErrorCode> {
        path::validate(path).map_err(|_| ErrorCode::BadArguments)?;
        self.existing(path)
    }
}

fn new_facts(acl: &[Acl], owner: i64) -> Facts {
    Facts {
        version: 0,
        cversion: 0,
        aversion: 0,
        owner,
        child_count: 0,
        acl: AclRef::from(acl),
    }
}

/// A copy of its own: a slice would keep the whole buffer that its frame came in.
fn owned(data: &Option<Bytes>) -> Option<Bytes> {
    data.as_deref().map(Bytes::copy_from_slice)
}

/// What stands before the last slash; the rest of the path's form is judged later.
fn parent_of(path: &str) -> Result<&str, ErrorCode> {
    if path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    let slash = path.rfind('/').ok_or(ErrorCode::BadArguments)?;
    Ok(&path[..slash])
}

/// The version after this change; it skips −1, which means "any" in requests.
fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != ANY_VERSION && expected != current {
        return Err(ErrorCode::BadVersion);
    }
    match current.wrapping_add(1) {
        ANY_VERSION => Ok(0),
        next => Ok(next),
    }
}

#[cfg(test)]
mod tests;
