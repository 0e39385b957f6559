//! What every handler may know of the request besides its body.

use std::sync::Arc;

use super::throttle::Throttle;
use crate::protocol::RequestFrame;
use crate::server::Peer;

/// Who asks, over which listener and in which version.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) api_version: i16,
    /// Empty when the client gave none.
    pub(crate) client_id: String,
    /// The client's address as Kafka shows it, with a leading slash.
    pub(crate) client_host: String,
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
            client_id: frame.client_id.as_deref().unwrap_or_default().to_owned(),
            client_host: format!("/{}", peer.address.ip().to_canonical()),
            listener: peer.listener.clone(),
        }
    }
}
