//! Between the frames of the wire and the requests of the pipeline.

use bytes::BytesMut;
use common::jute::{Error, Reader, Record, Result};
use common::zk::{
    AddWatchMode, AddWatchRequest, CheckWatchesRequest, Create2Response, CreateMode, CreateRequest,
    CreateTtlRequest, ErrorCode, ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse,
    GetChildren2Response, GetChildrenResponse, GetDataResponse, GetEphemeralsRequest,
    GetEphemeralsResponse, MultiOp, MultiRequest, MultiResponse, OpCode, PathRequest, PathResponse,
    PathWatchRequest, ReplyHeader, SaslResponse, SetWatches, SetWatches2, StatResponse,
    WatcherType, WhoAmIResponse,
};

use crate::pipeline::{Creation, Read, Reply, Request, Write};

/// Decodes the body of a request; `None` if the operation is not one for clients.
pub(super) fn request(op: OpCode, body: &mut Reader) -> Result<Option<Request>> {
    match write(op, body) {
        Ok(Some(write)) => Ok(Some(Request::Write(write))),
        // ZooKeeper notices a path that is missing only when it prepares the transaction.
        Err(Error::UnexpectedNull) => {
            let code = match op {
                OpCode::SetData | OpCode::SetAcl => ErrorCode::BadArguments,
                _ => ErrorCode::MarshallingError,
            };
            Ok(Some(Request::Write(Write::Refused(code))))
        }
        Err(error) => Err(error),
        Ok(None) => Ok(read(op, body)?.map(Request::Read)),
    }
}

/// Whether a request goes through the log.
pub(super) fn is_write(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::Create
            | OpCode::Create2
            | OpCode::CreateContainer
            | OpCode::CreateTtl
            | OpCode::Delete
            | OpCode::DeleteContainer
            | OpCode::SetData
            | OpCode::SetAcl
            | OpCode::Multi
            | OpCode::Reconfig
            | OpCode::CreateSession
            | OpCode::CloseSession
    )
}

fn write(op: OpCode, body: &mut Reader) -> Result<Option<Write>> {
    Ok(Some(match op {
        OpCode::Create => Write::Create(body.read()?, Creation::Plain),
        OpCode::Create2 => Write::Create(body.read()?, Creation::WithStat),
        OpCode::CreateContainer => Write::Create(body.read()?, Creation::Container),
        OpCode::CreateTtl => {
            let (request, creation) = Creation::with_ttl(body.read::<CreateTtlRequest>()?);
            Write::Create(request, creation)
        }
        OpCode::Delete => Write::Delete(body.read()?),
        OpCode::SetData => Write::SetData(body.read()?),
        OpCode::SetAcl => Write::SetAcl(body.read()?),
        OpCode::Multi => match multi_ops(body, OpCode::Multi) {
            Ok(ops) => Write::Multi(ops),
            // Alone among the requests that cannot be decoded it takes a zxid.
            Err(_) => Write::Refused(ErrorCode::MarshallingError),
        },
        OpCode::Reconfig => {
            body.read::<common::zk::ReconfigRequest>()?;
            Write::Reconfig
        }
        OpCode::CloseSession => Write::CloseSession,
        _ => return Ok(None),
    }))
}

