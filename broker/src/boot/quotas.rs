//! Puts the quotas of `/config/{users,clients,ips}` in effect.

use std::net::IpAddr;
use std::sync::Arc;

use common::config::Values;
use indexmap::IndexMap;

use crate::config::ListenerBounds;
use crate::quota::{
    CONNECTION_CREATION_RATE, ClientQuotas, ConnectionRates, Entity, Kind, Of, QuotaKey, Windows,
};
use crate::registry::znode::desanitize;
use crate::registry::{self, ConfigEntity, EntityType, Registry};

const DEFAULT_NAME: &str = "<default>";

/// What clients may use, and how fast they may connect.
#[derive(Clone)]
pub(super) struct Quotas {
    pub(super) clients: Arc<ClientQuotas>,
    pub(super) connections: Arc<ConnectionRates>,
}

impl Quotas {
    pub(super) fn new(values: &Values, bounds: &ListenerBounds) -> Self {
        let windows = |count: &str, seconds: &str| Windows {
            count: usize::try_from(values.i32(count)).unwrap_or(1),
            length_ms: i64::from(values.i32(seconds)) * 1000,
        };
        let of_clients = windows("quota.window.num", "quota.window.size.seconds");
        let of_mutations = windows(
            "controller.quota.window.num",
            "controller.quota.window.size.seconds",
        );
        let rate = values.i32("max.connection.creation.rate");
        let quotas = Self {
            clients: Arc::new(ClientQuotas::new(of_clients, of_mutations)),
            connections: Arc::new(ConnectionRates::new(of_clients, rate)),
        };
        quotas.reconfigure(values, bounds);
        quotas
    }

    /// Takes what broker keys say now.
    pub(super) fn reconfigure(&self, values: &Values, bounds: &ListenerBounds) {
        let of_all = values.i32("max.connection.creation.rate");
        let (of_listeners, protected) = (bounds.rates.clone(), bounds.protected.clone());
        self.connections
            .set_of_listeners(of_all, of_listeners, protected);
    }

    /// Reads what was set before this broker started.
    pub(super) async fn load(&self, registry: &Registry) -> Result<(), registry::Error> {
        for entity_type in [EntityType::Users, EntityType::Clients, EntityType::Ips] {
            let all = registry.configs_of(entity_type).await?;
            let clients = match entity_type {
                EntityType::Users => registry.user_client_configs().await?,
                _ => Vec::new(),
            };
            for (name, config) in all.into_iter().chain(clients) {
                self.apply(&ConfigEntity { entity_type, name }, &config);
            }
        }
        Ok(())
    }

    /// Takes the configuration of a user, a client or an address.
    pub(super) fn apply(&self, entity: &ConfigEntity, config: &IndexMap<String, String>) {
        let applied = match entity.entity_type {
            EntityType::Users => match entity.name.split_once("/clients/") {
                Some((user, client)) => self.of_client(Some(user), Some(client), config),
                None => self.of_client(Some(&entity.name), None, config),
            },
            EntityType::Clients => self.of_client(None, Some(&entity.name), config),
            EntityType::Ips => self.of_address(&entity.name, config),
            EntityType::Topics | EntityType::Brokers => Some(()),
        };
        if applied.is_none() {
            let path = entity.path();
            tracing::warn!(%path, "quotas without effect: the name means nobody");
        }
    }

    fn of_client(
        &self,
        user: Option<&str>,
        client_id: Option<&str>,
        config: &IndexMap<String, String>,
    ) -> Option<()> {
        let of = |node: &str| match node {
            DEFAULT_NAME => Some(Of::Default),
            name => desanitize(name).map(Of::Name),
        };
        let part = |node: Option<&str>| match node {
            None => Some(None),
            Some(node) => of(node).map(Some),
        };
        let entity = Entity {
            user: part(user)?,
            client_id: part(client_id)?,
        };
        for kind in Kind::ALL {
            let value = config.get(kind.key()).map(String::as_str);
            let bound = value.and_then(QuotaKey::value_of);
            self.clients.set(kind, &entity, bound);
        }
        Some(())
    }

    fn of_address(&self, name: &str, config: &IndexMap<String, String>) -> Option<()> {
        let rate = config.get(CONNECTION_CREATION_RATE);
        let rate = rate.and_then(|value| value.parse().ok());
        if name == DEFAULT_NAME {
            self.connections.set_of(None, rate);
            return Some(());
        }
        let name = desanitize(name)?;
        let addresses: Vec<IpAddr> = match name.parse() {
            Ok(address) => vec![address],
            // Kafka takes names too, and asks what they mean.
            Err(_) => std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), 0))
                .ok()?
                .map(|found| found.ip())
                .collect(),
        };
        for address in addresses {
            self.connections.set_of(Some(address), rate);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Client;

    #[test]
    fn nodes_become_quotas() {
        let windows = Windows {
            count: 11,
            length_ms: 1000,
        };
        let quotas = Quotas {
            clients: Arc::new(ClientQuotas::new(windows, windows)),
            connections: Arc::new(ConnectionRates::new(windows, i32::MAX)),
        };
        let apply = |entity_type, name: &str, key: &str, value: &str| {
            let name = name.to_owned();
            let config = [(key.to_owned(), value.to_owned())];
            let entity = ConfigEntity { entity_type, name };
            quotas.apply(&entity, &config.into_iter().collect());
        };
        let client = |user, client_id| {
            let most = Client { user, client_id };
            quotas.clients.most_at_once(Kind::Fetch, most)
        };
        let key = "consumer_byte_rate";
        apply(EntityType::Users, "a%20b/clients/<default>", key, "5");
        assert_eq!(client("a b", "any"), Some(50.0));
        assert_eq!(client("b", "any"), None);
        apply(EntityType::Clients, "c", key, "7");
        assert_eq!(client("b", "c"), Some(70.0));
        apply(EntityType::Clients, "c", "producer_byte_rate", "7");
        assert_eq!(
            client("b", "c"),
            None,
            "the whole configuration is replaced"
        );
        let address = IpAddr::from([10, 0, 0, 1]);
        apply(EntityType::Ips, "10.0.0.1", CONNECTION_CREATION_RATE, "0");
        assert!(
            quotas.connections.admit("L", address, 0).is_ok(),
            "no pause at a rate of zero"
        );
        apply(EntityType::Ips, "10.0.0.1", CONNECTION_CREATION_RATE, "1");
        assert_eq!(
            (0..50)
                .filter(|_| quotas.connections.admit("L", address, 60_000).is_ok())
                .count(),
            10
        );
    }
}
