//! One connection to one broker: versions agreed on, frames, correlation ids.
//!
//! A broker that does not know our version of ApiVersions answers in version 0
//! with what it knows (KIP-511); the question is then repeated in its version.
//!
//! **Invariant:** a request is sent only in a version that both sides know.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use common::frame::FrameReader;
use futures::FutureExt as _;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::error::upper_snake;
use super::{Endpoint, Error};

/// The newest ApiVersions that we send first.
const API_VERSIONS_NEWEST: i16 = 3;
/// An answer larger than this is not one.
const FRAME_BYTES_MAX: usize = i32::MAX as usize;

/// From the oldest to the newest version that a broker serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionRange {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

/// What a broker offers, by API key.
pub(crate) type Versions = BTreeMap<i16, VersionRange>;

pub(super) struct Connection {
    endpoint: Endpoint,
    client_id: StrBytes,
    reader: FrameReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    versions: Versions,
    correlation_id: i32,
}

impl Connection {
    /// Connects and learns what the broker offers.
    pub(super) async fn open(
        to: &Endpoint,
        client_id: &str,
        limit: Duration,
    ) -> Result<Self, Error> {
        let connecting = common::net::connect(&to.host, to.port);
        let stream = tokio::time::timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(|source| Error::Unreachable(to.clone(), source))?;
        let (read, writer) = stream.into_split();
        let mut connection = Self {
            endpoint: to.clone(),
            client_id: StrBytes::from_string(client_id.to_owned()),
            reader: FrameReader::new(read, FRAME_BYTES_MAX),
            writer,
            versions: Versions::new(),
            correlation_id: 0,
        };
        connection.learn_versions().await?;
        Ok(connection)
    }

    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Whether the broker has hung up (or said something nobody asked for).
    pub(super) fn is_closed(&self) -> bool {
        let mut byte = [0; 1];
        self.writer
            .as_ref()
            .peek(&mut byte)
            .now_or_never()
            .is_some()
    }

    async fn learn_versions(&mut self) -> Result<(), Error> {
        let mut version = API_VERSIONS_NEWEST;
        loop {
            let mut body = self
                .exchange(ApiKey::ApiVersions, version, &question())
                .await?;
            let code = body
                .first_chunk::<2>()
                .map(|code| i16::from_be_bytes(*code));
            let unknown = code == Some(ResponseError::UnsupportedVersion.code());
            let answer = ApiVersionsResponse::decode(&mut body, if unknown { 0 } else { version })
                .map_err(|error| self.malformed(error))?;
            let served = answer
                .api_keys
                .iter()
                .find(|api| api.api_key == ApiKey::ApiVersions as i16)
                .map_or(0, |api| api.max_version);
            if unknown && version > 0 {
                version = served.clamp(0, version - 1);
                continue;
            }
            Error::check(answer.error_code, None)?;
            self.versions = answer
                .api_keys
                .iter()
                .map(|api| {
                    let (min, max) = (api.min_version, api.max_version);
                    (api.api_key, VersionRange { min, max })
                })
                .collect();
            return Ok(());
        }
    }

    pub(super) async fn call<R: Request>(
        &mut self,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        let (api, version) = self.agree::<R>()?;
        let mut body = self.exchange(api, version, &build(version)).await?;
        R::Response::decode(&mut body, version).map_err(|error| self.malformed(error))
    }

    pub(super) async fn send_only<R: Request>(
        &mut self,
        build: impl FnOnce(i16) -> R,
    ) -> Result<(), Error> {
        let (api, version) = self.agree::<R>()?;
        self.send(api, version, &build(version)).await
    }

    fn agree<R: Request>(&self) -> Result<(ApiKey, i16), Error> {
        let api = ApiKey::try_from(R::KEY).map_err(|()| Error::Unsupported(R::KEY.to_string()))?;
        let unsupported = || Error::Unsupported(upper_snake(&format!("{api:?}")));
        let theirs = self.versions.get(&R::KEY).ok_or_else(unsupported)?;
        let newest = R::VERSIONS.max.min(theirs.max).min(newest_by_name(api));
        match newest >= R::VERSIONS.min.max(theirs.min) {
            true => Ok((api, newest)),
            false => Err(unsupported()),
        }
    }

    async fn exchange<R: Request>(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &R,
    ) -> Result<Bytes, Error> {
        self.send(api, version, request).await?;
        let answer = self.reader.next().await;
        let closed = || Error::Disconnected(self.endpoint.clone());
        let mut frame = answer.ok().flatten().ok_or_else(closed)?;
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut frame, header_version)
            .map_err(|error| self.malformed(error))?;
        match header.correlation_id == self.correlation_id {
            true => Ok(frame),
            false => Err(self.malformed("an answer to another request")),
        }
    }

    async fn send<R: Request>(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &R,
    ) -> Result<(), Error> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(api as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(self.client_id.clone()));
        let frame = encode(&header, R::header_version(version), request, version)?;
        self.writer
            .write_all(&frame)
            .await
            .map_err(|_| Error::Disconnected(self.endpoint.clone()))
    }

    fn malformed(&self, error: impl ToString) -> Error {
        Error::Malformed(self.endpoint.clone(), error.to_string())
    }
}

/// From these versions on topics have ids instead of names; we use names.
fn newest_by_name(api: ApiKey) -> i16 {
    match api {
        ApiKey::Produce | ApiKey::Fetch => 12,
        ApiKey::OffsetCommit | ApiKey::OffsetFetch => 9,
        _ => i16::MAX,
    }
}

fn question() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("odradek-cli"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")))
}

fn encode<R: Request>(
    header: &RequestHeader,
    header_version: i16,
    request: &R,
    version: i16,
) -> Result<BytesMut, Error> {
    let unwritable =
        |error: kafka_protocol::error::ProtoError| Error::Unwritable(error.to_string());
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    header
        .encode(&mut frame, header_version)
        .map_err(unwritable)?;
    request.encode(&mut frame, version).map_err(unwritable)?;
    let length = i32::try_from(frame.len() - size_of::<i32>())
        .map_err(|_| Error::Unwritable("it is larger than 2 GB".to_owned()))?;
    (&mut frame[..]).put_i32(length);
    Ok(frame)
}