fn read(op: OpCode, body: &mut Reader) -> Result<Option<Read>> {
    Ok(Some(match op {
        OpCode::Exists => {
            let PathWatchRequest { path, watch } = body.read()?;
            Read::Exists { path, watch }
        }
        OpCode::GetData => {
            let PathWatchRequest { path, watch } = body.read()?;
            Read::GetData { path, watch }
        }
        OpCode::GetChildren | OpCode::GetChildren2 => {
            let PathWatchRequest { path, watch } = body.read()?;
            Read::GetChildren {
                path,
                watch,
                with_stat: op == OpCode::GetChildren2,
            }
        }
        OpCode::GetAcl => Read::GetAcl { path: path(body)? },
        OpCode::Ping => Read::Ping,
        OpCode::Sync => Read::Sync { path: path(body)? },
        OpCode::GetAllChildrenNumber => Read::GetAllChildrenNumber { path: path(body)? },
        OpCode::GetEphemerals => {
            let GetEphemeralsRequest { prefix } = body.read()?;
            Read::GetEphemerals { prefix }
        }
        OpCode::SetWatches => Read::SetWatches(without_persistent(body.read()?)),
        OpCode::SetWatches2 => Read::SetWatches(body.read()?),
        OpCode::AddWatch => {
            let AddWatchRequest { path, mode } = body.read()?;
            let mode = AddWatchMode::from_code(mode)
                .ok_or_else(|| bad_discriminant("an addWatch mode", mode))?;
            Read::AddWatch { path, mode }
        }
        OpCode::CheckWatches => {
            let request: CheckWatchesRequest = body.read()?;
            let kind = watcher_type(&request)?;
            Read::CheckWatches(request, kind)
        }
        OpCode::RemoveWatches => {
            let request: CheckWatchesRequest = body.read()?;
            let kind = watcher_type(&request)?;
            Read::RemoveWatches(request, kind)
        }
        OpCode::MultiRead => Read::Several(multi_ops(body, OpCode::MultiRead)?),
        OpCode::WhoAmI => Read::WhoAmI,
        _ => return Ok(None),
    }))
}

fn path(body: &mut Reader) -> Result<String> {
    body.read::<PathRequest>().map(|request| request.path)
}

/// The operations of a multi or a multiRead; a mixture is neither.
fn multi_ops(body: &mut Reader, op: OpCode) -> Result<Vec<MultiOp>> {
    let MultiRequest { ops } = body.read()?;
    let is_read = |op: &MultiOp| matches!(op, MultiOp::GetData(_) | MultiOp::GetChildren(_));
    let wanted = op == OpCode::MultiRead;
    match ops.iter().find(|op| is_read(op) != wanted) {
        Some(stranger) => Err(bad_discriminant(
            "an operation of this kind of multi",
            stranger.op_code().code(),
        )),
        None => ops.into_iter().map(multi_op).collect(),
    }
}

/// A part of a multi as ZooKeeper's decoder leaves it: the flags decide about the kind
/// of node, some make the whole request unreadable, and reads leave no watches.
fn multi_op(op: MultiOp) -> Result<MultiOp> {
    match op {
        MultiOp::Create(create) => of_mode(create, MultiOp::Create),
        MultiOp::Create2(create) => of_mode(create, MultiOp::Create2),
        MultiOp::CreateContainer(create) => of_mode(create, MultiOp::CreateContainer),
        MultiOp::CreateTtl(create) => Ok(without_needless_ttl(create)),
        MultiOp::GetData(read) => Ok(MultiOp::GetData(without_watch(read))),
        MultiOp::GetChildren(read) => Ok(MultiOp::GetChildren(without_watch(read))),
        MultiOp::Delete(_) | MultiOp::SetData(_) | MultiOp::Check(_) => Ok(op),
    }
}

fn of_mode(create: CreateRequest, otherwise: fn(CreateRequest) -> MultiOp) -> Result<MultiOp> {
    match CreateMode::from_flags(create.flags) {
        Some(mode) if mode.has_ttl() => Err(bad_discriminant("a mode without TTL", create.flags)),
        Some(CreateMode::Container) => Ok(MultiOp::CreateContainer(create)),
        Some(_) => Ok(otherwise(create)),
        None => Err(bad_discriminant("a create mode", create.flags)),
    }
}

fn without_watch(read: PathWatchRequest) -> PathWatchRequest {
    PathWatchRequest {
        watch: false,
        ..read
    }
}

fn without_needless_ttl(create: CreateTtlRequest) -> MultiOp {
    let mode = CreateMode::from_flags(create.flags);
    if mode.is_some_and(CreateMode::has_ttl) {
        return MultiOp::CreateTtl(create);
    }
    let (create, _) = Creation::with_ttl(create);
    match mode {
        Some(CreateMode::Container) => MultiOp::CreateContainer(create),
        _ => MultiOp::Create(create),
    }
}

