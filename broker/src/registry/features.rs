//! `/feature`: what the cluster's brokers agreed on.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::znode::{FeatureNode, path};
use super::{Error, Registry, at};
use crate::zk::{self, Watcher};

/// The finalized features.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FinalizedFeatures {
    pub levels: BTreeMap<String, i16>,
    /// Grows with every change; `None` before a controller made the node.
    pub epoch: Option<i64>,
}

impl Registry {
    /// The features, and the epoch that says how new they are.
    pub async fn finalized_features(&self) -> Result<FinalizedFeatures, Error> {
        match self.read(path::FEATURE).await? {
            None => Ok(FinalizedFeatures {
                levels: BTreeMap::new(),
                epoch: None,
            }),
            Some((data, stat)) => {
                let node = at(path::FEATURE, FeatureNode::decode(&data))?;
                Ok(FinalizedFeatures {
                    levels: node.features,
                    epoch: node.enabled.then(|| i64::from(stat.version)),
                })
            }
        }
    }

    /// Replaces the finalized features.
    pub async fn finalize_features(&self, levels: BTreeMap<String, i16>) -> Result<(), Error> {
        let node = FeatureNode::of(self.version(), levels);
        let data = Bytes::from(node.encode());
        let set = || {
            let data = data.clone();
            self.client.set_data(path::FEATURE, data, zk::ANY_VERSION)
        };
        self.client.retry(set).await?;
        Ok(())
    }
}

/// Follows `/feature`.
pub struct FeatureFeed {
    registry: Registry,
    watcher: Watcher,
    /// The session in which the watch was set.
    armed_in: Option<u64>,
}

impl FeatureFeed {
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        let watcher = registry.client().watcher();
        Self {
            registry,
            watcher,
            armed_in: None,
        }
    }

    /// The features now, and later after every change; cancel safe. Errors of
    /// an expired session pass when the owner renewed it: call again.
    pub async fn next(&mut self) -> Result<FinalizedFeatures, Error> {
        let client = self.registry.client();
        let generation = client.generation();
        if self.armed_in == Some(generation) {
            let mut status = client.status();
            tokio::select! {
                _ = self.watcher.next() => {}
                renewed = status.wait_for(|status| status.generation != generation) => {
                    renewed.map_err(|_| zk::Error::Closed)?;
                }
            }
            self.armed_in = None;
        }
        let generation = client.generation();
        let watch = || client.exists(path::FEATURE, Some(&self.watcher));
        client.retry(watch).await?;
        let features = self.registry.finalized_features().await?;
        self.armed_in = Some(generation);
        Ok(features)
    }
}
