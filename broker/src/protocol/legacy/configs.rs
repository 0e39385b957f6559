//! DescribeConfigs 0: values with a flag for defaults instead of their source.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::{Fields, Malformed, OldRequest, OldResponse, Writer};

/// The source of a value that nobody set.
const DEFAULT_CONFIG: i8 = 5;

impl OldRequest for DescribeConfigsRequest {
    fn decode_old(from: &mut Fields, _version: i16) -> Result<Self, Malformed> {
        let resources = from.array(|from| {
            Ok(DescribeConfigsResource::default()
                .with_resource_type(from.i8()?)
                .with_resource_name(from.string()?)
                .with_configuration_keys(from.nullable_array(Fields::string)?))
        })?;
        Ok(Self::default().with_resources(resources))
    }
}

impl OldResponse for DescribeConfigsResponse {
    fn encode_old(&self, out: &mut Writer<'_>, _version: i16) -> Result<(), Malformed> {
        out.i32(self.throttle_time_ms);
        out.array(&self.results, |out, result| {
            out.i16(result.error_code);
            out.nullable_string(result.error_message.as_deref())?;
            out.i8(result.resource_type);
            out.string(&result.resource_name)?;
            out.array(&result.configs, |out, config| {
                out.string(&config.name)?;
                out.nullable_string(config.value.as_deref())?;
                out.bool(config.read_only);
                out.bool(config.config_source == DEFAULT_CONFIG);
                out.bool(config.is_sensitive);
                Ok(())
            })
        })
    }
}
