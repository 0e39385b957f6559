//! `/config`: reading, writing, and telling every broker.

use bytes::Bytes;
use indexmap::IndexMap;

use super::znode::{
    ConfigEntity, EntityType, decode_config, encode_change_note, encode_config, path,
};
use super::{Error, Registry, at};
use crate::model::TopicName;
use crate::zk::{self, CreateMode, ErrorCode};

impl Registry {
    /// The configuration of `entity`; empty when it has none.
    pub async fn config(&self, entity: &ConfigEntity) -> Result<IndexMap<String, String>, Error> {
        let path = entity.path();
        match self.read(&path).await? {
            None => Ok(IndexMap::new()),
            Some((data, _)) => at(&path, decode_config(&data)),
        }
    }

    pub async fn topic_config(&self, topic: &TopicName) -> Result<IndexMap<String, String>, Error> {
        self.config(&topic_entity(topic)).await
    }

    /// Replaces the configuration of `entity` and leaves the note upon which
    /// every broker reads it.
    pub async fn change_config(
        &self,
        entity: &ConfigEntity,
        config: &IndexMap<String, String>,
    ) -> Result<(), Error> {
        self.write_config(entity, config).await?;
        self.announce(entity).await
    }

    /// Leaves the note upon which every broker reads the configuration of `entity`.
    pub(super) async fn announce(&self, entity: &ConfigEntity) -> Result<(), Error> {
        let prefix = format!("{}/{}", path::CONFIG_CHANGES, path::CONFIG_CHANGE_PREFIX);
        let note = Some(Bytes::from(encode_change_note(entity)));
        let mode = CreateMode::PersistentSequential;
        // Told twice after a lost reply: readers only read once more.
        self.client
            .retry(|| self.client.create(&prefix, note.clone(), mode))
            .await?;
        Ok(())
    }

    /// Writes the configuration without a note, as for a topic yet to be created.
    pub(super) async fn write_config(
        &self,
        entity: &ConfigEntity,
        config: &IndexMap<String, String>,
    ) -> Result<(), Error> {
        let path = entity.path();
        let data = Bytes::from(encode_config(config));
        loop {
            let set = || self.client.set_data(&path, data.clone(), zk::ANY_VERSION);
            if zk::optional(self.client.retry(set).await)?.is_some() {
                return Ok(());
            }
            if let Some(parent) = common::zk::path::parent(&path) {
                self.client.create_recursive(parent).await?;
            }
            let create = || {
                self.client
                    .create(&path, Some(data.clone()), CreateMode::Persistent)
            };
            match self.client.retry(create).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is(ErrorCode::NodeExists) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

pub(super) fn topic_entity(topic: &TopicName) -> ConfigEntity {
    ConfigEntity {
        entity_type: EntityType::Topics,
        name: topic.as_str().to_owned(),
    }
}