fn watcher_type(request: &CheckWatchesRequest) -> Result<WatcherType> {
    let code = request.watcher_type;
    WatcherType::from_code(code).ok_or_else(|| bad_discriminant("a watcher type", code))
}

fn bad_discriminant(what: &'static str, value: i32) -> Error {
    Error::BadDiscriminant { what, value }
}

fn without_persistent(request: SetWatches) -> SetWatches2 {
    SetWatches2 {
        relative_zxid: request.relative_zxid,
        data_watches: request.data_watches,
        exist_watches: request.exist_watches,
        child_watches: request.child_watches,
        persistent_watches: Vec::new(),
        persistent_recursive_watches: Vec::new(),
    }
}

/// Encodes a reply, header and body.
pub(super) fn encode_reply(
    out: &mut BytesMut,
    xid: i32,
    zxid: i64,
    result: std::result::Result<Reply, ErrorCode>,
) {
    let err = match &result {
        Err(code) | Ok(Reply::SaslFailed(code)) => code.code(),
        Ok(_) => 0,
    };
    ReplyHeader { xid, zxid, err }.encode(out);
    if let Ok(reply) = result {
        encode_body(out, reply);
    }
}

fn encode_body(out: &mut BytesMut, reply: Reply) {
    match reply {
        Reply::Nothing | Reply::Closed | Reply::Session(_) => {}
        Reply::Path(path) => PathResponse { path }.encode(out),
        Reply::PathStat(path, stat) => Create2Response { path, stat }.encode(out),
        Reply::Stat(stat) => StatResponse { stat }.encode(out),
        Reply::Data(data, stat) => GetDataResponse { data, stat }.encode(out),
        Reply::Acl(acl, stat) => GetAclResponse { acl, stat }.encode(out),
        Reply::Children(children) => GetChildrenResponse { children }.encode(out),
        Reply::ChildrenStat(children, stat) => {
            GetChildren2Response { children, stat }.encode(out);
        }
        Reply::Count(total) => GetAllChildrenNumberResponse { total }.encode(out),
        Reply::Paths(ephemerals) => GetEphemeralsResponse { ephemerals }.encode(out),
        Reply::Watching => ErrorResponse { err: 0 }.encode(out),
        Reply::Multi(results) => MultiResponse { results }.encode(out),
        Reply::SaslToken(token) => SaslResponse { token }.encode(out),
        // Alone among the errors it has a body, an empty token.
        Reply::SaslFailed(_) => SaslResponse { token: None }.encode(out),
        Reply::WhoAmI(client_info) => WhoAmIResponse { client_info }.encode(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_any_operation_panic(body in any::<Vec<u8>>()) {
            for op in OpCode::ALL {
                let _ = request(*op, &mut Reader::new(Bytes::from(body.clone())));
            }
        }
    }

    #[test]
    fn operations_that_are_not_for_clients_are_no_requests() {
        for op in [
            OpCode::Check,
            OpCode::DeleteContainer,
            OpCode::Sasl,
            OpCode::CreateSession,
        ] {
            let decoded = request(op, &mut Reader::new(Bytes::from_static(&[0; 64])));
            assert!(matches!(decoded, Ok(None)), "{op:?}");
        }
    }

    #[test]
    fn a_mixture_of_reads_and_writes_is_refused() {
        let read = PathWatchRequest {
            path: "/a".into(),
            watch: false,
        };
        let bytes = MultiRequest {
            ops: vec![MultiOp::GetData(read)],
        }
        .to_bytes();
        let mut body = Reader::new(bytes.clone());
        let decoded = request(OpCode::Multi, &mut body);
        let refused = Write::Refused(ErrorCode::MarshallingError);
        assert_eq!(
            format!("{decoded:?}"),
            format!("{:?}", Ok::<_, Error>(Some(Request::Write(refused))))
        );
        assert!(request(OpCode::MultiRead, &mut Reader::new(bytes)).is_ok());
    }
}
