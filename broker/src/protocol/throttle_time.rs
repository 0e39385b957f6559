//! Where an encoded response says how long its client shall pause.
//!
//! A response is encoded before it is known what it cost, so the field is
//! written into its bytes afterwards.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, ProduceResponse, ResponseHeader};
use kafka_protocol::protocol::{Decodable, HeaderVersion};

use super::codec;

const FIELD: usize = size_of::<i32>();
const CORRELATION_ID: usize = size_of::<i32>();

/// Where the field is in a response of this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// So many bytes into the body.
    Body(usize),
    /// So many bytes before the end.
    End(usize),
    /// Behind fields of any length.
    Somewhere,
    /// This version does not have it.
    Nowhere,
}

fn place(key: ApiKey, version: i16) -> Place {
    let is_flexible = key.response_header_version(version) >= 1;
    let first_from = match key {
        // Versions that the codec does not know: there it is at the end.
        ApiKey::Produce if (1..3).contains(&version) => return Place::End(FIELD),
        ApiKey::Produce | ApiKey::ApiVersions if version >= 1 => return Place::Somewhere,
        ApiKey::SaslHandshake | ApiKey::SaslAuthenticate | ApiKey::WriteTxnMarkers => {
            return Place::Nowhere;
        }
        ApiKey::CreateDelegationToken
        | ApiKey::RenewDelegationToken
        | ApiKey::ExpireDelegationToken
        | ApiKey::DescribeDelegationToken => {
            // Behind it come at most the (empty) tagged fields.
            return Place::End(FIELD + usize::from(is_flexible));
        }
        ApiKey::OffsetDelete => return Place::Body(size_of::<i16>()),
        ApiKey::Fetch
        | ApiKey::FindCoordinator
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteTopics
        | ApiKey::Produce
        | ApiKey::ApiVersions => 1,
        ApiKey::ListOffsets
        | ApiKey::JoinGroup
        | ApiKey::CreateTopics
        | ApiKey::OffsetForLeaderEpoch => 2,
        ApiKey::Metadata | ApiKey::OffsetCommit | ApiKey::OffsetFetch => 3,
        _ => 0,
    };
    match version >= first_from {
        true => Place::Body(0),
        false => Place::Nowhere,
    }
}

/// The same response, or the beginning of it, with this pause; as it was where
/// its version has no place for one.
#[must_use]
pub fn with_throttle_time(key: ApiKey, version: i16, response: Bytes, ms: i32) -> Bytes {
    let header = key.response_header_version(version);
    let body = CORRELATION_ID + usize::from(header >= 1);
    let at = match place(key, version) {
        Place::Body(at) => body + at,
        Place::End(from) => response.len().saturating_sub(from),
        Place::Nowhere => return response,
        Place::Somewhere => {
            let changed = match key {
                ApiKey::Produce => reencoded(version, &response, |of: &mut ProduceResponse| {
                    of.throttle_time_ms = ms;
                }),
                _ => reencoded(version, &response, |of: &mut ApiVersionsResponse| {
                    of.throttle_time_ms = ms;
                }),
            };
            return changed.unwrap_or(response);
        }
    };
    let mut bytes = BytesMut::from(&response[..]);
    if let Some(field) = bytes.get_mut(at..at + FIELD) {
        field.copy_from_slice(&ms.to_be_bytes());
    }
    bytes.freeze()
}

/// `None` for what the codec does not understand.
fn reencoded<R: Decodable + kafka_protocol::protocol::Encodable + HeaderVersion>(
    version: i16,
    response: &Bytes,
    change: impl FnOnce(&mut R),
) -> Option<Bytes> {
    let mut rest = response.clone();
    let header = ResponseHeader::decode(&mut rest, R::header_version(version)).ok()?;
    let mut decoded = R::decode(&mut rest, version).ok()?;
    change(&mut decoded);
    codec::encode(version, header.correlation_id, &decoded).ok()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{
        DescribeDelegationTokenResponse, FetchResponse, MetadataResponse, OffsetDeleteResponse,
    };
    use kafka_protocol::protocol::Encodable;

    use super::*;

    fn check<R: Decodable + Encodable + HeaderVersion + Default>(
        key: ApiKey,
        versions: std::ops::RangeInclusive<i16>,
        pause: impl Fn(&R) -> i32,
    ) {
        for version in versions {
            let plain = codec::encode(version, 7, &R::default()).unwrap();
            let mut throttled = with_throttle_time(key, version, plain.clone(), 0x0102_0304);
            assert_eq!(throttled.len(), plain.len());
            let header = ResponseHeader::decode(&mut throttled, R::header_version(version));
            assert_eq!(header.unwrap().correlation_id, 7);
            let decoded = R::decode(&mut throttled, version).unwrap();
            assert_eq!(pause(&decoded), 0x0102_0304, "{key:?} {version}");
        }
    }

    #[test]
    fn the_field_is_found_wherever_it_is() {
        check(ApiKey::Produce, 3..=13, |of: &ProduceResponse| {
            of.throttle_time_ms
        });
        check(ApiKey::Fetch, 4..=18, |of: &FetchResponse| {
            of.throttle_time_ms
        });
        check(ApiKey::Metadata, 3..=13, |of: &MetadataResponse| {
            of.throttle_time_ms
        });
        check(ApiKey::ApiVersions, 1..=4, |of: &ApiVersionsResponse| {
            of.throttle_time_ms
        });
        check(ApiKey::OffsetDelete, 0..=0, |of: &OffsetDeleteResponse| {
            of.throttle_time_ms
        });
        check(
            ApiKey::DescribeDelegationToken,
            1..=3,
            |of: &DescribeDelegationTokenResponse| of.throttle_time_ms,
        );
    }

    #[test]
    fn a_version_without_the_field_stays_as_it_is() {
        let plain = codec::encode(0, 7, &MetadataResponse::default()).unwrap();
        let same = with_throttle_time(ApiKey::Metadata, 0, plain.clone(), 5);
        assert_eq!(same, plain);
    }
}
