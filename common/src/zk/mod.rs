//! The records of ZooKeeper's client protocol, shared by the server (coordinator) and the client (broker, tool).
//!
//! A connection opens with [`ConnectRequest`] / [`ConnectResponse`]; after that
//! each frame is a [`RequestHeader`] and the body of its [`OpCode`], answered by
//! a [`ReplyHeader`] and, when the error is 0, a body. Watch events are replies
//! with [`xid::NOTIFICATION`].
//!
//! **Invariant:** records are data only; what a request means is known by the
//! coordinator, how it is sent by the client.

pub mod path;
pub mod xid;

mod acl;
mod connect;
mod create_mode;
mod error_code;
mod multi;
mod op_code;
mod request;
mod response;
mod stat;
mod watch;

pub use acl::{Acl, Id, perms};
pub use connect::{ConnectRequest, ConnectResponse, PASSWORD_LEN, ReplyHeader, RequestHeader};
pub use create_mode::CreateMode;
pub use error_code::ErrorCode;
pub use multi::{MultiHeader, MultiOp, MultiRequest, MultiResponse, MultiResult};
pub use op_code::OpCode;
pub use request::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, CheckWatchesRequest, CreateRequest,
    CreateTtlRequest, DeleteRequest, GetDataRequest, GetEphemeralsRequest, PathRequest,
    PathWatchRequest, ReconfigRequest, RemoveWatchesRequest, SaslRequest, SetAclRequest,
    SetDataRequest, SetWatches, SetWatches2,
};
pub use response::{
    ClientInfo, Create2Response, ErrorResponse, GetAclResponse, GetAllChildrenNumberResponse,
    GetChildren2Response, GetChildrenResponse, GetDataResponse, GetEphemeralsResponse,
    PathResponse, SaslResponse, StatResponse, WhoAmIResponse,
};
pub use stat::Stat;
pub use watch::{AddWatchMode, EventType, KeeperState, WatcherEvent, WatcherType};

#[cfg(test)]
mod tests;
