//! Request headers, bodies and responses between bytes and structs.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::api::{self, Api};
use super::interbroker::{self, InterbrokerKey};
use super::legacy::{self, Fields, OldRequest, OldResponse};

/// Key, version and correlation id: without them there is no answering.
const FIXED_HEADER: usize = 8;

/// Why a request's bytes cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a request of {0} bytes is shorter than a request header")]
    Short(usize),
    #[error("api key {0} is not served here")]
    UnknownApi(i16),
    #[error("version {version} of {key:?} is not served here")]
    UnsupportedVersion { key: ApiKey, version: i16 },
    #[error("the header of a {key:?} request (version {version}) is malformed")]
    Header { key: ApiKey, version: i16 },
    #[error("the body of a {key:?} request (version {version}) is malformed: {reason}")]
    Body {
        key: ApiKey,
        version: i16,
        reason: String,
    },
    #[error("version {version} of {key:?} is not served here")]
    UnsupportedInterbroker { key: InterbrokerKey, version: i16 },
    #[error("a {key:?} request is malformed: {source}")]
    Interbroker {
        key: InterbrokerKey,
        source: interbroker::Error,
    },
    #[error("a response cannot be encoded in version {version}: {reason}")]
    Encode { version: i16, reason: String },
}

/// A request with its header decoded and its body as it came.
#[derive(Debug, Clone)]
pub struct RequestFrame {
    pub api: &'static Api,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
    pub body: Bytes,
}

/// What the first bytes of a request say, before its header is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Prefix {
    pub key: i16,
    pub version: i16,
    pub correlation_id: i32,
}

impl RequestFrame {
    /// The fixed part of the header, which has never changed.
    pub fn prefix(frame: &Bytes) -> Result<Prefix, Error> {
        if frame.len() < FIXED_HEADER {
            return Err(Error::Short(frame.len()));
        }
        let mut fixed = &frame[..FIXED_HEADER];
        Ok(Prefix {
            key: fixed.get_i16(),
            version: fixed.get_i16(),
            correlation_id: fixed.get_i32(),
        })
    }

    /// Decodes the header; the versions outside the served range are errors.
    pub fn parse(mut frame: Bytes) -> Result<Self, Error> {
        let prefix = Self::prefix(&frame)?;
        let api = api::lookup(prefix.key).ok_or(Error::UnknownApi(prefix.key))?;
        let version = prefix.version;
        if !(api.min..=api.max).contains(&version) {
            return Err(Error::UnsupportedVersion {
                key: api.key,
                version,
            });
        }
        let malformed = Error::Header {
            key: api.key,
            version,
        };
        frame.advance(FIXED_HEADER);
        let Ok(client_id) = take_nullable_string(&mut frame) else {
            return Err(malformed);
        };
        // Whatever the codec has forgotten is of before the flexible versions.
        let is_flexible =
            !legacy::is_old(api.key, version) && api.key.request_header_version(version) >= 2;
        if is_flexible && skip_tagged_fields(&mut frame).is_err() {
            return Err(malformed);
        }
        Ok(Self {
            api,
            version,
            correlation_id: prefix.correlation_id,
            client_id,
            body: frame,
        })
    }

    /// Decodes the body as the request type of the API.
    pub fn decode<R: Decodable>(&self) -> Result<R, Error> {
        let mut body = self.body.clone();
        R::decode(&mut body, self.version).map_err(|error| self.malformed(error))
    }

    /// Decodes the body of an API that has versions older than the codec.
    pub fn decode_any<R: OldRequest>(&self) -> Result<R, Error> {
        if !legacy::is_old(self.api.key, self.version) {
            return self.decode();
        }
        let mut from = Fields::new(self.body.clone());
        R::decode_old(&mut from, self.version).map_err(|malformed| self.malformed(malformed))
    }

    /// Encodes a response of an API that has versions older than the codec.
    pub fn encode_any<R: OldResponse>(&self, response: &R) -> Result<Bytes, Error> {
        encode_any(self.api.key, self.version, self.correlation_id, response)
    }

    pub(super) fn malformed(&self, reason: impl ToString) -> Error {
        Error::Body {
            key: self.api.key,
            version: self.version,
            reason: reason.to_string(),
        }
    }

    /// Encodes `response` with its header.
    pub fn encode<R: Encodable + HeaderVersion>(&self, response: &R) -> Result<Bytes, Error> {
        encode(self.version, self.correlation_id, response)
    }
}

/// A request that one broker sends another, with its body as it came.
#[derive(Debug, Clone)]
pub struct InterbrokerFrame {
    pub key: InterbrokerKey,
    pub version: i16,
    pub correlation_id: i32,
    pub body: Bytes,
}

