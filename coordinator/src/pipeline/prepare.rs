//! Makes a transaction of a request, or says why it cannot be one.
//!
//! The order of the checks is ZooKeeper's, since it decides which error a client sees.

use std::time::Duration;

use bytes::Bytes;
use common::zk::path::{self, sequence_suffix};
use common::zk::{
    Acl, CheckVersionRequest, CreateMode, CreateRequest, DeleteRequest, ErrorCode, Id, MultiOp,
    SetAclRequest, SetDataRequest, perms,
};

use super::quota::{Growth, Quotas};
use super::request::{Creation, Write};
use super::rules::Rules;
use super::view::{Facts, View};
use crate::tree::{AclRef, Leftover, Owner, SPECIAL_PATHS, TTL_MS_MAX};
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
    pub(super) rules: &'a Rules,
    pub(super) quotas: &'a Quotas,
    pub(super) now: Duration,
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
    view.forget_growth();
    let mut prepare = Prepare { view, context };
    let txn = match write {
        Write::Create(request, creation) => prepare.create(request, *creation)?,
        Write::DeleteLeftover(leftover) => prepare.delete_leftover(leftover)?,
        Write::Delete(request) => prepare.delete(request)?,
        Write::SetData(request) => prepare.set_data(request)?,
        Write::SetAcl(request) => prepare.set_acl(request)?,
        Write::Multi(ops) => prepare.multi(ops)?,
        Write::CreateSession { timeout_ms } => Txn::CreateSession {
            timeout_ms: *timeout_ms,
        },
        Write::CloseSession => prepare.close_session(),
        Write::Reconfig => return Err(prepare.reconfig().into()),
        Write::Refused(code) => return Err((*code).into()),
    };
    prepare.view.keep_growth();
    Ok(txn)
}

struct Prepare<'a, 'tree> {
    view: &'a mut View<'tree>,
    context: Context<'a>,
}

