//! Version 0 of the ACLs' APIs: names are literal, so no pattern type is sent.

use kafka_protocol::messages::create_acls_request::AclCreation;
use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DescribeAclsRequest, DescribeAclsResponse,
};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

/// The pattern type of a name that means itself.
const LITERAL: i8 = 3;

/// Reads a filter, which is all that DescribeAcls asks with.
fn filter(from: &mut Fields) -> Result<DeleteAclsFilter, Malformed> {
    Ok(DeleteAclsFilter::default()
        .with_resource_type_filter(from.i8()?)
        .with_resource_name_filter(from.nullable_string()?)
        .with_pattern_type_filter(LITERAL)
        .with_principal_filter(from.nullable_string()?)
        .with_host_filter(from.nullable_string()?)
        .with_operation(from.i8()?)
        .with_permission_type(from.i8()?))
}

/// Writes who may do what, the end of every ACL.
fn access(
    out: &mut Writer<'_>,
    (principal, host): (&str, &str),
    (operation, permission_type): (i8, i8),
) -> Result<(), Malformed> {
    out.string(principal)?;
    out.string(host)?;
    out.i8(operation);
    out.i8(permission_type);
    Ok(())
}

impl OldRequest for DescribeAclsRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let filter = filter(from)?;
        Ok(Self::default()
            .with_resource_type_filter(filter.resource_type_filter)
            .with_resource_name_filter(filter.resource_name_filter)
            .with_pattern_type_filter(filter.pattern_type_filter)
            .with_principal_filter(filter.principal_filter)
            .with_host_filter(filter.host_filter)
            .with_operation(filter.operation)
            .with_permission_type(filter.permission_type))
    }
}

impl OldResponse for DescribeAclsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.i32(self.throttle_time_ms);
        out.i16(self.error_code);
        out.nullable_string(self.error_message.as_deref())?;
        out.array(&self.resources, |out, resource| {
            out.i8(resource.resource_type);
            out.string(&resource.resource_name)?;
            out.array(&resource.acls, |out, acl| {
                let what = (acl.operation, acl.permission_type);
                access(out, (&acl.principal, &acl.host), what)
            })
        })
    }
}

impl OldRequest for CreateAclsRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let creations = from.array(|from| {
            Ok(AclCreation::default()
                .with_resource_type(from.i8()?)
                .with_resource_name(from.string()?)
                .with_resource_pattern_type(LITERAL)
                .with_principal(from.string()?)
                .with_host(from.string()?)
                .with_operation(from.i8()?)
                .with_permission_type(from.i8()?))
        })?;
        Ok(Self::default().with_creations(creations))
    }
}

impl OldResponse for CreateAclsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.as_version(self, 1)
    }
}

impl OldRequest for DeleteAclsRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let filters = from.array(filter)?;
        Ok(Self::default().with_filters(filters))
    }
}

impl OldResponse for DeleteAclsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.i32(self.throttle_time_ms);
        out.array(&self.filter_results, |out, result| {
            out.i16(result.error_code);
            out.nullable_string(result.error_message.as_deref())?;
            out.array(&result.matching_acls, |out, acl| {
                out.i16(acl.error_code);
                out.nullable_string(acl.error_message.as_deref())?;
                out.i8(acl.resource_type);
                out.string(&acl.resource_name)?;
                let what = (acl.operation, acl.permission_type);
                access(out, (&acl.principal, &acl.host), what)
            })
        })
    }
}
