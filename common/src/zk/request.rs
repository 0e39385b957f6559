//! The bodies of requests.

use bytes::Bytes;

use super::Acl;

crate::jute_record! {
    /// Create, create2 and createContainer.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CreateRequest {
        path: String,
        data: Option<Bytes>,
        acl: Vec<Acl>,
        /// A [`CreateMode`](super::CreateMode).
        flags: i32,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CreateTtlRequest {
        path: String,
        data: Option<Bytes>,
        acl: Vec<Acl>,
        flags: i32,
        ttl_ms: i64,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeleteRequest {
        path: String,
        /// −1 for any.
        version: i32,
    }

    /// exists, getChildren and getChildren2: a path, and whether to leave a watch.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PathWatchRequest { path: String, watch: bool }

    /// sync, getACL, getAllChildrenNumber and deleteContainer.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PathRequest { path: String }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SetDataRequest { path: String, data: Option<Bytes>, version: i32 }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SetAclRequest { path: String, acl: Vec<Acl>, version: i32 }

    /// Inside a multi: the node must have this version.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CheckVersionRequest { path: String, version: i32 }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AuthPacket { auth_type: i32, scheme: Option<String>, auth: Option<Bytes> }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SaslRequest { token: Option<Bytes> }

    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct SetWatches {
        /// The last transaction that the client saw.
        relative_zxid: i64,
        data_watches: Vec<String>,
        exist_watches: Vec<String>,
        child_watches: Vec<String>,
    }

    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    pub struct SetWatches2 {
        relative_zxid: i64,
        data_watches: Vec<String>,
        exist_watches: Vec<String>,
        child_watches: Vec<String>,
        persistent_watches: Vec<String>,
        persistent_recursive_watches: Vec<String>,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AddWatchRequest {
        path: String,
        /// An [`AddWatchMode`](super::AddWatchMode).
        mode: i32,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CheckWatchesRequest {
        path: String,
        /// A [`WatcherType`](super::WatcherType).
        watcher_type: i32,
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GetEphemeralsRequest { prefix: String }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ReconfigRequest {
        joining_servers: Option<String>,
        leaving_servers: Option<String>,
        new_members: Option<String>,
        current_config_id: i64,
    }
}

/// getData has the body of exists.
pub type GetDataRequest = PathWatchRequest;
/// removeWatches has the body of checkWatches.
pub type RemoveWatchesRequest = CheckWatchesRequest;
