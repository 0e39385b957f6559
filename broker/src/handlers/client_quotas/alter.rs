//! AlterClientQuotas: entities, what shall be set of them, and where it goes.

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_client_quotas_request::{EntryData, OpData};
use kafka_protocol::messages::alter_client_quotas_response::{
    EntityData as EntityResult, EntryData as EntryResult,
};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use tokio::sync::Mutex;

use super::{CLIENT_ID, FAILED, IP, Name, Refusal, USER, invalid, node_of, unreadable};
use crate::handlers::wire::text;
use crate::quota::{self, QuotaKey};
use crate::registry::{ConfigEntity, EntityType, Registry};

/// Credentials lie beside the quotas of a user, but are not set here.
const CREDENTIALS: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];

/// What the handler works with.
pub(crate) struct AlterClientQuotas<'a> {
    pub(crate) registry: &'a Registry,
    /// Whose turn it is to read, change and write.
    pub(crate) turn: &'a Mutex<()>,
}

/// Type -> name of an entity; a type that came twice has its last name.
type Entity = IndexMap<String, Name>;

impl AlterClientQuotas<'_> {
    pub(crate) async fn handle(
        &self,
        request: AlterClientQuotasRequest,
    ) -> AlterClientQuotasResponse {
        let _turn = self.turn.lock().await;
        let mut results: IndexMap<Vec<(String, Name)>, Result<(), Refusal>> = IndexMap::new();
        for entry in &request.entries {
            let entity = entity(entry);
            let result = self.alter(&entity, &entry.ops, request.validate_only).await;
            if let Err((code, message)) = &result {
                tracing::info!(?entity, ?code, ?message, "quotas are not changed");
            }
            let mut entity: Vec<_> = entity.into_iter().collect();
            entity.sort_unstable();
            // What came twice is answered once.
            results.insert(entity, result);
        }
        let entries = results.into_iter().map(|(entity, result)| {
            let (code, message) = match result {
                Ok(()) => (0, None),
                Err((code, message)) => (code.code(), message),
            };
            let entity = entity.into_iter().map(|(kind, name)| {
                EntityResult::default()
                    .with_entity_type(text(kind))
                    .with_entity_name(name.map(text))
            });
            EntryResult::default()
                .with_error_code(code)
                .with_error_message(message.map(text))
                .with_entity(entity.collect())
        });
        AlterClientQuotasResponse::default().with_entries(entries.collect())
    }

    async fn alter(
        &self,
        entity: &Entity,
        ops: &[OpData],
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let place = place(entity)?;
        if place.entity_type == EntityType::Ips {
            check_address(&place.name).await?;
        }
        let stored = self.registry.config(&place).await;
        let mut config = stored.map_err(|failed| unreadable(&failed))?;
        for op in ops {
            apply(&mut config, &place, op)?;
        }
        if validate_only {
            return Ok(());
        }
        check(&place, &config)?;
        let written = self.registry.change_client_config(&place, &config).await;
        written.map_err(|failed| unreadable(&failed))
    }
}

fn entity(entry: &EntryData) -> Entity {
    let parts = entry.entity.iter();
    parts
        .map(|part| {
            let name = part.entity_name.as_ref().map(ToString::to_string);
            (part.entity_type.to_string(), name)
        })
        .collect()
}

/// The node of an entity.
fn place(entity: &Entity) -> Result<ConfigEntity, Refusal> {
    if entity.is_empty() {
        return invalid("Invalid empty client quota entity");
    }
    let (mut user, mut client_id, mut ip) = (None, None, None);
    for (kind, name) in entity {
        let place = match kind.as_str() {
            USER => &mut user,
            CLIENT_ID => &mut client_id,
            IP => &mut ip,
            other => return invalid(format!("Unhandled client quota entity type: {other}")),
        };
        if name.as_deref() == Some("") {
            return invalid(format!("Empty {kind} not supported"));
        }
        *place = Some(node_of(name));
    }
    let (entity_type, name) = match (user, client_id, ip) {
        (Some(user), Some(client), None) => (EntityType::Users, format!("{user}/clients/{client}")),
        (Some(user), None, None) => (EntityType::Users, user),
        (None, Some(client), None) => (EntityType::Clients, client),
        (None, None, Some(ip)) => (EntityType::Ips, ip),
        _ => {
            return invalid(
                "Invalid quota entity combination, IP entity should not be used with \
                 user/client ID entity.",
            );
        }
    };
    Ok(ConfigEntity { entity_type, name })
}

