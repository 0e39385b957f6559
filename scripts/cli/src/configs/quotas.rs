//! Quotas of users, clients and addresses, and credentials of users.

use std::collections::BTreeMap;

use super::arguments::{CLIENTS, Changes, Entities, IPS, USERS};
use super::scram::{self, Mechanism};
use super::{Error, check_deleted};
use crate::client::Client;
use crate::client::quotas::{Entity, Matches};
use crate::{console, text};

const QUOTAS: &[&str] = &[
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
];
const OF_ADDRESSES: &[&str] = &["connection_creation_rate"];
const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";

fn wire_type(kind: &str) -> &'static str {
    match kind {
        USERS => USER,
        CLIENTS => CLIENT_ID,
        _ => IP,
    }
}

fn components(entities: &Entities) -> Result<Vec<(&'static str, Matches)>, Error> {
    if entities.names.len() > entities.types.len() {
        return Err(Error::Refused(
            "More entity names specified than entity types".to_owned(),
        ));
    }
    let of = |(index, kind): (usize, &&'static str)| {
        let matches = match entities.names.get(index).map(String::as_str) {
            None => Matches::Any,
            Some("") => Matches::Default,
            Some(name) => Matches::Named(name.to_owned()),
        };
        (wire_type(kind), matches)
    };
    Ok(entities.types.iter().enumerate().map(of).collect())
}

pub(super) async fn describe(client: &Client, entities: &Entities) -> Result<(), Error> {
    let quotas = client.describe_quotas(&components(entities)?).await?;
    for of in quotas {
        console::say(line(&of.entity, &of.limits));
    }
    let is_for_users = entities.types == [USERS] && !entities.names.contains(&String::new());
    if !is_for_users {
        return Ok(());
    }
    for of in client.describe_credentials(&entities.names).await? {
        let user = &of.user;
        match of.infos {
            Ok(infos) => {
                let info = |(mechanism, iterations): &(i8, i32)| {
                    format!("{}=iterations={iterations}", Mechanism::name(*mechanism))
                };
                let infos: Vec<String> = infos.iter().map(info).collect();
                console::say(format_args!(
                    "SCRAM credential configs for user-principal '{user}' are {}",
                    infos.join(", ")
                ));
            }
            Err(error) => console::say(format_args!(
                "Error retrieving SCRAM credential configs for user-principal '{user}': ExecutionException: {}: {error}",
                error.class()
            )),
        }
    }
    Ok(())
}

fn line(entity: &Entity, limits: &BTreeMap<String, f64>) -> String {
    let kinds = [
        (USER, "user-principal"),
        (CLIENT_ID, "client-id"),
        (IP, "ip"),
    ];
    let names: Vec<String> = kinds
        .iter()
        .filter_map(|(kind, word)| {
            entity.get(*kind).map(|name| match name {
                Some(name) => format!("{word} '{name}'"),
                None => format!("the default {word}"),
            })
        })
        .collect();
    let limit = |(name, value): (&String, &f64)| format!("{name}={}", text::java_double(*value));
    let limits: Vec<String> = limits.iter().map(limit).collect();
    format!(
        "Quota configs for {} are {}",
        names.join(", "),
        limits.join(", ")
    )
}

/// What a change of users, clients or addresses is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Quotas,
    Credentials,
}

pub(super) async fn alter(
    client: &Client,
    entities: &Entities,
    changes: &Changes,
) -> Result<(), Error> {
    match subject(entities, changes)? {
        Subject::Quotas => alter_quotas(client, entities, changes).await,
        Subject::Credentials => alter_credentials(client, entities, changes).await,
    }
}

/// Refuses what the entities cannot have.
fn subject(entities: &Entities, changes: &Changes) -> Result<Subject, Error> {
    let added: Vec<&str> = changes
        .added
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let deleted: Vec<&str> = changes.deleted.iter().map(String::as_str).collect();
    let is_scram = |name: &&str| Mechanism::from_name(name).is_some();
    let is_quota = |name: &&str| QUOTAS.contains(name);
    let refuse = |text: String| Err(Error::Refused(text));
    if entities.types.first() == Some(&IPS) {
        let names = added.iter().chain(&deleted).copied();
        let unknown: Vec<&str> = names.filter(|name| !OF_ADDRESSES.contains(name)).collect();
        return match unknown.is_empty() {
            true => Ok(Subject::Quotas),
            false => refuse(format!(
                "Only connection quota configs can be added for 'ips' using --bootstrap-server. Unexpected config names: {}",
                unknown.join(",")
            )),
        };
    }
    let is_client = entities.types.contains(&CLIENTS);
    let (what, whose) = match is_client {
        true => ("quota", CLIENTS),
        false => ("quota and SCRAM credential", USERS),
    };
    for (names, verb, list) in [(&added, "added", "Set"), (&deleted, "deleted", "List")] {
        let unknown: Vec<&str> = names
            .iter()
            .filter(|name| !is_quota(name) && (is_client || !is_scram(name)))
            .copied()
            .collect();
        if !unknown.is_empty() {
            return refuse(format!(
                "Only {what} configs can be {verb} for '{whose}' using --bootstrap-server. Unexpected config names: {list}({})",
                unknown.join(", ")
            ));
        }
    }
    let has_scram = added.iter().chain(&deleted).any(is_scram);
    let has_quota = added.iter().chain(&deleted).any(is_quota);
    if has_scram && entities.names.iter().any(String::is_empty) {
        return refuse("The use of --entity-default or --user-defaults is not allowed with User SCRAM Credentials using --bootstrap-server.".to_owned());
    }
    match (has_scram, has_quota) {
        (true, true) => refuse("Cannot alter both quota and SCRAM credential configs simultaneously for 'users' using --bootstrap-server.".to_owned()),
        (true, false) => Ok(Subject::Credentials),
        (false, _) => Ok(Subject::Quotas),
    }
}

