//! Several changes that happen together or not at all.

use bytes::Bytes;
use common::zk::{
    Acl, CheckVersionRequest, CreateMode, CreateRequest, DeleteRequest, MultiOp, MultiRequest,
    MultiResponse, MultiResult, SetDataRequest, Stat,
};

use super::error::Error;

/// Builds a multi. A later operation sees what an earlier one changed.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    ops: Vec<MultiOp>,
}

/// What one operation of a transaction that succeeded did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResult {
    /// The path of the new node, with its sequence number if it has one.
    Created(String),
    Deleted,
    Set(Stat),
    Checked,
}

impl Transaction {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn check(mut self, path: &str, version: i32) -> Self {
        let path = path.to_owned();
        self.ops.push(MultiOp::Check(CheckVersionRequest { path, version }));
        self
    }

    #[must_use]
    pub fn create(mut self, path: &str, data: Option<Bytes>, mode: CreateMode) -> Self {
        let (path, acl, flags) = (path.to_owned(), Acl::open(), mode.flags());
        self.ops.push(MultiOp::Create(CreateRequest { path, data, acl, flags }));
        self
    }

    #[must_use]
    pub fn set_data(mut self, path: &str, data: Bytes, version: i32) -> Self {
        let (path, data) = (path.to_owned(), Some(data));
        self.ops.push(MultiOp::SetData(SetDataRequest { path, data, version }));
        self
    }

    #[must_use]
    pub fn delete(mut self, path: &str, version: i32) -> Self {
        let path = path.to_owned();
        self.ops.push(MultiOp::Delete(DeleteRequest { path, version }));
        self
    }

    pub(super) fn into_request(mut self, chroot: &str) -> MultiRequest {
        for op in &mut self.ops {
            let path = match op {
                MultiOp::Create(body) | MultiOp::Create2(body) | MultiOp::CreateContainer(body) => {
                    &mut body.path
                }
                MultiOp::CreateTtl(body) => &mut body.path,
                MultiOp::Delete(body) => &mut body.path,
                MultiOp::SetData(body) => &mut body.path,
                MultiOp::Check(body) => &mut body.path,
                MultiOp::GetData(body) | MultiOp::GetChildren(body) => &mut body.path,
            };
            path.insert_str(0, chroot);
        }
        MultiRequest { ops: self.ops }
    }
}

/// Tells success from the first real error, which names the culprit.
pub(super) fn outcome(
    response: MultiResponse,
    chroot: &str,
) -> Result<Vec<OpResult>, (usize, Error)> {
    let failed = response.results.iter().enumerate().find_map(|(index, result)| match result {
        MultiResult::Error(code) => Error::from_reply(*code).map(|error| (index, error)),
        _ => None,
    });
    if let Some(failed) = failed {
        return Err(failed);
    }
    let results = response.results.into_iter().enumerate();
    results
        .map(|(index, result)| match result {
            MultiResult::Create(body) => Ok(OpResult::Created(strip(body.path, chroot))),
            MultiResult::Create2(body) => Ok(OpResult::Created(strip(body.path, chroot))),
            MultiResult::Delete => Ok(OpResult::Deleted),
            MultiResult::SetData(body) => Ok(OpResult::Set(body.stat)),
            MultiResult::Check => Ok(OpResult::Checked),
            MultiResult::GetData(_) | MultiResult::GetChildren(_) | MultiResult::Error(_) => {
                Err((index, Error::UnexpectedReply))
            }
        })
        .collect()
}

/// A server's path as this client names it.
pub(super) fn strip(path: String, chroot: &str) -> String {
    match path.strip_prefix(chroot) {
        Some("") => "/".to_owned(),
        Some(rest) if !chroot.is_empty() => rest.to_owned(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use common::zk::ErrorCode;

    use super::*;

    #[test]
    fn the_first_real_error_names_the_culprit() {
        let failed = MultiResponse {
            results: vec![MultiResult::Error(0), MultiResult::Error(-103), MultiResult::Error(-2)],
        };
        let expected = (1, Error::Server(ErrorCode::BadVersion));
        assert_eq!(outcome(failed, ""), Err(expected));
    }

    #[test]
    fn the_chroot_is_put_before_and_taken_off() {
        let transaction = Transaction::new()
            .check("/e", 1)
            .create("/a", None, CreateMode::Ephemeral)
            .set_data("/a", Bytes::new(), 0)
            .delete("/b", -1);
        let request = transaction.into_request("/k");
        assert!(matches!(&request.ops[0], MultiOp::Check(body) if body.path == "/k/e"));
        assert!(matches!(&request.ops[3], MultiOp::Delete(body) if body.path == "/k/b"));
        assert_eq!(strip("/k/a".into(), "/k"), "/a");
        assert_eq!(strip("/k".into(), "/k"), "/");
        assert_eq!(strip("/a".into(), ""), "/a");
    }
}