impl Prepare<'_, '_> {
    fn create(&mut self, request: &CreateRequest, creation: Creation) -> Result<Txn, ErrorCode> {
        let mode = CreateMode::from_flags(request.flags).ok_or(ErrorCode::BadArguments)?;
        let owner = self.owner(mode, creation)?;
        self.check_session()?;
        let parent_path = parent_of(&request.path)?;
        let (ids, access) = (self.context.ids, &self.context.rules.access);
        let acl = access.normalise(&request.acl, ids)?;
        let mut parent = self.existing(parent_path)?;
        access.check(&parent.acl, perms::CREATE, ids)?;
        let mut path = request.path.clone();
        if mode.is_sequential() {
            path.push_str(&sequence_suffix(parent.cversion));
        }
        path::validate(&path).map_err(|_| ErrorCode::BadArguments)?;
        if self.view.get(&path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if Owner::of(parent.owner).is_session() {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let data = owned(&request.data);
        let data_len = data.as_ref().map_or(0, Bytes::len);
        self.check_quota(&path, Growth::of_new_node(data_len))?;
        parent.cversion = parent.cversion.wrapping_add(1);
        parent.child_count += 1;
        let parent_cversion = parent.cversion;
        self.view.put(parent_path, parent);
        self.view
            .put(&path, new_facts(&acl, owner.stored(), data_len));
        Ok(Txn::Create(Create {
            path,
            data,
            acl,
            owner: owner.stored(),
            parent_cversion,
            with_stat: creation != Creation::Plain,
        }))
    }

    /// The kind of the new node follows from the operation, whatever its flags say.
    fn owner(&self, mode: CreateMode, creation: Creation) -> Result<Owner, ErrorCode> {
        if mode.has_ttl() && !self.context.rules.extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        match creation {
            Creation::Ttl { ms } if mode.has_ttl() && (1..=TTL_MS_MAX).contains(&ms) => {
                Ok(Owner::Ttl { ms })
            }
            Creation::Ttl { .. } => Err(ErrorCode::BadArguments),
            _ if mode.has_ttl() => Err(ErrorCode::BadArguments),
            Creation::Container => Ok(Owner::Container),
            _ if mode.is_ephemeral() => Ok(Owner::Session(self.context.session)),
            Creation::Plain | Creation::WithStat => Ok(Owner::Nobody),
        }
    }

    fn delete(&mut self, request: &DeleteRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        let path = request.path.as_str();
        if SPECIAL_PATHS.contains(&path) {
            return Err(ErrorCode::BadArguments);
        }
        let parent_path = parent_of(path)?;
        let mut parent = self.existing(parent_path)?;
        self.check_acl(&parent, perms::DELETE)?;
        let node = self.existing(path)?;
        next_version(node.version, request.version)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        parent.child_count -= 1;
        self.view.put(parent_path, parent);
        self.remove(path, &node);
        Ok(Txn::Delete {
            path: path.to_owned(),
        })
    }

    /// The server's own removal of a node that has become superfluous, unless it
    /// has been used again meanwhile.
    fn delete_leftover(&mut self, leftover: &Leftover) -> Result<Txn, ErrorCode> {
        let path = leftover.path.as_str();
        let node = self.existing(path)?;
        if node.child_count > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        if node.version != leftover.version || !Owner::of(node.owner).is_removable() {
            return Err(ErrorCode::BadVersion);
        }
        let parent_path = parent_of(path)?;
        let mut parent = self.existing(parent_path)?;
        parent.child_count -= 1;
        self.view.put(parent_path, parent);
        self.remove(path, &node);
        Ok(Txn::Delete {
            path: path.to_owned(),
        })
    }

    /// A single server has no members to change.
    fn reconfig(&self) -> ErrorCode {
        if !self.context.rules.reconfig {
            return ErrorCode::ReconfigDisabled;
        }
        match self.check_session() {
            Ok(()) => ErrorCode::Unimplemented,
            Err(code) => code,
        }
    }

    fn set_data(&mut self, request: &SetDataRequest) -> Result<Txn, ErrorCode> {
        self.check_session()?;
        let path = request.path.as_str();
        let mut node = self.valid_and_existing(path)?;
        self.check_acl(&node, perms::WRITE)?;
        let data_len = request.data.as_ref().map_or(0, Bytes::len);
        self.check_quota(path, Growth::of_change(node.data_len, data_len))?;
        node.version = next_version(node.version, request.version)?;
        node.data_len = data_len;
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
        let access = &self.context.rules.access;
        let acl = access.normalise(&request.acl, self.context.ids)?;
        let mut node = self.existing(path)?;
        self.check_acl(&node, perms::ADMIN)?;
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
        self.check_acl(&node, perms::READ)?;
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
            MultiOp::Create(request) => self.create(request, Creation::Plain),
            MultiOp::Create2(request) => self.create(request, Creation::WithStat),
            MultiOp::CreateContainer(request) => self.create(request, Creation::Container),
            MultiOp::CreateTtl(request) => {
                let (request, creation) = Creation::with_ttl(request.clone());
                self.create(&request, creation)
            }
            MultiOp::Delete(request) => self.delete(request),
            MultiOp::SetData(request) => self.set_data(request),
            MultiOp::Check(request) => self.check(request),
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
            if let Some(node) = self.view.get(path) {
                self.remove(path, &node);
            }
        }
        Txn::CloseSession { ephemerals }
    }

    fn check_session(&self) -> Result<(), ErrorCode> {
        if self.context.closing {
            return Err(ErrorCode::SessionExpired);
        }
        Ok(())
    }

    fn remove(&mut self, path: &str, node: &Facts) {
        self.view.grow(path, Growth::of_deletion(node.data_len));
        self.view.remove(path);
    }

    fn check_quota(&mut self, path: &str, growth: Growth) -> Result<(), ErrorCode> {
        let Context {
            quotas, rules, now, ..
        } = self.context;
        let Some(quota) = self.view.quota_of(path) else {
            return Ok(());
        };
        quotas.check(&quota, growth, (rules.enforce_quota, now))?;
        self.view.grow(path, growth);
        Ok(())
    }

    fn check_acl(&self, node: &Facts, wanted: i32) -> Result<(), ErrorCode> {
        let access = &self.context.rules.access;
        access.check(&node.acl, wanted, self.context.ids)
    }

    fn existing(&self, path: &str) -> Result<Facts, ErrorCode> {
        self.view.get(path).ok_or(ErrorCode::NoNode)
    }

    fn valid_and_existing(&self, path: &str) -> Result<Facts, ErrorCode> {
        path::validate(path).map_err(|_| ErrorCode::BadArguments)?;
        self.existing(path)
    }
}

fn new_facts(acl: &[Acl], owner: i64, data_len: usize) -> Facts {
    Facts {
        data_len,
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
