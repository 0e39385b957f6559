//! ApiVersions (KIP-35, KIP-511).

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::context::RequestContext;
use crate::protocol::api;

/// Lists what is served, straight from the table that dispatches.
/// `features_epoch` is that of the cluster's finalized features, if there are any.
pub(crate) fn handle(
    ctx: &RequestContext,
    request: &ApiVersionsRequest,
    features_epoch: Option<i64>,
) -> ApiVersionsResponse {
    let names_client = ctx.api_version >= 3;
    if names_client
        && !(is_legal(&request.client_software_name) && is_legal(&request.client_software_version))
    {
        return ApiVersionsResponse::default()
            .with_error_code(ResponseError::InvalidRequest.code());
    }
    let response = ApiVersionsResponse::default()
        .with_api_keys(api::listing().into_iter().map(entry).collect());
    match features_epoch {
        Some(epoch) if names_client => response.with_finalized_features_epoch(epoch),
        _ => response,
    }
}

/// The answer to a version that is not served: in version 0, with the one API
/// that tells the client how to go on.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    let own = api::listing().into_iter();
    let own = own.filter(|(key, ..)| *key == ApiKey::ApiVersions as i16);
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(own.map(entry).collect())
}

fn entry((key, min, max): (i16, i16, i16)) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(key)
        .with_min_version(min)
        .with_max_version(max)
}

/// KIP-511: `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn is_legal(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    alphanumeric(bytes.first()) && alphanumeric(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_names_by_kip_511() {
        for good in ["a", "librdkafka", "apache-kafka-java", "3.9.1"] {
            assert!(is_legal(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a b", "ä"] {
            assert!(!is_legal(bad), "{bad}");
        }
    }

    #[test]
    fn the_fallback_answer_has_the_bytes_of_kip_511() {
        let bytes = crate::protocol::codec::encode(0, 1, &unsupported()).unwrap();
        assert_eq!(
            bytes[..],
            [0, 0, 0, 1, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]
        );
    }
}