async fn alter_quotas(
    client: &Client,
    entities: &Entities,
    changes: &Changes,
) -> Result<(), Error> {
    let set = client.describe_quotas(&components(entities)?).await?;
    let set = set
        .into_iter()
        .next()
        .map(|of| of.limits)
        .unwrap_or_default();
    check_deleted(changes, |name| set.contains_key(name))?;
    let mut limits = Vec::new();
    for (name, value) in changes.all() {
        let limit = value.map(|value| {
            value.parse::<f64>().map_err(|_| {
                Error::Refused(format!(
                    "Cannot parse quota configuration value for {name}: {value}"
                ))
            })
        });
        limits.push((name, limit.transpose()?));
    }
    let named = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
    let entity: Vec<(&'static str, Option<String>)> = entities
        .types
        .iter()
        .zip(&entities.names)
        .map(|(kind, name)| (wire_type(kind), named(name)))
        .collect();
    Ok(client.alter_quotas(&entity, &limits).await?)
}

async fn alter_credentials(
    client: &Client,
    entities: &Entities,
    changes: &Changes,
) -> Result<(), Error> {
    let user = entities.names.first().map_or("", String::as_str);
    let mut upsertions = Vec::new();
    for (name, written) in &changes.added {
        if let Some(mechanism) = Mechanism::from_name(name) {
            upsertions.push(scram::upsertion(mechanism, written)?);
        }
    }
    let deletions: Vec<i8> = changes
        .deleted
        .iter()
        .filter_map(|name| Mechanism::from_name(name))
        .map(|mechanism| mechanism as i8)
        .collect();
    Ok(client
        .alter_credentials(user, &upsertions, &deletions)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_as_kafka_prints_them() {
        let entity = Entity::from([
            (CLIENT_ID.to_owned(), Some("c".to_owned())),
            (USER.to_owned(), None),
        ]);
        let limits = BTreeMap::from([
            ("consumer_byte_rate".to_owned(), 1024.0),
            ("producer_byte_rate".to_owned(), 12_345_678.0),
        ]);
        assert_eq!(
            line(&entity, &limits),
            "Quota configs for the default user-principal, client-id 'c' are consumer_byte_rate=1024.0, producer_byte_rate=1.2345678E7"
        );
    }

    #[test]
    fn what_users_clients_and_addresses_may_have() {
        let decide = |kind: &'static str, name: &str, key: &str| {
            let entities = Entities {
                types: vec![kind],
                names: vec![name.to_owned()],
            };
            let changes = Changes {
                added: vec![(key.to_owned(), "1".to_owned())],
                deleted: Vec::new(),
            };
            subject(&entities, &changes).map_err(|error| error.to_string())
        };
        assert_eq!(
            decide(USERS, "u", "SCRAM-SHA-256"),
            Ok(Subject::Credentials)
        );
        assert_eq!(decide(USERS, "", "producer_byte_rate"), Ok(Subject::Quotas));
        assert_eq!(
            decide(IPS, "", "connection_creation_rate"),
            Ok(Subject::Quotas)
        );
        for (kind, name, key, text) in [
            (USERS, "", "SCRAM-SHA-512", "The use of --entity-default"),
            (
                CLIENTS,
                "c",
                "SCRAM-SHA-512",
                "Only quota configs can be added",
            ),
            (USERS, "u", "foo", "Only quota and SCRAM credential configs"),
            (
                IPS,
                "",
                "producer_byte_rate",
                "Only connection quota configs",
            ),
        ] {
            assert!(
                decide(kind, name, key).unwrap_err().starts_with(text),
                "{key}"
            );
        }
    }
}
