//! `/config/users`, `/config/clients` and `/config/ips`: quotas and credentials.
//!
//! **Invariant:** a node that says nothing and has no children does not stay.

use futures::future::try_join_all;
use indexmap::IndexMap;

use super::znode::{ConfigEntity, EntityType};
use super::{Error, Registry};
use crate::zk;

/// Between a user and its clients in an entity's name.
const CLIENTS: &str = "/clients/";

/// A configuration with its name as the znode has it.
pub type NamedConfig = (String, IndexMap<String, String>);

impl Registry {
    /// The configurations of everything of this type. Users' clients are not
    /// among those of users.
    pub async fn configs_of(&self, entity_type: EntityType) -> Result<Vec<NamedConfig>, Error> {
        let names = self.configured(entity_type, "").await?;
        self.read_all(entity_type, names).await
    }

    /// The configurations of every user's clients, as `user/clients/client`.
    pub async fn user_client_configs(&self) -> Result<Vec<NamedConfig>, Error> {
        let users = self.configured(EntityType::Users, "").await?;
        let below = users.iter().map(|user| async move {
            let below = format!("/{user}/clients");
            let clients = self.configured(EntityType::Users, &below).await?;
            let names = clients
                .iter()
                .map(|client| format!("{user}{CLIENTS}{client}"));
            Ok::<_, Error>(names.collect::<Vec<_>>())
        });
        let names = try_join_all(below).await?.concat();
        self.read_all(EntityType::Users, names).await
    }

    async fn configured(&self, entity_type: EntityType, below: &str) -> Result<Vec<String>, Error> {
        let path = format!("/config/{}{below}", entity_type.as_str());
        self.children(&path, None).await
    }

    async fn read_all(
        &self,
        entity_type: EntityType,
        names: Vec<String>,
    ) -> Result<Vec<NamedConfig>, Error> {
        let read = names.into_iter().map(|name| async move {
            let entity = ConfigEntity { entity_type, name };
            let config = self.config(&entity).await?;
            Ok((entity.name, config))
        });
        try_join_all(read).await
    }

    /// Replaces a configuration, removes what says nothing any more, and tells
    /// every broker.
    pub async fn change_client_config(
        &self,
        entity: &ConfigEntity,
        config: &IndexMap<String, String>,
    ) -> Result<(), Error> {
        let is_removed = config.is_empty() && self.remove_if_bare(entity).await?;
        if !is_removed {
            self.write_config(entity, config).await?;
        }
        self.announce(entity).await
    }

    /// Removes the node, with the parents that only led to it; false when it
    /// has children.
    async fn remove_if_bare(&self, entity: &ConfigEntity) -> Result<bool, Error> {
        let path = entity.path();
        if !self.children(&path, None).await?.is_empty() {
            return Ok(false);
        }
        self.remove(&path).await?;
        let Some((user, _)) = entity.name.split_once(CLIENTS) else {
            return Ok(true);
        };
        let user = ConfigEntity {
            entity_type: entity.entity_type,
            name: user.to_owned(),
        };
        let clients = format!("{}/clients", user.path());
        if self.children(&clients, None).await?.is_empty() {
            self.remove(&clients).await?;
            let is_bare = self.config(&user).await?.is_empty()
                && self.children(&user.path(), None).await?.is_empty();
            if is_bare {
                self.remove(&user.path()).await?;
            }
        }
        Ok(true)
    }

    /// Another broker may have put something below it, or removed it.
    async fn remove(&self, path: &str) -> Result<(), Error> {
        let delete = || self.client.delete(path, zk::ANY_VERSION);
        match zk::optional(self.client.retry(delete).await) {
            Err(error) if !error.is(zk::ErrorCode::NotEmpty) => Err(error.into()),
            _ => Ok(()),
        }
    }
}
