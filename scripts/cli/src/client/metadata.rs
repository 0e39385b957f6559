//! What is known of the cluster: brokers, the controller, topics and leaders.
//!
//! **Invariant:** a refresh of some topics leaves what is known of others.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Client, Endpoint, Error, Lane};

/// Which topics a refresh asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Topics<'a> {
    All,
    Named(&'a [String]),
    ById(Uuid),
}

/// Whether asking for a missing topic may create it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AutoCreate {
    Allow,
    Never,
}

/// One broker as the cluster advertises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) id: i32,
    pub(crate) endpoint: Endpoint,
    pub(crate) rack: Option<String>,
}

/// The last known state of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    brokers: BTreeMap<i32, Broker>,
    controller: i32,
    leaders: BTreeMap<(String, i32), i32>,
}

impl Metadata {
    fn learn(&mut self, answer: &MetadataResponse) {
        self.controller = answer.controller_id.0;
        self.brokers = answer
            .brokers
            .iter()
            .map(|broker| {
                let endpoint = Endpoint {
                    host: broker.host.to_string(),
                    port: u16::try_from(broker.port).unwrap_or_default(),
                };
                let rack = broker.rack.as_ref().map(ToString::to_string);
                let id = broker.node_id.0;
                (id, Broker { id, endpoint, rack })
            })
            .collect();
        for topic in &answer.topics {
            let name = topic_name(topic);
            self.leaders.retain(|(known, _), _| *known != name);
            for partition in &topic.partitions {
                let at = (name.clone(), partition.partition_index);
                self.leaders.insert(at, partition.leader_id.0);
            }
        }
    }
}

/// The name in an answer; empty when the broker left it out.
pub(crate) fn topic_name(topic: &MetadataResponseTopic) -> String {
    topic
        .name
        .as_ref()
        .map(|name| name.0.to_string())
        .unwrap_or_default()
}

/// A name as requests carry it.
pub(crate) fn wire_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

impl Client {
    /// Asks some broker once, and remembers the answer.
    pub(crate) async fn refresh(
        &self,
        topics: Topics<'_>,
        auto_create: AutoCreate,
    ) -> Result<MetadataResponse, Error> {
        let mut failure = Error::NoNode("metadata");
        for endpoint in self.known_endpoints() {
            let request = |version| metadata_request(topics, auto_create, version);
            match self.call(&endpoint, Lane::Control, request).await {
                Ok(answer) if !answer.brokers.is_empty() => {
                    self.known().learn(&answer);
                    return Ok(answer);
                }
                Ok(_) => failure = Error::UnknownBroker(-1),
                Err(error) => {
                    self.tell_unreachable(&error);
                    failure = error;
                }
            }
        }
        Err(failure)
    }

    /// Brokers known so far, then the addresses the user gave.
    fn known_endpoints(&self) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = self
            .known()
            .brokers
            .values()
            .map(|broker| broker.endpoint.clone())
            .collect();
        for given in &self.config.bootstrap {
            if !endpoints.contains(given) {
                endpoints.push(given.clone());
            }
        }
        endpoints
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Metadata> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn brokers(&self) -> Vec<Broker> {
        self.known().brokers.values().cloned().collect()
    }

    pub(crate) fn broker(&self, id: i32) -> Result<Endpoint, Error> {
        let known = self.known();
        let broker = known.brokers.get(&id).ok_or(Error::UnknownBroker(id))?;
        Ok(broker.endpoint.clone())
    }

    /// The controller as last heard of; any broker when there is none, since
    /// each passes such requests on or answers that it is not the one.
    pub(crate) fn controller(&self) -> Result<Endpoint, Error> {
        let controller = self.known().controller;
        self.broker(controller)
    }

    /// The broker to ask for things that any broker knows.
    pub(crate) fn any_broker(&self) -> Result<Endpoint, Error> {
        let first = self.known_endpoints().into_iter().next();
        first.ok_or(Error::UnknownBroker(-1))
    }

    /// The leader of a partition as last heard of.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let leader = *self.known().leaders.get(&(topic.to_owned(), partition))?;
        (leader >= 0).then_some(leader)
    }

    /// How many partitions a topic has, if it is known.
    pub(crate) fn partition_count(&self, topic: &str) -> Option<i32> {
        let known = self.known();
        let of_topic = known.leaders.keys().filter(|(name, _)| name == topic);
        match of_topic.count() {
            0 => None,
            count => i32::try_from(count).ok(),
        }
    }
}

fn metadata_request(topics: Topics<'_>, auto_create: AutoCreate, version: i16) -> MetadataRequest {
    let wanted = match topics {
        // Version 0 cannot say null; there an empty list stands for all.
        Topics::All => (version == 0).then(Vec::new),
        Topics::Named(names) => Some(
            names
                .iter()
                .map(|name| MetadataRequestTopic::default().with_name(Some(wire_name(name))))
                .collect(),
        ),
        Topics::ById(id) => Some(vec![
            MetadataRequestTopic::default()
                .with_topic_id(id)
                .with_name(None),
        ]),
    };
    MetadataRequest::default()
        .with_topics(wanted)
        .with_allow_auto_topic_creation(version < 4 || auto_create == AutoCreate::Allow)
}
