//! `/brokers/ids/<id>`: how a broker is reached.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{Malformed, decode, to_bytes};
use crate::model::{BrokerId, MetadataVersion, NEWEST};
use crate::protocol::interbroker::Endpoint;

const WHAT: &str = "a broker registration";
/// The version since Kafka 0.10, in which listeners have names.
const WITH_LISTENERS: i64 = 4;
const WITH_FEATURES: i64 = 5;

/// A broker's registration; every version is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    pub id: BrokerId,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
    pub jmx_port: i32,
    pub timestamp_ms: i64,
    /// Supported features: name -> (min version, max version).
    pub features: BTreeMap<String, (i16, i16)>,
}

#[derive(Deserialize)]
struct Raw {
    version: i64,
    host: Option<String>,
    port: Option<i32>,
    #[serde(default = "no_port")]
    jmx_port: i32,
    #[serde(default)]
    timestamp: Value,
    endpoints: Option<Vec<String>>,
    rack: Option<String>,
    listener_security_protocol_map: Option<IndexMap<String, String>>,
    features: Option<BTreeMap<String, BTreeMap<String, i16>>>,
}

fn no_port() -> i32 {
    -1
}

impl BrokerRegistration {
    /// As the newest brokers write it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_for(NEWEST)
    }

    /// As every broker of a cluster that speaks `cluster` can read it.
    #[must_use]
    pub fn encode_for(&self, cluster: MetadataVersion) -> Vec<u8> {
        let version = match cluster.has_features() {
            true => WITH_FEATURES,
            false => WITH_LISTENERS,
        };
        let features: Map<String, Value> = self
            .features
            .iter()
            .map(|(name, (min, max))| {
                (
                    name.clone(),
                    json!({"min_version": min, "max_version": max}),
                )
            })
            .collect();
        let listeners: Map<String, Value> = self
            .endpoints
            .iter()
            .map(|e| (e.listener.clone(), json!(e.security_protocol)))
            .collect();
        let endpoints: Vec<String> = self.endpoints.iter().map(connection_string).collect();
        // Old clients know only one plain listener.
        let plain = self
            .endpoints
            .iter()
            .find(|e| e.security_protocol == "PLAINTEXT");

        let mut map = Map::new();
        if version >= WITH_FEATURES {
            map.insert("features".into(), Value::Object(features));
        }
        map.insert(
            "listener_security_protocol_map".into(),
            Value::Object(listeners),
        );
        map.insert("endpoints".into(), json!(endpoints));
        if let Some(rack) = &self.rack {
            map.insert("rack".into(), json!(rack));
        }
        map.insert("jmx_port".into(), json!(self.jmx_port));
        map.insert(
            "port".into(),
            json!(plain.map_or(-1, |e| i32::from(e.port))),
        );
        map.insert("host".into(), json!(plain.map(|e| &e.host)));
        map.insert("version".into(), json!(version));
        map.insert("timestamp".into(), json!(self.timestamp_ms.to_string()));
        to_bytes(map)
    }

    pub fn decode(id: BrokerId, bytes: &[u8]) -> Result<Self, Malformed> {
        let raw: Raw = decode(WHAT, bytes)?;
        if raw.version < 1 {
            return Err(Malformed::Version {
                what: WHAT,
                version: raw.version,
            });
        }
        let endpoints = if raw.version == 1 {
            vec![first_version_endpoint(&raw)?]
        } else {
            let missing = Malformed::Field {
                what: WHAT,
                field: "endpoints",
            };
            let listed = raw.endpoints.as_ref().ok_or(missing)?;
            let protocols = raw.listener_security_protocol_map.as_ref();
            listed
                .iter()
                .map(|text| parse_endpoint(text, protocols))
                .collect::<Result<_, _>>()?
        };
        let features = raw.features.unwrap_or_default().into_iter();
        Ok(Self {
            id,
            endpoints,
            rack: raw.rack,
            jmx_port: raw.jmx_port,
            timestamp_ms: raw
                .timestamp
                .as_str()
                .and_then(|t| t.parse().ok())
                .unwrap_or(-1),
            features: features
                .map(|(name, range)| {
                    let bound = |key| range.get(key).copied().unwrap_or(0);
                    (name, (bound("min_version"), bound("max_version")))
                })
                .collect(),
        })
    }
}

fn first_version_endpoint(raw: &Raw) -> Result<Endpoint, Malformed> {
    let field = |field| Malformed::Field { what: WHAT, field };
    Ok(Endpoint {
        listener: "PLAINTEXT".to_owned(),
        security_protocol: "PLAINTEXT".to_owned(),
        host: raw.host.clone().ok_or_else(|| field("host"))?,
        port: raw
            .port
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| field("port"))?,
    })
}

fn connection_string(endpoint: &Endpoint) -> String {
    let Endpoint {
        listener,
        host,
        port,
        ..
    } = endpoint;
    if host.contains(':') {
        format!("{listener}://[{host}]:{port}")
    } else {
        format!("{listener}://{host}:{port}")
    }
}

