//! DescribeClientQuotas: filters of entities, and what they find.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::{CLIENT_ID, FAILED, IP, Name, Refusal, USER, invalid, name_of, node_of, unreadable};
use crate::handlers::wire::text;
use crate::quota::{self, QuotaKey};
use crate::registry::{ConfigEntity, EntityType, Registry};

/// What a filter asks of one type of entity.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Match {
    /// This name, or the default.
    Exact(Name),
    /// Whatever has this type.
    Any,
}

/// The parts of a filter, each at most once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    user: Option<Match>,
    client_id: Option<Match>,
    ip: Option<Match>,
    /// Whether entities must not have other types than those asked for.
    strict: bool,
}

impl Filter {
    fn of(request: &DescribeClientQuotasRequest) -> Result<Self, Refusal> {
        let components: Result<Vec<_>, Refusal> =
            request.components.iter().map(component).collect();
        let mut filter = Self {
            strict: request.strict,
            ..Self::default()
        };
        for (kind, wanted) in components? {
            let (place, name) = match kind {
                USER => (&mut filter.user, "user"),
                CLIENT_ID => (&mut filter.client_id, "client"),
                IP => (&mut filter.ip, "ip"),
                "" => return invalid("Unexpected empty filter component entity type"),
                other => {
                    let message = format!("Custom entity type '{other}' not supported");
                    return Err((ResponseError::UnsupportedVersion, Some(message)));
                }
            };
            if place.replace(wanted).is_some() {
                return invalid(format!("Duplicate {name} filter component entity type"));
            }
        }
        if filter.ip.is_some() && (filter.user.is_some() || filter.client_id.is_some()) {
            return invalid(
                "Invalid entity filter component combination, IP filter component should not be \
                 used with user or clientId filter component.",
            );
        }
        match filter.looks_up_nobody() {
            // Kafka cannot read a node without a name.
            true => Err(FAILED),
            false => Ok(filter),
        }
    }

    /// Says whether a node is asked for whose name is empty.
    fn looks_up_nobody(&self) -> bool {
        let is_empty = |wanted: &Option<Match>| matches!(wanted, Some(Match::Exact(Some(name))) if name.is_empty());
        let is_single = |wanted: &Option<Match>| match wanted {
            Some(Match::Exact(_)) => true,
            Some(Match::Any) => false,
            None => self.strict,
        };
        let of_clients = (is_empty(&self.user) && is_single(&self.client_id))
            || (is_empty(&self.client_id) && is_single(&self.user));
        of_clients || is_empty(&self.ip)
    }

    /// Says whether a user, a client or both is what is asked for.
    fn matches(&self, user: Option<&Name>, client_id: Option<&Name>) -> bool {
        let matches = |wanted: &Option<Match>, name: Option<&Name>| match wanted {
            Some(Match::Exact(wanted)) => name == Some(wanted),
            Some(Match::Any) => name.is_some(),
            None => name.is_none() || !self.strict,
        };
        matches(&self.user, user) && matches(&self.client_id, client_id)
    }
}

fn component(data: &ComponentData) -> Result<(&str, Match), Refusal> {
    const EXACT: i8 = 0;
    const DEFAULT: i8 = 1;
    const SPECIFIED: i8 = 2;
    let wanted = match (data.match_type, &data._match) {
        (EXACT, Some(name)) => Match::Exact(Some(name.to_string())),
        (DEFAULT, _) => Match::Exact(None),
        (SPECIFIED, _) => Match::Any,
        _ => return Err(FAILED),
    };
    Ok((data.entity_type.as_str(), wanted))
}

