//! Writes that only the present controller can make.

use bytes::Bytes;

use super::{Error, Registry};
use crate::model::ControllerEpoch;
use crate::registry::znode::path;
use crate::zk::{self, CommitError, CreateMode, ErrorCode, OpResult, Stat, Transaction};

/// The controller's epoch, and the version of `/controller_epoch` that a write
/// of this controller requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    pub epoch: ControllerEpoch,
    pub version: i32,
}

/// One change of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FencedWrite {
    Create { path: String, data: Option<Bytes> },
    Set { path: String, data: Bytes, version: i32 },
    Delete { path: String },
}

impl Registry {
    /// `multi[check /controller_epoch, write]`, repeated over connection
    /// losses. Returns the stat of a `Set`. A repeated write whose first reply
    /// was lost fails with the code that the second meets (NodeExists,
    /// BadVersion, NoNode): callers read back and decide.
    pub async fn write_fenced(&self, fence: Fence, write: &FencedWrite) -> Result<Option<Stat>, Error> {
        loop {
            let guard = Transaction::new().check(path::CONTROLLER_EPOCH, fence.version);
            let transaction = match write {
                FencedWrite::Create { path, data } => {
                    guard.create(path, data.clone(), CreateMode::Persistent)
                }
                FencedWrite::Set { path, data, version } => {
                    guard.set_data(path, data.clone(), *version)
                }
                FencedWrite::Delete { path } => guard.delete(path, zk::ANY_VERSION),
            };
            match self.client.commit(transaction).await {
                Ok(results) => {
                    return Ok(results.into_iter().find_map(|result| match result {
                        OpResult::Set(stat) => Some(stat),
                        OpResult::Created(_) | OpResult::Deleted | OpResult::Checked => None,
                    }));
                }
                Err(CommitError { error: zk::Error::ConnectionLoss, .. }) => {
                    self.client.retry(|| async { Ok(()) }).await?;
                }
                Err(CommitError { culprit: Some(0), error })
                    if error.is(ErrorCode::BadVersion) || error.is(ErrorCode::NoNode) =>
                {
                    return Err(Error::ControllerMoved);
                }
                Err(CommitError { error, .. }) => return Err(error.into()),
            }
        }
    }

    /// Creates a node unless it exists.
    pub async fn ensure_fenced(&self, fence: Fence, path: String) -> Result<(), Error> {
        let result = self.write_fenced(fence, &FencedWrite::Create { path, data: None }).await;
        ignore(result, ErrorCode::NodeExists)
    }

    /// Deletes a node if it exists.
    pub async fn delete_fenced(&self, fence: Fence, path: String) -> Result<(), Error> {
        let result = self.write_fenced(fence, &FencedWrite::Delete { path }).await;
        ignore(result, ErrorCode::NoNode)
    }

    /// Deletes a node with everything below it.
    pub async fn delete_fenced_recursive(&self, fence: Fence, root: String) -> Result<(), Error> {
        let mut found = vec![root];
        let mut next = 0;
        while let Some(path) = found.get(next).cloned() {
            let children = self.children(&path, None).await?;
            found.extend(children.into_iter().map(|child| format!("{path}/{child}")));
            next += 1;
        }
        // Children were found after their parents.
        for path in found.into_iter().rev() {
            self.delete_fenced(fence, path).await?;
        }
        Ok(())
    }
}

fn ignore<T>(result: Result<T, Error>, code: ErrorCode) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(Error::Zk(error)) if error.is(code) => Ok(()),
        Err(error) => Err(error),
    }
}
