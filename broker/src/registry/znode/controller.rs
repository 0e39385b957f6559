//! `/controller`, `/controller_epoch` and `/cluster/id`.

use serde::Deserialize;
use serde_json::json;

use super::json::{Malformed, decode, object, to_bytes};
use crate::model::{BrokerId, ControllerEpoch};

/// Who is the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerRegistration {
    pub broker: BrokerId,
    pub timestamp_ms: i64,
    /// Set (not -1) while a KRaft controller owns the node during a migration.
    pub kraft_controller_epoch: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    brokerid: BrokerId,
    #[serde(default)]
    timestamp: serde_json::Value,
    kraft_controller_epoch: Option<i32>,
}

impl ControllerRegistration {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(object([
            ("version", json!(2)),
            ("brokerid", json!(self.broker)),
            ("timestamp", json!(self.timestamp_ms.to_string())),
            ("kraftControllerEpoch", json!(self.kraft_controller_epoch.unwrap_or(-1))),
        ]))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let raw: Raw = decode("/controller", bytes)?;
        let timestamp_ms = match &raw.timestamp {
            serde_json::Value::String(text) => text.parse().unwrap_or(-1),
            other => other.as_i64().unwrap_or(-1),
        };
        Ok(Self {
            broker: raw.brokerid,
            timestamp_ms,
            kraft_controller_epoch: raw.kraft_controller_epoch.filter(|epoch| *epoch >= 0),
        })
    }
}

#[must_use]
pub fn encode_controller_epoch(epoch: ControllerEpoch) -> Vec<u8> {
    epoch.to_string().into_bytes()
}

pub fn decode_controller_epoch(bytes: &[u8]) -> Result<ControllerEpoch, Malformed> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or(Malformed::Field {
            what: "/controller_epoch",
            field: "epoch",
        })
}

#[must_use]
pub fn encode_cluster_id(id: &str) -> Vec<u8> {
    to_bytes(object([("version", json!("1")), ("id", json!(id))]))
}

pub fn decode_cluster_id(bytes: &[u8]) -> Result<String, Malformed> {
    #[derive(Deserialize)]
    struct Raw {
        id: String,
    }
    decode::<Raw>("/cluster/id", bytes).map(|raw| raw.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controller_is_written_as_kafka_writes_it() {
        let node = ControllerRegistration {
            broker: 1,
            timestamp_ms: 1_795_264_032_831,
            kraft_controller_epoch: None,
        };
        let bytes = node.encode();
        assert_eq!(
            bytes,
            br#"{"version":2,"brokerid":1,"timestamp":"1795264032831","kraftControllerEpoch":-1}"#
        );
        assert_eq!(ControllerRegistration::decode(&bytes).unwrap(), node);
    }

    #[test]
    fn version_one_of_the_controller_is_read() {
        let node =
            ControllerRegistration::decode(br#"{"version":1,"brokerid":7,"timestamp":"12"}"#).unwrap();
        assert_eq!((node.broker, node.timestamp_ms, node.kraft_controller_epoch), (7, 12, None));
        assert!(ControllerRegistration::decode(b"7").is_err());
    }

    #[test]
    fn epoch_and_cluster_id_round_trip() {
        assert_eq!(decode_controller_epoch(&encode_controller_epoch(42)).unwrap(), 42);
        assert!(decode_controller_epoch(b"\xff").is_err());
        let bytes = encode_cluster_id("_UZz8VPsTTK69-N02P6T8g");
        assert_eq!(bytes, br#"{"version":"1","id":"_UZz8VPsTTK69-N02P6T8g"}"#);
        assert_eq!(decode_cluster_id(&bytes).unwrap(), "_UZz8VPsTTK69-N02P6T8g");
    }
}
