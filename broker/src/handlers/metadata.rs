//! Metadata: brokers, topics, partitions and their leaders.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId as WireBrokerId, MetadataRequest, MetadataResponse};

use super::auto_create::AutoCreate;
use super::context::RequestContext;
use super::wire::{broker_ids, operations, text, topic_name};
use crate::cluster::{Cluster, Partition, Snapshot, Topic};
use crate::model::{NO_LEADER, TopicName, is_internal_topic};

/// How long the first news from the controller is waited for.
const FIRST_NEWS_MAX: Duration = Duration::from_secs(10);

/// Answers from the snapshot; topics that are missing may be created.
pub(crate) async fn handle(
    cluster: &Cluster,
    cluster_id: &str,
    auto_create: &AutoCreate,
    ctx: &RequestContext,
    request: MetadataRequest,
) -> MetadataResponse {
    let snapshot = first_news(cluster).await;
    let view = View {
        snapshot: &snapshot,
        ctx,
        with_operations: request.include_topic_authorized_operations,
    };
    let mut topics = Vec::new();
    match wanted(&request, ctx.api_version) {
        None => topics.extend(
            snapshot
                .topics
                .iter()
                .map(|(name, topic)| view.topic(name, topic)),
        ),
        Some(wanted) => {
            let may_create = request.allow_auto_topic_creation;
            let mut created = create_missing(&view, auto_create, wanted, may_create).await;
            for topic in wanted {
                topics.push(view.wanted(topic, &mut created));
            }
        }
    }
    let mut response = MetadataResponse::default()
        .with_brokers(brokers(&snapshot, ctx))
        .with_cluster_id(Some(text(cluster_id)))
        .with_controller_id(WireBrokerId(controller(&snapshot)))
        .with_topics(topics);
    if request.include_cluster_authorized_operations && (8..=10).contains(&ctx.api_version) {
        response.cluster_authorized_operations = operations::OF_CLUSTER;
    }
    response
}

/// The snapshot, once there are brokers in it. A broker that has just started
/// is not told of any yet, and a client that hears of none may take its word
/// for it: librdkafka gives up every connection and never comes back.
async fn first_news(cluster: &Cluster) -> Arc<Snapshot> {
    let told = cluster.wait_until(|snapshot| !snapshot.brokers.is_empty());
    if tokio::time::timeout(FIRST_NEWS_MAX, told).await.is_err() {
        tracing::warn!("the controller has told nothing yet: a client hears of no brokers");
    }
    cluster.snapshot()
}

/// The topics asked for; `None` means all. Version 0 cannot ask for none.
fn wanted(request: &MetadataRequest, version: i16) -> Option<&[MetadataRequestTopic]> {
    let topics = request.topics.as_deref()?;
    match version == 0 && topics.is_empty() {
        true => None,
        false => Some(topics),
    }
}

/// Creates what is missing and may be; gives each such topic's error code.
async fn create_missing(
    view: &View<'_>,
    auto_create: &AutoCreate,
    wanted: &[MetadataRequestTopic],
    may_create: bool,
) -> BTreeMap<TopicName, i16> {
    let mut codes = BTreeMap::new();
    if !(may_create && auto_create.is_enabled()) {
        return codes;
    }
    for topic in wanted {
        let Some(Ok(name)) = topic.name.as_ref().map(|name| TopicName::new(name)) else {
            continue;
        };
        if view.snapshot.topic(name.as_str()).is_none() && !codes.contains_key(&name) {
            let code = auto_create.create(&name).await;
            codes.insert(name, code);
        }
    }
    codes
}

/// The controller, while it is alive.
pub(super) fn controller(snapshot: &Snapshot) -> i32 {
    let alive = |id: &i32| snapshot.brokers.contains_key(id);
    snapshot.controller.filter(alive).unwrap_or(NO_LEADER)
}

fn brokers(snapshot: &Snapshot, ctx: &RequestContext) -> Vec<MetadataResponseBroker> {
    let reachable = snapshot.reachable(&ctx.listener);
    reachable
        .map(|(broker, endpoint)| {
            MetadataResponseBroker::default()
                .with_node_id(WireBrokerId(broker.id))
                .with_host(text(endpoint.host.as_str()))
                .with_port(i32::from(endpoint.port))
                .with_rack(broker.rack.as_deref().map(text))
        })
        .collect()
}

struct View<'a> {
    snapshot: &'a Snapshot,
    ctx: &'a RequestContext,
    with_operations: bool,
}

