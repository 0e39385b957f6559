//! Quotas of users, clients and addresses, and the SCRAM credentials of users.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::alter_client_quotas_request::{self as alter, OpData};
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterUserScramCredentialsRequest, DescribeClientQuotasRequest,
    DescribeUserScramCredentialsRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::metadata::{AutoCreate, Topics};
use super::{Client, Error, Lane};

/// Names by type (`user`, `client-id`, `ip`); no name is the default.
pub(crate) type Entity = BTreeMap<String, Option<String>>;

/// Which entities of one type are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Matches {
    Named(String),
    Default,
    Any,
}

/// A quota entity with its limits by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Quotas {
    pub(crate) entity: Entity,
    pub(crate) limits: BTreeMap<String, f64>,
}

/// A credential to store; the password itself is never sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upsertion {
    pub(crate) mechanism: i8,
    pub(crate) iterations: i32,
    pub(crate) salt: Vec<u8>,
    pub(crate) salted_password: Vec<u8>,
}

/// The credentials of one user: mechanism and iterations of each, or why not.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) infos: Result<Vec<(i8, i32)>, Error>,
}

fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

impl Client {
    /// The quotas of entities that have exactly the given types.
    pub(crate) async fn describe_quotas(
        &self,
        components: &[(&'static str, Matches)],
    ) -> Result<Vec<Quotas>, Error> {
        let answer = self
            .retrying("describeClientQuotas", async || {
                self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
                let broker = self.any_broker()?;
                self.call(&broker, Lane::Control, |_| {
                    let components = components.iter().map(|(kind, matches)| {
                        let (kind_of_match, name) = match matches {
                            Matches::Named(name) => (0, Some(wire(name))),
                            Matches::Default => (1, None),
                            Matches::Any => (2, None),
                        };
                        ComponentData::default()
                            .with_entity_type(wire(kind))
                            .with_match_type(kind_of_match)
                            .with_match(name)
                    });
                    DescribeClientQuotasRequest::default()
                        .with_components(components.collect())
                        .with_strict(true)
                })
                .await
            })
            .await?;
        Error::check(answer.error_code, answer.error_message.as_deref())?;
        let found = answer.entries.unwrap_or_default().into_iter();
        Ok(found
            .map(|entry| Quotas {
                entity: entry
                    .entity
                    .into_iter()
                    .map(|part| {
                        let name = part.entity_name.map(|name| name.to_string());
                        (part.entity_type.to_string(), name)
                    })
                    .collect(),
                limits: entry
                    .values
                    .into_iter()
                    .map(|limit| (limit.key.to_string(), limit.value))
                    .collect(),
            })
            .collect())
    }

    /// Sets each limit with a value, and removes each without one.
    pub(crate) async fn alter_quotas(
        &self,
        entity: &[(&'static str, Option<String>)],
        changes: &[(String, Option<f64>)],
    ) -> Result<(), Error> {
        let controller = self.find_controller("alterClientQuotas").await?;
        let answer = self
            .call(&controller, Lane::Control, |_| {
                let parts = entity.iter().map(|(kind, name)| {
                    alter::EntityData::default()
                        .with_entity_type(wire(kind))
                        .with_entity_name(name.as_deref().map(wire))
                });
                let ops = changes.iter().map(|(key, value)| {
                    OpData::default()
                        .with_key(wire(key))
                        .with_value(value.unwrap_or_default())
                        .with_remove(value.is_none())
                });
                let entry = alter::EntryData::default()
                    .with_entity(parts.collect())
                    .with_ops(ops.collect());
                AlterClientQuotasRequest::default().with_entries(vec![entry])
            })
            .await?;
        answer
            .entries
            .iter()
            .try_for_each(|entry| Error::check(entry.error_code, entry.error_message.as_deref()))
    }

    /// The credentials of `users`, or of everybody who has some.
    pub(crate) async fn describe_credentials(
        &self,
        users: &[String],
    ) -> Result<Vec<Credentials>, Error> {
        let controller = self.find_controller("describeUserScramCredentials").await?;
        let answer = self
            .call(&controller, Lane::Control, |_| {
                let names = users
                    .iter()
                    .map(|name| UserName::default().with_name(wire(name)));
                let names: Vec<UserName> = names.collect();
                DescribeUserScramCredentialsRequest::default()
                    .with_users((!names.is_empty()).then_some(names))
            })
            .await?;
        Error::check(answer.error_code, answer.error_message.as_deref())?;
        Ok(answer
            .results
            .into_iter()
            .map(|result| Credentials {
                user: result.user.to_string(),
                infos: Error::check(result.error_code, result.error_message.as_deref()).map(|()| {
                    let infos = result.credential_infos.iter();
                    infos
                        .map(|info| (info.mechanism, info.iterations))
                        .collect()
                }),
            })
            .collect())
    }

    /// Stores and removes credentials of one user.
    pub(crate) async fn alter_credentials(
        &self,
        user: &str,
        upsertions: &[Upsertion],
        deletions: &[i8],
    ) -> Result<(), Error> {
        let controller = self.find_controller("alterUserScramCredentials").await?;
        let answer = self
            .call(&controller, Lane::Control, |_| {
                let upserted = upsertions.iter().map(|upsertion| {
                    ScramCredentialUpsertion::default()
                        .with_name(wire(user))
                        .with_mechanism(upsertion.mechanism)
                        .with_iterations(upsertion.iterations)
                        .with_salt(Bytes::from(upsertion.salt.clone()))
                        .with_salted_password(Bytes::from(upsertion.salted_password.clone()))
                });
                let deleted = deletions.iter().map(|mechanism| {
                    ScramCredentialDeletion::default()
                        .with_name(wire(user))
                        .with_mechanism(*mechanism)
                });
                AlterUserScramCredentialsRequest::default()
                    .with_upsertions(upserted.collect())
                    .with_deletions(deleted.collect())
            })
            .await?;
        answer
            .results
            .iter()
            .try_for_each(|result| Error::check(result.error_code, result.error_message.as_deref()))
    }
}