/// An entity with its quotas.
struct Found {
    entity: Vec<(&'static str, Name)>,
    config: IndexMap<String, String>,
    keys: &'static [QuotaKey],
}

/// Answers from the znodes.
pub(crate) async fn handle(
    registry: &Registry,
    request: &DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let response = DescribeClientQuotasResponse::default();
    match entries(registry, request).await {
        Ok(entries) => response.with_entries(Some(entries)),
        Err((code, message)) => response
            .with_error_code(code.code())
            .with_error_message(message.map(text))
            .with_entries(None),
    }
}

async fn entries(
    registry: &Registry,
    request: &DescribeClientQuotasRequest,
) -> Result<Vec<EntryData>, Refusal> {
    let filter = Filter::of(request)?;
    let mut found = Vec::new();
    if filter.ip.is_none() {
        found.extend(of_clients(registry, &filter).await?);
    }
    if filter.user.is_none() && filter.client_id.is_none() {
        found.extend(of_ips(registry, &filter).await?);
    }
    let entries = found.into_iter().map(entry).collect::<Result<Vec<_>, _>>();
    Ok(entries?.into_iter().flatten().collect())
}

/// A user, a client or both, with the configuration of that.
type Named = (Option<Name>, Option<Name>, IndexMap<String, String>);

/// Users, clients, and clients of users.
async fn of_clients(registry: &Registry, filter: &Filter) -> Result<Vec<Found>, Refusal> {
    let mut named: Vec<Named> = Vec::new();
    let all = registry.configs_of(EntityType::Users).await;
    for (node, config) in all.map_err(|failed| unreadable(&failed))? {
        let user = name_of(&node).ok_or(FAILED)?;
        named.push((Some(user), None, config));
    }
    let all = registry.configs_of(EntityType::Clients).await;
    for (node, config) in all.map_err(|failed| unreadable(&failed))? {
        let client_id = name_of(&node).ok_or(FAILED)?;
        named.push((None, Some(client_id), config));
    }
    let all = registry.user_client_configs().await;
    for (node, config) in all.map_err(|failed| unreadable(&failed))? {
        let (user, client_id) = node.split_once("/clients/").ok_or(FAILED)?;
        let user = name_of(user).ok_or(FAILED)?;
        let client_id = name_of(client_id).ok_or(FAILED)?;
        named.push((Some(user), Some(client_id), config));
    }
    let asked = named.into_iter();
    let asked =
        asked.filter(|(user, client_id, _)| filter.matches(user.as_ref(), client_id.as_ref()));
    Ok(asked
        .map(|(user, client_id, config)| {
            let user = user.map(|name| (USER, name));
            let client_id = client_id.map(|name| (CLIENT_ID, name));
            Found {
                entity: user.into_iter().chain(client_id).collect(),
                config,
                keys: quota::OF_CLIENTS,
            }
        })
        .collect())
}

async fn of_ips(registry: &Registry, filter: &Filter) -> Result<Vec<Found>, Refusal> {
    let named = match &filter.ip {
        Some(Match::Exact(name)) => {
            let entity = ConfigEntity {
                entity_type: EntityType::Ips,
                name: node_of(name),
            };
            let config = registry.config(&entity).await;
            vec![(name.clone(), config.map_err(|failed| unreadable(&failed))?)]
        }
        None if filter.strict => Vec::new(),
        Some(Match::Any) | None => {
            let all = registry.configs_of(EntityType::Ips).await;
            let all = all.map_err(|failed| unreadable(&failed))?.into_iter();
            let named = all.map(|(node, config)| Ok((name_of(&node).ok_or(FAILED)?, config)));
            named.collect::<Result<Vec<_>, Refusal>>()?
        }
    };
    let found = named.into_iter().map(|(name, config)| Found {
        entity: vec![(IP, name)],
        config,
        keys: quota::OF_IPS,
    });
    Ok(found.collect())
}

/// `None` for what has no quota, as a user with credentials only.
fn entry(found: Found) -> Result<Option<EntryData>, Refusal> {
    let mut values = BTreeMap::new();
    for (key, value) in &found.config {
        if quota::lookup(found.keys, key).is_some() {
            values.insert(key, QuotaKey::value_of(value).ok_or(FAILED)?);
        }
    }
    if values.is_empty() {
        return Ok(None);
    }
    let entity = found.entity.into_iter().map(|(kind, name)| {
        EntityData::default()
            .with_entity_type(text(kind))
            .with_entity_name(name.map(text))
    });
    let values = values.into_iter().map(|(key, value)| {
        ValueData::default()
            .with_key(text(key.as_str()))
            .with_value(value)
    });
    Ok(Some(
        EntryData::default()
            .with_entity(entity.collect())
            .with_values(values.collect()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Asked<'a> = (&'a str, i8, Option<&'a str>);

    fn filter(strict: bool, components: &[Asked<'_>]) -> Result<Filter, Refusal> {
        let components = components.iter().map(|(kind, match_type, name)| {
            ComponentData::default()
                .with_entity_type(text(*kind))
                .with_match_type(*match_type)
                .with_match(name.map(text))
        });
        let request = DescribeClientQuotasRequest::default()
            .with_components(components.collect())
            .with_strict(strict);
        Filter::of(&request)
    }

    #[test]
    fn filters_match_as_in_kafka() {
        let alice = Some("alice".to_owned());
        let default: Name = None;
        let any_user = filter(false, &[("user", 2, None)]).unwrap();
        assert!(any_user.matches(Some(&alice), None));
        assert!(any_user.matches(Some(&default), Some(&alice)));
        assert!(!any_user.matches(None, Some(&alice)));
        let strict = filter(true, &[("user", 0, Some("alice"))]).unwrap();
        assert!(strict.matches(Some(&alice), None));
        assert!(!strict.matches(Some(&alice), Some(&alice)));
        assert!(!strict.matches(Some(&default), None));
        let of_default = filter(false, &[("client-id", 1, None)]).unwrap();
        assert!(of_default.matches(None, Some(&default)));
        assert!(!of_default.matches(None, Some(&alice)));
        let everything = filter(false, &[]).unwrap();
        assert!(everything.matches(None, Some(&alice)));
    }

    #[test]
    fn filters_that_say_nothing_are_refused() {
        let message = |components: &[Asked<'_>]| {
            let (code, message) = filter(false, components).unwrap_err();
            (code.code(), message.unwrap_or_default())
        };
        let any = |kind| (kind, 2, None);
        let (code, text) = message(&[any("user"), any("user")]);
        assert_eq!(code, 42);
        assert_eq!(text, "Duplicate user filter component entity type");
        assert_eq!(message(&[any("ip"), any("user")]).0, 42);
        assert_eq!(message(&[any("")]).0, 42);
        assert_eq!(message(&[any("group")]).0, 35);
        assert_eq!(message(&[("user", 9, None)]), (-1, String::new()));
        assert_eq!(message(&[("user", 0, None)]), (-1, String::new()));
        assert_eq!(message(&[("ip", 0, Some(""))]), (-1, String::new()));
        assert_eq!(filter(true, &[("user", 0, Some(""))]), Err(FAILED));
        assert!(filter(false, &[("user", 0, Some(""))]).is_ok());
    }
}