impl InterbrokerFrame {
    /// Decodes the header; `None` when `frame` is a request of the client
    /// protocol.
    pub fn parse(frame: &Bytes) -> Result<Option<Self>, Error> {
        let prefix = RequestFrame::prefix(frame)?;
        let Some(key) = InterbrokerKey::of(prefix.key) else {
            return Ok(None);
        };
        let version = prefix.version;
        let (oldest, newest) = key.versions();
        if !(oldest..=newest).contains(&version) {
            return Err(Error::UnsupportedInterbroker { key, version });
        }
        let mut body = frame.slice(FIXED_HEADER..);
        let header = || -> Result<(), Malformed> {
            if key.names_client(version) {
                take_nullable_string(&mut body)?;
            }
            match key.is_flexible(version) {
                true => skip_tagged_fields(&mut body),
                false => Ok(()),
            }
        };
        match { header }() {
            Ok(()) => Ok(Some(Self {
                key,
                version,
                correlation_id: prefix.correlation_id,
                body,
            })),
            Err(Malformed) => Err(Error::Interbroker {
                key,
                source: interbroker::Error::Header,
            }),
        }
    }
}

/// Encodes header and body of a response, without the length prefix.
pub fn encode<R: Encodable + HeaderVersion>(
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<Bytes, Error> {
    let failed = |error: kafka_protocol::error::ProtoError| Error::Encode {
        version,
        reason: error.to_string(),
    };
    let (header, header_version) = (
        ResponseHeader::default().with_correlation_id(correlation_id),
        R::header_version(version),
    );
    let header_size = header.compute_size(header_version).map_err(failed)?;
    let size = header_size + response.compute_size(version).map_err(failed)?;
    let mut out = Vec::with_capacity(size);
    header.encode(&mut out, header_version).map_err(failed)?;
    response.encode(&mut out, version).map_err(failed)?;
    Ok(out.into())
}

/// Encodes header and body of a response, in a version of any age.
pub fn encode_any<R: OldResponse>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &R,
) -> Result<Bytes, Error> {
    if !legacy::is_old(key, version) {
        return encode(version, correlation_id, response);
    }
    let mut out = BytesMut::new();
    out.put_i32(correlation_id);
    legacy::encode(response, version, &mut out).map_err(|malformed| Error::Encode {
        version,
        reason: malformed.to_string(),
    })?;
    Ok(out.freeze())
}

/// Bytes that are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a field is cut off or out of its range")]
pub struct Malformed;

fn take_nullable_string(from: &mut Bytes) -> Result<Option<StrBytes>, Malformed> {
    if from.remaining() < 2 {
        return Err(Malformed);
    }
    let Ok(length) = usize::try_from(from.get_i16()) else {
        return Ok(None);
    };
    if from.remaining() < length {
        return Err(Malformed);
    }
    let text = StrBytes::from_utf8(from.split_to(length)).map_err(|_| Malformed)?;
    Ok(Some(text))
}

fn skip_tagged_fields(from: &mut Bytes) -> Result<(), Malformed> {
    for _ in 0..take_unsigned_varint(from)? {
        let _tag = take_unsigned_varint(from)?;
        let size = usize::try_from(take_unsigned_varint(from)?).map_err(|_| Malformed)?;
        if from.remaining() < size {
            return Err(Malformed);
        }
        from.advance(size);
    }
    Ok(())
}

/// Takes one of Kafka's unsigned varints.
pub(crate) fn take_unsigned_varint(from: &mut Bytes) -> Result<u32, Malformed> {
    const BYTES_MAX: u32 = 5;
    let mut value = 0_u32;
    for index in 0..BYTES_MAX {
        let byte = from.try_get_u8().map_err(|_| Malformed)?;
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

/// Writes `value` as Kafka's unsigned varint.
pub(crate) fn put_unsigned_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{MetadataRequest, RequestHeader};

    use super::*;

    fn frame(key: ApiKey, version: i16, client: Option<&'static str>) -> Bytes {
        let mut out = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(7)
            .with_client_id(client.map(StrBytes::from_static_str))
            .encode(&mut out, key.request_header_version(version))
            .unwrap();
        MetadataRequest::default()
            .encode(&mut out, version)
            .unwrap();
        out.freeze()
    }

    #[test]
    fn headers_of_both_kinds_are_decoded() {
        for version in 0..=13 {
            let parsed = RequestFrame::parse(frame(ApiKey::Metadata, version, Some("me"))).unwrap();
            assert_eq!(parsed.correlation_id, 7);
            assert_eq!(parsed.client_id.as_deref(), Some("me"));
            parsed.decode::<MetadataRequest>().unwrap();
        }
    }

    #[test]
    fn every_cut_of_a_request_is_an_error_or_a_request_but_no_panic() {
        let whole = frame(ApiKey::Metadata, 12, None);
        for cut in 0..whole.len() {
            if let Ok(parsed) = RequestFrame::parse(whole.slice(..cut)) {
                assert!(parsed.decode::<MetadataRequest>().is_err());
            }
        }
    }

    #[test]
    fn what_is_not_served_is_named() {
        let unknown = RequestFrame::parse(Bytes::from_static(&[0x7f, 0, 0, 0, 0, 0, 0, 1]));
        assert!(matches!(unknown, Err(Error::UnknownApi(0x7f00))));
        let version = RequestFrame::parse(Bytes::from_static(&[0, 3, 0, 99, 0, 0, 0, 1]));
        assert!(matches!(
            version,
            Err(Error::UnsupportedVersion { version: 99, .. })
        ));
    }
}
