//! `/feature`: finalized feature levels (KIP-584).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{Malformed, decode, object, to_bytes};
use crate::model::MetadataVersion;

const WHAT: &str = "/feature";

/// The feature node; the version of the znode is the features' epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureNode {
    /// 1, or 2 since levels have no minimum.
    pub version: i64,
    pub enabled: bool,
    /// Feature -> finalized level.
    pub features: BTreeMap<String, i16>,
}

impl FeatureNode {
    /// The node of a cluster that speaks `cluster`: features count since 2.7.
    #[must_use]
    pub fn of(cluster: MetadataVersion, features: BTreeMap<String, i16>) -> Self {
        Self {
            version: match cluster.has_features_without_minimum() {
                true => 2,
                false => 1,
            },
            enabled: cluster.has_features(),
            features,
        }
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let features: Map<String, Value> = self
            .features
            .iter()
            .map(|(name, level)| {
                let levels = match self.version {
                    1 => json!({"max_version_level": level, "min_version_level": level}),
                    _ => json!({"max_version_level": level}),
                };
                (name.clone(), levels)
            })
            .collect();
        to_bytes(object([
            ("features", Value::Object(features)),
            ("version", json!(self.version)),
            ("status", json!(i32::from(self.enabled))),
        ]))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Raw {
            version: i64,
            status: i32,
            #[serde(default)]
            features: BTreeMap<String, BTreeMap<String, i16>>,
        }
        let raw: Raw = decode(WHAT, bytes)?;
        if !(1..=2).contains(&raw.version) {
            return Err(Malformed::Version {
                what: WHAT,
                version: raw.version,
            });
        }
        let missing = Malformed::Field {
            what: WHAT,
            field: "max_version_level",
        };
        let mut features = BTreeMap::new();
        for (name, levels) in raw.features {
            let Some(level) = levels.get("max_version_level") else {
                return Err(missing);
            };
            features.insert(name, *level);
        }
        Ok(Self {
            version: raw.version,
            enabled: raw.status == 1,
            features,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_kafka_writes_it() {
        let node = FeatureNode::of("3.9".parse().unwrap(), BTreeMap::new());
        assert_eq!(node.encode(), br#"{"features":{},"version":2,"status":1}"#);
        assert_eq!(FeatureNode::decode(&node.encode()).unwrap(), node);
        let old = FeatureNode::of("2.8".parse().unwrap(), BTreeMap::from([("f".into(), 3)]));
        assert_eq!(
            old.encode(),
            br#"{"features":{"f":{"max_version_level":3,"min_version_level":3}},"version":1,"status":1}"#
        );
        assert!(!FeatureNode::of("2.6".parse().unwrap(), BTreeMap::new()).enabled);
        let old = br#"{"version":1,"status":0,"features":{"f":{"max_version_level":3,"min_version_level":1}}}"#;
        let node = FeatureNode::decode(old).unwrap();
        assert_eq!((node.enabled, node.features["f"]), (false, 3));
        assert!(FeatureNode::decode(br#"{"version":9,"status":0}"#).is_err());
    }
}