/// Kafka looks the name up as it is stored, so no IPv6 address passes.
async fn check_address(name: &str) -> Result<(), Refusal> {
    if name == super::DEFAULT_NAME {
        return Ok(());
    }
    match tokio::net::lookup_host((name, 0)).await {
        Ok(_) => Ok(()),
        Err(_) => invalid(format!("{name} is not a valid IP or resolvable host.")),
    }
}

fn keys(entity_type: EntityType) -> &'static [QuotaKey] {
    match entity_type {
        EntityType::Ips => quota::OF_IPS,
        _ => quota::OF_CLIENTS,
    }
}

fn apply(
    config: &mut IndexMap<String, String>,
    place: &ConfigEntity,
    op: &OpData,
) -> Result<(), Refusal> {
    let name = op.key.as_str();
    if op.remove {
        config.shift_remove(name);
        return Ok(());
    }
    let Some(key) = quota::lookup(keys(place.entity_type), name) else {
        if place.entity_type == EntityType::Users && CREDENTIALS.contains(&name) {
            return Err(FAILED);
        }
        return invalid(format!("Invalid configuration key {name}"));
    };
    let value = key.text_of(op.value).map_err(|refused| {
        let message = Some(refused.to_string());
        (ResponseError::InvalidRequest, message)
    })?;
    config.insert(name.to_owned(), value);
    Ok(())
}

/// What stands there as a whole must be legal, or Kafka fails.
fn check(place: &ConfigEntity, config: &IndexMap<String, String>) -> Result<(), Refusal> {
    let is_user = place.entity_type == EntityType::Users
        && place.name != super::DEFAULT_NAME
        && !place.name.contains("/clients");
    let is_legal =
        |(name, value): (&String, &String)| match quota::lookup(keys(place.entity_type), name) {
            Some(key) => key.allows(value),
            None => is_user && CREDENTIALS.contains(&name.as_str()),
        };
    match config.iter().all(is_legal) {
        true => Ok(()),
        false => Err(FAILED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Part<'a> = (&'a str, Option<&'a str>);

    fn placed(parts: &[Part<'_>]) -> Result<String, String> {
        let parts = parts.iter();
        let entity = parts.map(|(kind, name)| ((*kind).to_owned(), name.map(str::to_owned)));
        place(&entity.collect())
            .map(|place| place.relative_path())
            .map_err(|(_, message)| message.unwrap_or_default())
    }

    #[test]
    fn entities_have_kafkas_nodes() {
        let table: [(&[Part<'_>], &str); 6] = [
            (&[("user", Some("a b"))], "users/a%20b"),
            (&[("user", None)], "users/<default>"),
            (&[("client-id", Some("c"))], "clients/c"),
            (
                &[("client-id", None), ("user", Some("u"))],
                "users/u/clients/<default>",
            ),
            (&[("ip", Some("10.0.0.1"))], "ips/10.0.0.1"),
            (&[("ip", None)], "ips/<default>"),
        ];
        for (entity, node) in table {
            assert_eq!(placed(entity).unwrap(), node);
        }
        for (entity, message) in [
            (&[][..], "Invalid empty client quota entity"),
            (
                &[("group", None)],
                "Unhandled client quota entity type: group",
            ),
            (&[("user", Some(""))], "Empty user not supported"),
            (
                &[("user", None), ("ip", None)],
                "Invalid quota entity combination, IP entity should not be used with \
                 user/client ID entity.",
            ),
        ] {
            assert_eq!(placed(entity).unwrap_err(), message);
        }
    }

    #[test]
    fn credentials_stay_where_quotas_change() {
        let user = ConfigEntity {
            entity_type: EntityType::Users,
            name: "u".to_owned(),
        };
        let stored = [("SCRAM-SHA-256".to_owned(), "salt=".to_owned())];
        let mut config: IndexMap<_, _> = stored.into_iter().collect();
        let op = |key, value| OpData::default().with_key(text(key)).with_value(value);
        apply(&mut config, &user, &op("producer_byte_rate", 5.0)).unwrap();
        assert_eq!(config["producer_byte_rate"], "5");
        check(&user, &config).unwrap();
        let refused = apply(&mut config, &user, &op("SCRAM-SHA-256", 5.0)).unwrap_err();
        assert_eq!(refused, FAILED);
        let default = ConfigEntity {
            name: "<default>".to_owned(),
            ..user
        };
        assert_eq!(check(&default, &config), Err(FAILED));
    }
}