fn parse_endpoint(
    text: &str,
    protocols: Option<&IndexMap<String, String>>,
) -> Result<Endpoint, Malformed> {
    let wrong = || Malformed::Field {
        what: WHAT,
        field: "endpoints",
    };
    let (listener, address) = text.split_once("://").ok_or_else(wrong)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    let listener = listener.to_ascii_uppercase();
    let security_protocol = match protocols {
        // Before version 4 a listener is named by its protocol.
        None => listener.clone(),
        Some(map) => map
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&listener))
            .map(|(_, protocol)| protocol.clone())
            .ok_or(Malformed::Field {
                what: WHAT,
                field: "listener_security_protocol_map",
            })?,
    };
    Ok(Endpoint {
        listener,
        security_protocol,
        host: host.to_owned(),
        port: port.parse().map_err(|_| wrong())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(listener: &str, protocol: &str, host: &str, port: u16) -> Endpoint {
        Endpoint {
            listener: listener.into(),
            security_protocol: protocol.into(),
            host: host.into(),
            port,
        }
    }

    #[test]
    fn version_five_is_written_as_kafka_writes_it() {
        let node = BrokerRegistration {
            id: 1,
            endpoints: vec![endpoint("PLAINTEXT", "PLAINTEXT", "127.0.0.1", 23010)],
            rack: Some("r1".into()),
            jmx_port: -1,
            timestamp_ms: 1_795_264_032_739,
            features: BTreeMap::new(),
        };
        let bytes = node.encode();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://127.0.0.1:23010"],"rack":"r1","jmx_port":-1,"port":23010,"host":"127.0.0.1","version":5,"timestamp":"1795264032739"}"#
        );
        assert_eq!(BrokerRegistration::decode(1, &bytes).unwrap(), node);
    }

    #[test]
    fn a_cluster_of_before_features_reads_version_four() {
        let node = BrokerRegistration {
            id: 1,
            endpoints: vec![endpoint("PLAINTEXT", "PLAINTEXT", "h", 9092)],
            rack: None,
            jmx_port: -1,
            timestamp_ms: 5,
            features: BTreeMap::new(),
        };
        assert_eq!(
            String::from_utf8(node.encode_for("2.6".parse().unwrap())).unwrap(),
            r#"{"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://h:9092"],"jmx_port":-1,"port":9092,"host":"h","version":4,"timestamp":"5"}"#
        );
    }

    #[test]
    fn a_broker_without_a_plain_listener_hides_from_old_clients() {
        let node = BrokerRegistration {
            id: 1,
            endpoints: vec![endpoint("EXTERNAL", "SSL", "::1", 9093)],
            rack: None,
            jmx_port: -1,
            timestamp_ms: 5,
            features: BTreeMap::from([("x".into(), (1, 3))]),
        };
        let text = String::from_utf8(node.encode()).unwrap();
        assert!(text.contains(r#""port":-1,"host":null"#), "{text}");
        assert!(
            text.contains(r#""endpoints":["EXTERNAL://[::1]:9093"]"#),
            "{text}"
        );
        assert_eq!(
            BrokerRegistration::decode(1, text.as_bytes()).unwrap(),
            node
        );
    }

    #[test]
    fn every_older_version_is_read() {
        let v1 =
            br#"{"version":1,"host":"h","port":9092,"jmx_port":9999,"timestamp":"2233345666"}"#;
        let v2 = br#"{"version":2,"host":"h","port":9092,"jmx_port":9999,"timestamp":"2233345666","endpoints":["PLAINTEXT://h:9092","SSL://h:9093"]}"#;
        let v4 = br#"{"version":4,"host":"h","port":9092,"jmx_port":9999,"timestamp":"2233345666","endpoints":["CLIENT://h:9092"],"listener_security_protocol_map":{"CLIENT":"SASL_SSL"},"rack":"dc1"}"#;
        let plain = endpoint("PLAINTEXT", "PLAINTEXT", "h", 9092);
        let node = BrokerRegistration::decode(3, v1).unwrap();
        assert_eq!((node.endpoints, node.jmx_port), (vec![plain.clone()], 9999));
        let node = BrokerRegistration::decode(3, v2).unwrap();
        assert_eq!(node.endpoints, [plain, endpoint("SSL", "SSL", "h", 9093)]);
        let node = BrokerRegistration::decode(3, v4).unwrap();
        assert_eq!(node.endpoints, [endpoint("CLIENT", "SASL_SSL", "h", 9092)]);
        assert_eq!(node.rack.as_deref(), Some("dc1"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            &b"{}"[..],
            b"",
            br#"{"version":0,"endpoints":[]}"#,
            br#"{"version":2,"endpoints":["nonsense"]}"#,
            br#"{"version":4,"endpoints":["A://h:1"],"listener_security_protocol_map":{}}"#,
            br#"{"version":2,"endpoints":["A://h:99999"]}"#,
        ] {
            assert!(BrokerRegistration::decode(1, bad).is_err());
        }
    }
}
