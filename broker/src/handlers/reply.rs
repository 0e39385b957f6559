//! Answers as frames, now or later.

use common::wire::Frame;
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::context::RequestContext;
use super::{api_versions, produce};
use crate::protocol::legacy::OldResponse;
use crate::protocol::{Error, RequestFrame, codec};
use crate::server::{Outcome, Peer, Reply};

/// What a produce comes to.
pub(super) fn produced_reply(
    ctx: &RequestContext,
    frame: &RequestFrame,
    produced: produce::Produced,
) -> Result<Reply, Error> {
    if let Some(throttle) = &ctx.throttle {
        throttle.produced();
    }
    match produced {
        produce::Produced::Now(response) => now_any(frame, &response),
        produce::Produced::Later(response) => Ok(later_any(frame, response)),
        produce::Produced::Nothing => Ok(Reply::Nothing),
        produce::Produced::Close => {
            tracing::debug!(client = ?ctx.client_id, "an unacknowledged produce failed");
            Ok(Reply::Close)
        }
    }
}

/// Encodes an answer that is there.
pub(super) fn now<R: Encodable + HeaderVersion>(
    frame: &RequestFrame,
    response: &R,
) -> Result<Reply, Error> {
    Ok(Reply::Now(frame.encode(response)?.into()))
}

/// Encodes an answer once it is there.
pub(super) fn later<R: Encodable + HeaderVersion + 'static>(
    frame: &RequestFrame,
    response: BoxFuture<'static, R>,
) -> Reply {
    let (version, correlation_id) = (frame.version, frame.correlation_id);
    let encode = move |response: R| {
        outcome(codec::encode(version, correlation_id, &response).map(Frame::from))
    };
    Reply::Later(response.map(encode).boxed())
}

/// Encodes an answer of an API that has versions older than the codec.
pub(super) fn now_any<R: OldResponse>(frame: &RequestFrame, response: &R) -> Result<Reply, Error> {
    Ok(Reply::Now(frame.encode_any(response)?.into()))
}

/// The same once the answer is there.
pub(super) fn later_any<R: OldResponse + 'static>(
    frame: &RequestFrame,
    response: BoxFuture<'static, R>,
) -> Reply {
    let (key, version, correlation_id) = (frame.api.key, frame.version, frame.correlation_id);
    let encode = move |response: R| {
        outcome(codec::encode_any(key, version, correlation_id, &response).map(Frame::from))
    };
    Reply::Later(response.map(encode).boxed())
}

pub(super) fn outcome(encoded: Result<Frame, Error>) -> Outcome {
    match encoded {
        Ok(frame) => Outcome::Answer(frame),
        Err(error) => {
            tracing::error!(%error, "an answer was lost");
            Outcome::Close
        }
    }
}

/// What is left to do for a request that cannot be served.
pub(super) fn failed(peer: &Peer, prefix: &Result<codec::Prefix, Error>, error: &Error) -> Reply {
    if let (
        Error::UnsupportedVersion {
            key: ApiKey::ApiVersions,
            ..
        },
        Ok(prefix),
    ) = (error, prefix)
    {
        return fallback(prefix.correlation_id);
    }
    tracing::warn!(address = %peer.address, %error, "connection closed");
    Reply::Close
}

/// KIP-511: an ApiVersions request from the future is answered in version 0.
fn fallback(correlation_id: i32) -> Reply {
    match codec::encode(0, correlation_id, &api_versions::unsupported()) {
        Ok(answer) => Reply::Now(answer.into()),
        Err(error) => {
            tracing::error!(%error, "an answer was lost");
            Reply::Close
        }
    }
}
