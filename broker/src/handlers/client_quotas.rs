//! DescribeClientQuotas and AlterClientQuotas (KIP-546, KIP-612).
//!
//! Flow: request -> which nodes of `/config/{users,clients,ips}` -> read or
//! change them. Any broker serves both, as in Kafka.

mod alter;
mod describe;

pub(crate) use alter::AlterClientQuotas;
pub(crate) use describe::handle as describe;

use kafka_protocol::ResponseError;

use super::error;
use crate::registry;
use crate::registry::znode::{desanitize, sanitize};

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";
/// How the node of a type's default is named.
const DEFAULT_NAME: &str = "<default>";

/// A name, or the default of its type.
type Name = Option<String>;

/// What is wrong, as Kafka says it; without a message where Kafka fails itself.
type Refusal = (ResponseError, Option<String>);

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err((ResponseError::InvalidRequest, Some(message.into())))
}

/// Where Kafka fails and says no more.
const FAILED: Refusal = (ResponseError::UnknownServerError, None);

fn unreadable(failed: &registry::Error) -> Refusal {
    error::config_znode(failed)
}

fn node_of(name: &Name) -> String {
    name.as_deref()
        .map_or_else(|| DEFAULT_NAME.to_owned(), sanitize)
}

fn name_of(node: &str) -> Option<Name> {
    match node {
        DEFAULT_NAME => Some(None),
        other => desanitize(other).map(Some),
    }
}
