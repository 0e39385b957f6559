//! Dispatch of what operators ask besides topics and configurations: security,
//! users, quotas, features and producers.

use kafka_protocol::messages::ApiKey;

use super::client_quotas::{self, AlterClientQuotas};
use super::scram::{self, AlterUserScramCredentials};
use super::{
    Handlers, consumer_group, describe_producers, now, now_any, security, update_features,
};
use crate::protocol::legacy::OldResponse;
use crate::protocol::{Error, RequestFrame};
use crate::server::Reply;

/// Says whether an API is among these.
pub(super) fn serves(key: ApiKey) -> bool {
    is_about_security(key)
        || matches!(
            key,
            ApiKey::DescribeClientQuotas
                | ApiKey::AlterClientQuotas
                | ApiKey::DescribeUserScramCredentials
                | ApiKey::AlterUserScramCredentials
                | ApiKey::UpdateFeatures
                | ApiKey::DescribeProducers
                | ApiKey::ConsumerGroupHeartbeat
                | ApiKey::ConsumerGroupDescribe
        )
}

fn is_about_security(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::SaslHandshake
            | ApiKey::SaslAuthenticate
            | ApiKey::DescribeAcls
            | ApiKey::CreateAcls
            | ApiKey::DeleteAcls
            | ApiKey::CreateDelegationToken
            | ApiKey::RenewDelegationToken
            | ApiKey::ExpireDelegationToken
            | ApiKey::DescribeDelegationToken
    )
}

impl Handlers {
    /// Answers one of these.
    pub(super) async fn operate(&self, frame: &RequestFrame) -> Result<Reply, Error> {
        match frame.api.key {
            key if is_about_security(key) => secure(frame),
            ApiKey::UpdateFeatures => self.update_features(frame).await,
            ApiKey::DescribeProducers => {
                let response = describe_producers::handle(&self.partitions, frame.decode()?);
                now(frame, &response)
            }
            ApiKey::ConsumerGroupHeartbeat => now(frame, &consumer_group::heartbeat()),
            ApiKey::ConsumerGroupDescribe => now(frame, &consumer_group::describe(frame.decode()?)),
            _ => self.of_users(frame).await,
        }
    }

    async fn of_users(&self, frame: &RequestFrame) -> Result<Reply, Error> {
        let registry = &self.admin.registry;
        match frame.api.key {
            ApiKey::DescribeClientQuotas => {
                let request = frame.decode()?;
                now(frame, &client_quotas::describe(registry, &request).await)
            }
            ApiKey::AlterClientQuotas => {
                let handler = AlterClientQuotas {
                    registry,
                    turn: &self.config_turn,
                };
                now(frame, &handler.handle(frame.decode()?).await)
            }
            ApiKey::DescribeUserScramCredentials => {
                let request = frame.decode()?;
                now(frame, &scram::describe(registry, &request).await)
            }
            _ => {
                let handler = AlterUserScramCredentials {
                    registry,
                    role: self.role(),
                    turn: &self.config_turn,
                };
                now(frame, &handler.handle(&frame.decode()?).await)
            }
        }
    }

    async fn update_features(&self, frame: &RequestFrame) -> Result<Reply, Error> {
        let (registry, role) = (&self.admin.registry, self.role());
        let request = frame.decode()?;
        let response = update_features::handle(registry, role, frame.version, request).await;
        now(frame, &response)
    }
}

fn secure(frame: &RequestFrame) -> Result<Reply, Error> {
    match frame.api.key {
        ApiKey::SaslHandshake => now(frame, &security::sasl_handshake()),
        ApiKey::SaslAuthenticate => now(frame, &security::sasl_authenticate()),
        ApiKey::DescribeAcls => unless_unread(frame, security::describe_acls(&frame.decode_any()?)),
        ApiKey::CreateAcls => unless_unread(frame, security::create_acls(&frame.decode_any()?)),
        ApiKey::DeleteAcls => unless_unread(frame, security::delete_acls(&frame.decode_any()?)),
        ApiKey::CreateDelegationToken => {
            let request = frame.decode_any()?;
            now_any(frame, &security::create_token(frame.version, &request))
        }
        ApiKey::RenewDelegationToken => now_any(frame, &security::renew_token()),
        ApiKey::ExpireDelegationToken => now_any(frame, &security::expire_token()),
        _ => now_any(frame, &security::describe_tokens()),
    }
}

fn unless_unread<R: OldResponse>(
    frame: &RequestFrame,
    response: Option<R>,
) -> Result<Reply, Error> {
    match response {
        Some(response) => now_any(frame, &response),
        None => Ok(Reply::Close),
    }
}