impl View<'_> {
    fn wanted(
        &self,
        topic: &MetadataRequestTopic,
        created: &mut BTreeMap<TopicName, i16>,
    ) -> MetadataResponseTopic {
        let Some(name) = &topic.name else {
            return match self.snapshot.topic_name(topic.topic_id) {
                Some(name) => self.known(name),
                None => MetadataResponseTopic::default()
                    .with_topic_id(topic.topic_id)
                    .with_name(None)
                    .with_error_code(ResponseError::UnknownTopicId.code()),
            };
        };
        let failed = |code: i16| {
            MetadataResponseTopic::default()
                .with_name(Some(name.clone()))
                .with_is_internal(is_internal_topic(name))
                .with_error_code(code)
        };
        match TopicName::new(name) {
            Err(_) => failed(ResponseError::InvalidTopicException.code()),
            Ok(name) if self.snapshot.topic(name.as_str()).is_some() => self.known(&name),
            Ok(name) => {
                let unknown = ResponseError::UnknownTopicOrPartition.code();
                failed(created.get(&name).copied().unwrap_or(unknown))
            }
        }
    }

    fn known(&self, name: &TopicName) -> MetadataResponseTopic {
        match self.snapshot.topics.get(name) {
            Some(topic) => self.topic(name, topic),
            None => MetadataResponseTopic::default()
                .with_name(Some(topic_name(name)))
                .with_error_code(ResponseError::UnknownTopicOrPartition.code()),
        }
    }

    fn topic(&self, name: &TopicName, topic: &Topic) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter();
        let mut response = MetadataResponseTopic::default()
            .with_name(Some(topic_name(name)))
            .with_topic_id(topic.id)
            .with_is_internal(is_internal_topic(name.as_str()))
            .with_partitions(
                partitions
                    .map(|(index, partition)| self.partition(*index, partition))
                    .collect(),
            );
        if self.with_operations && self.ctx.api_version >= 8 {
            response.topic_authorized_operations = operations::OF_TOPIC;
        }
        response
    }

    fn partition(&self, index: i32, partition: &Partition) -> MetadataResponsePartition {
        let state = &partition.state;
        let version = self.ctx.api_version;
        let (mut replicas, mut isr) = (state.replicas.clone(), state.isr.clone());
        let (leader, mut error) = self.leader(state.leader);
        if version == 0 {
            // The oldest clients look up every id that they are given.
            let alive = |id: &i32| self.snapshot.endpoint(*id, &self.ctx.listener).is_some();
            let all = replicas.len() + isr.len();
            replicas.retain(alive);
            isr.retain(alive);
            if error == 0 && replicas.len() + isr.len() < all {
                error = ResponseError::ReplicaNotAvailable.code();
            }
        }
        MetadataResponsePartition::default()
            .with_error_code(error)
            .with_partition_index(index)
            .with_leader_id(WireBrokerId(leader))
            .with_leader_epoch(state.leader_epoch)
            .with_replica_nodes(broker_ids(&replicas))
            .with_isr_nodes(broker_ids(&isr))
            .with_offline_replicas(broker_ids(&partition.offline_replicas))
    }

    /// The leader as clients of this listener can reach it, and an error code.
    fn leader(&self, leader: i32) -> (i32, i16) {
        if self.snapshot.endpoint(leader, &self.ctx.listener).is_some() {
            return (leader, 0);
        }
        let is_alive = self.snapshot.brokers.contains_key(&leader);
        let error = match is_alive && self.ctx.api_version >= 6 {
            true => ResponseError::ListenerNotFound,
            false => ResponseError::LeaderNotAvailable,
        };
        (NO_LEADER, error.code())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::protocol::interbroker::{ControlHeader, LiveBroker, UpdateMetadataRequest};

    #[tokio::test]
    async fn a_broker_that_was_told_nothing_lets_clients_wait() {
        let cluster = Cluster::default();
        let asked = first_news(&cluster);
        tokio::pin!(asked);
        assert!((&mut asked).now_or_never().is_none());
        cluster.apply(&UpdateMetadataRequest {
            header: ControlHeader {
                controller_id: 1,
                controller_epoch: 1,
                broker_epoch: 1,
            },
            partitions: Vec::new(),
            offline_replicas: Vec::new(),
            topic_ids: Vec::new(),
            live_brokers: vec![LiveBroker {
                id: 1,
                epoch: 1,
                endpoints: Vec::new(),
                rack: None,
            }],
        });
        assert!(asked.await.brokers.contains_key(&1));
    }
}
