//! The bodies of replies whose error is 0.

use bytes::Bytes;

use super::{Acl, Stat};

crate::jute_record! {
    /// create and sync.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PathResponse { path: String }

    /// create2, createContainer and createTTL.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Create2Response { path: String, stat: Stat }

    /// exists, setData and setACL.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StatResponse { stat: Stat }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GetDataResponse { data: Option<Bytes>, stat: Stat }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GetAclResponse { acl: Vec<Acl>, stat: Stat }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GetChildrenResponse { children: Vec<String> }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GetChildren2Response { children: Vec<String>, stat: Stat }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GetAllChildrenNumberResponse { total: i32 }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GetEphemeralsResponse { ephemerals: Vec<String> }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ClientInfo { scheme: String, user: String }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct WhoAmIResponse { client_info: Vec<ClientInfo> }

    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SaslResponse { token: Option<Bytes> }

    /// addWatch answers this with 0; clients decode it, so it is never left out.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ErrorResponse { err: i32 }
}
