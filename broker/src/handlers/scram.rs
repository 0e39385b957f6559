//! DescribeUserScramCredentials and AlterUserScramCredentials (KIP-554).
//!
//! Flow: request -> per user one verdict -> `/config/users/<user>`, beside the
//! user's quotas. The password never comes here: clients send it salted.

mod alter;
mod credential;
mod describe;

pub(crate) use alter::AlterUserScramCredentials;
pub(crate) use describe::handle as describe;

use kafka_protocol::ResponseError;

use self::credential::Mechanism;
use super::error;
use crate::registry;
use crate::registry::znode::sanitize;
use crate::registry::{ConfigEntity, EntityType};

const NAMELESS: &str = "Username must not be empty";

type Refusal = (ResponseError, Option<String>);

fn node_of(user: &str) -> ConfigEntity {
    ConfigEntity {
        entity_type: EntityType::Users,
        name: sanitize(user),
    }
}

fn unreadable(failed: &registry::Error) -> Refusal {
    error::config_znode(failed)
}
