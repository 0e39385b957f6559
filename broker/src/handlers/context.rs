//! What every handler may know of the request besides its body.

use std::net::IpAddr;
use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;

use super::throttle::Throttle;
use crate::protocol::RequestFrame;
use crate::server::Peer;

/// Who asks, over which listener and in which version.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) api_version: i16,
    /// Empty when the client gave none.
    pub(crate) client_id: StrBytes,
    pub(crate) client_ip: IpAddr,
    /// Name of the listener, which decides the addresses in metadata.
    pub(crate) listener: Arc<str>,
    /// The client's account, where any client has a quota.
    pub(crate) throttle: Option<Arc<Throttle>>,
}

impl RequestContext {
    pub(crate) fn new(peer: &Peer, frame: &RequestFrame, throttle: Option<Arc<Throttle>>) -> Self {
        Self {
            throttle,
            api_version: frame.version,
            client_id: frame.client_id.clone().unwrap_or_default(),
            client_ip: peer.address.ip(),
            listener: peer.listener.clone(),
        }
    }
}
