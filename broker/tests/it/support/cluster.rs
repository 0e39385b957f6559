//! Three brokers and one coordinator in this process.

use std::net::SocketAddr;

use broker::model::BrokerId;
use broker::{Config, Running};
use bytes::{Bytes, BytesMut};
use common::config::{Origin, Properties};
use common::frame::FrameReader;
use common::shutdown::Shutdown;
use common::wire::Frame;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::task::JoinHandle;

use super::{LIMIT, Space, eventually};

/// A broker of the cluster; its files go when the test ends.
pub(crate) struct Member {
    pub(crate) id: BrokerId,
    pub(crate) port: u16,
    pub(crate) admin: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<Result<(), broker::RunError>>,
}

pub(crate) struct Cluster {
    pub(crate) space: Space,
    pub(crate) dirs: tempfile::TempDir,
    pub(crate) members: Vec<Member>,
    /// Further lines of each broker's configuration.
    extra: &'static str,
}

impl Cluster {
    pub(crate) async fn of_three() -> Self {
        Self::of_three_with("offsets.topic.replication.factor=1\n").await
    }

    pub(crate) async fn of_three_with(extra: &'static str) -> Self {
        let mut cluster = Self {
            extra,
            space: Space::new().await,
            dirs: tempfile::tempdir().unwrap(),
            members: Vec::new(),
        };
        for id in 0..3 {
            cluster.start(id).await;
        }
        cluster
    }

    pub(crate) async fn start(&mut self, id: BrokerId) {
        let text = format!(
            "broker.id={id}\nbroker.rack=rack-{id}\nlisteners=PLAINTEXT://127.0.0.1:0\nlog.dirs={}\n\
             zookeeper.connect={}{}\nadmin.serverPort=0\n\
             offsets.topic.num.partitions=3\ngroup.initial.rebalance.delay.ms=0\n\
             zookeeper.session.timeout.ms=6000\n{}",
            self.dirs.path().join(id.to_string()).display(),
            self.space.servers,
            self.space.chroot,
            self.extra,
        );
        let properties = Properties::parse(text.as_bytes(), Origin::CommandLine).unwrap();
        let config = Config::from_properties(&properties).unwrap();
        let running: Running = broker::start(config).await.unwrap();
        self.members.push(Member {
            id,
            port: running.ports()[0].1,
            admin: running.admin_address().unwrap(),
            shutdown: running.shutdown(),
            ended: common::task::spawn("broker", running.wait()),
        });
    }

    pub(crate) async fn stop(&mut self, id: BrokerId) {
        let index = self.members.iter().position(|member| member.id == id);
        let member = self.members.remove(index.unwrap());
        member.shutdown.request();
        tokio::time::timeout(LIMIT, member.ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    /// Waits until every member tells the same metadata, and it `holds`.
    pub(crate) async fn agree(&self, what: &str, holds: impl Fn(&MetadataResponse) -> bool) {
        for member in &self.members {
            let what = format!("{what}, on broker {}", member.id);
            eventually(&what, async || holds(&metadata(member.port, None).await)).await;
        }
    }

    pub(crate) fn port(&self, id: BrokerId) -> u16 {
        let found = self.members.iter().find(|member| member.id == id);
        found.unwrap().port
    }

    pub(crate) async fn controller(&self) -> BrokerId {
        metadata(self.members[0].port, None).await.controller_id.0
    }

    /// Asks the controller to create a topic.
    pub(crate) async fn create(&self, topic: CreatableTopic) -> (i16, String) {
        let request = CreateTopicsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(20_000);
        let port = self.port(self.controller().await);
        let response: CreateTopicsResponse = call(port, 7, &request).await;
        let result = &response.topics[0];
        let message = result.error_message.as_deref().unwrap_or_default();
        (result.error_code, message.to_owned())
    }
}

impl Cluster {
    /// Asks the controller for four partitions of `t`.
    pub(crate) async fn extend(&self, to: Option<Vec<CreatePartitionsAssignment>>) -> i16 {
        let more = CreatePartitionsTopic::default()
            .with_name(name("t"))
            .with_count(4)
            .with_assignments(to);
        let request = CreatePartitionsRequest::default()
            .with_topics(vec![more])
            .with_timeout_ms(20_000);
        let port = self.port(self.controller().await);
        let response: CreatePartitionsResponse = call(port, 3, &request).await;
        response.results[0].error_code
    }
}

/// One request on a connection of its own.
pub(crate) async fn call<Q>(port: u16, version: i16, request: &Q) -> Q::Response
where
    Q: Request + Encodable + HeaderVersion,
    Q::Response: Decodable + HeaderVersion,
{
    let mut out = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(Q::KEY)
        .with_request_api_version(version)
        .with_correlation_id(5)
        .encode(&mut out, Q::header_version(version))
        .unwrap();
    request.encode(&mut out, version).unwrap();
    let mut answer = exchange(port, out.freeze()).await.expect("an answer");
    ResponseHeader::decode(&mut answer, Q::Response::header_version(version)).unwrap();
    Q::Response::decode(&mut answer, version).unwrap()
}

/// Sends one frame; `None` when the broker closes instead of answering.
pub(crate) async fn exchange(port: u16, frame: Bytes) -> Option<Bytes> {
    let exchange = async {
        let stream = common::net::connect("127.0.0.1", port).await.unwrap();
        let (read, write) = stream.into_split();
        Frame::from(frame).send(write.as_ref()).await.unwrap();
        FrameReader::new(read, 1 << 24).next().await.unwrap()
    };
    tokio::time::timeout(LIMIT, exchange).await.unwrap()
}

pub(crate) fn name(text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(text))
}

pub(crate) async fn metadata(port: u16, auto_create: Option<&'static str>) -> MetadataResponse {
    let topics =
        auto_create.map(|topic| vec![MetadataRequestTopic::default().with_name(Some(name(topic)))]);
    let request = MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(auto_create.is_some());
    call(port, 12, &request).await
}

pub(crate) fn with_config(topic: CreatableTopic, key: &'static str, value: &str) -> CreatableTopic {
    let mut topic = topic;
    let value = StrBytes::from_string(value.to_owned());
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str(key))
        .with_value(Some(value));
    topic.configs.push(config);
    topic
}

pub(crate) fn topic(text: &'static str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(text))
        .with_num_partitions(partitions)
        .with_replication_factor(factor)
}

/// The leaders of a topic's partitions, in their order.
pub(crate) fn leaders(metadata: &MetadataResponse, topic: &'static str) -> Vec<BrokerId> {
    let wanted = Some(name(topic));
    let found = metadata.topics.iter().find(|topic| topic.name == wanted);
    let mut partitions: Vec<_> = found
        .map(|topic| topic.partitions.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|partition| (partition.partition_index, partition.leader_id.0))
        .collect();
    partitions.sort_unstable();
    partitions.into_iter().map(|(_, leader)| leader).collect()
}

pub(crate) fn count(leaders: &[BrokerId], id: BrokerId) -> usize {
    leaders.iter().filter(|leader| **leader == id).count()
}
