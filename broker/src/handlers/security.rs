//! What a cluster without security answers to those who ask for some: SASL on
//! a plaintext listener, ACLs without an authorizer, tokens of nobody.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, CreateDelegationTokenRequest,
    CreateDelegationTokenResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse, DescribeDelegationTokenResponse, ExpireDelegationTokenResponse,
    RenewDelegationTokenResponse, SaslAuthenticateResponse, SaslHandshakeResponse,
};

use super::wire::text;

const NO_AUTHORIZER: &str = "No Authorizer is configured.";
/// Who everybody is on a listener that asks nobody.
const PRINCIPAL_TYPE: &str = "User";
const PRINCIPAL_NAME: &str = "ANONYMOUS";
/// The code of a kind that no version has a name for.
const UNKNOWN: i8 = 0;
const NO_TIMESTAMP: i64 = -1;

/// There is nothing to shake hands about.
pub(crate) fn sasl_handshake() -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code())
}

pub(crate) fn sasl_authenticate() -> SaslAuthenticateResponse {
    let message = "SaslAuthenticate request received after successful authentication";
    SaslAuthenticateResponse::default()
        .with_error_code(ResponseError::IllegalSaslState.code())
        .with_error_message(Some(text(message)))
}

/// `None` for a request that Kafka does not read: it closes the connection.
pub(crate) fn describe_acls(request: &DescribeAclsRequest) -> Option<DescribeAclsResponse> {
    let kinds = [
        request.pattern_type_filter,
        request.resource_type_filter,
        request.permission_type,
        request.operation,
    ];
    let response = DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(text("No Authorizer is configured on the broker")));
    (!kinds.contains(&UNKNOWN)).then_some(response)
}

/// `None` for a request that Kafka does not read: it closes the connection.
pub(crate) fn create_acls(request: &CreateAclsRequest) -> Option<CreateAclsResponse> {
    let is_known = request.creations.iter().all(|creation| {
        let kinds = [
            creation.resource_pattern_type,
            creation.resource_type,
            creation.permission_type,
            creation.operation,
        ];
        !kinds.contains(&UNKNOWN)
    });
    let refused = AclCreationResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(text(NO_AUTHORIZER)));
    let results = vec![refused; request.creations.len()];
    is_known.then(|| CreateAclsResponse::default().with_results(results))
}

/// `None` for a request that Kafka does not read: it closes the connection.
pub(crate) fn delete_acls(request: &DeleteAclsRequest) -> Option<DeleteAclsResponse> {
    let is_known = request.filters.iter().all(|filter| {
        let kinds = [
            filter.pattern_type_filter,
            filter.resource_type_filter,
            filter.operation,
            filter.permission_type,
        ];
        !kinds.contains(&UNKNOWN)
    });
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(text(NO_AUTHORIZER)));
    let results = vec![refused; request.filters.len()];
    is_known.then(|| DeleteAclsResponse::default().with_filter_results(results))
}

const NO_TOKENS: ResponseError = ResponseError::DelegationTokenRequestNotAllowed;

pub(crate) fn create_token(
    version: i16,
    request: &CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    let name = request.owner_principal_name.clone();
    let owner = match name.filter(|name| !name.is_empty()) {
        Some(name) => (
            request.owner_principal_type.clone().unwrap_or_default(),
            name,
        ),
        None => (text(PRINCIPAL_TYPE), text(PRINCIPAL_NAME)),
    };
    let response = CreateDelegationTokenResponse::default()
        .with_error_code(NO_TOKENS.code())
        .with_principal_type(owner.0)
        .with_principal_name(owner.1)
        .with_issue_timestamp_ms(NO_TIMESTAMP)
        .with_expiry_timestamp_ms(NO_TIMESTAMP)
        .with_max_timestamp_ms(NO_TIMESTAMP);
    match version {
        3.. => response
            .with_token_requester_principal_type(text(PRINCIPAL_TYPE))
            .with_token_requester_principal_name(text(PRINCIPAL_NAME)),
        _ => response,
    }
}

pub(crate) fn renew_token() -> RenewDelegationTokenResponse {
    RenewDelegationTokenResponse::default()
        .with_error_code(NO_TOKENS.code())
        .with_expiry_timestamp_ms(NO_TIMESTAMP)
}

pub(crate) fn expire_token() -> ExpireDelegationTokenResponse {
    ExpireDelegationTokenResponse::default()
        .with_error_code(NO_TOKENS.code())
        .with_expiry_timestamp_ms(NO_TIMESTAMP)
}

pub(crate) fn describe_tokens() -> DescribeDelegationTokenResponse {
    DescribeDelegationTokenResponse::default().with_error_code(NO_TOKENS.code())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::create_acls_request::AclCreation;

    use super::*;

    #[test]
    fn every_acl_is_refused_by_itself_and_unknown_kinds_as_a_whole() {
        let good = AclCreation::default()
            .with_resource_type(2)
            .with_resource_pattern_type(3)
            .with_operation(3)
            .with_permission_type(3);
        let bad = good.clone().with_operation(UNKNOWN);
        let request = CreateAclsRequest::default().with_creations(vec![good.clone(), good.clone()]);
        let results = create_acls(&request).unwrap().results;
        assert_eq!(results.len(), 2);
        assert!(results.iter().all(|result| result.error_code == 54));
        let request = CreateAclsRequest::default().with_creations(vec![good, bad]);
        assert!(create_acls(&request).is_none());
    }
}
