//! Three brokers and one coordinator in this process: partitions spread, the
//! controller's word reaches every broker, and the cluster lives on.

use std::time::Duration;

use broker::model::BrokerId;
use broker::{Config, Running};
use bytes::{Buf, Bytes, BytesMut};
use common::config::{Origin, Properties};
use common::frame::FrameReader;
use common::shutdown::Shutdown;
use common::wire::Frame;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    CreateTopicsRequest, CreateTopicsResponse, MetadataRequest, MetadataResponse, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::task::JoinHandle;

use crate::support::{LIMIT, Space, eventually};

/// A broker of the cluster; its files go when the test ends.
struct Member {
    id: BrokerId,
    port: u16,
    shutdown: Shutdown,
    ended: JoinHandle<Result<(), broker::RunError>>,
}

struct Cluster {
    space: Space,
    dirs: tempfile::TempDir,
    members: Vec<Member>,
}

impl Cluster {
    async fn of_three() -> Self {
        let mut cluster = Self {
            space: Space::new().await,
            dirs: tempfile::tempdir().unwrap(),
            members: Vec::new(),
        };
        for id in 0..3 {
            cluster.start(id).await;
        }
        cluster
    }

    async fn start(&mut self, id: BrokerId) {
        let text = format!(
            "broker.id={id}\nlisteners=PLAINTEXT://127.0.0.1:0\nlog.dirs={}\n\
             zookeeper.connect={}{}\nadmin.enableServer=false\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=3\n",
            self.dirs.path().join(id.to_string()).display(),
            self.space.servers,
            self.space.chroot,
        );
        let properties = Properties::parse(text.as_bytes(), Origin::CommandLine).unwrap();
        let config = Config::from_properties(&properties).unwrap();
        let running: Running = broker::start(config).await.unwrap();
        self.members.push(Member {
            id,
            port: running.ports()[0].1,
            shutdown: running.shutdown(),
            ended: common::task::spawn("broker", running.wait()),
        });
    }

    async fn stop(&mut self, id: BrokerId) {
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
    async fn agree(&self, what: &str, holds: impl Fn(&MetadataResponse) -> bool) {
        for member in &self.members {
            let what = format!("{what}, on broker {}", member.id);
            eventually(&what, async || holds(&metadata(member.port, None).await)).await;
        }
    }

    fn port(&self, id: BrokerId) -> u16 {
        let found = self.members.iter().find(|member| member.id == id);
        found.unwrap().port
    }

    async fn controller(&self) -> BrokerId {
        metadata(self.members[0].port, None).await.controller_id.0
    }

    /// Asks the controller to create a topic.
    async fn create(&self, topic: CreatableTopic) -> (i16, String) {
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
    async fn extend(&self, to: Option<Vec<CreatePartitionsAssignment>>) -> i16 {
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
async fn call<Q>(port: u16, version: i16, request: &Q) -> Q::Response
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
async fn exchange(port: u16, frame: Bytes) -> Option<Bytes> {
    let exchange = async {
        let stream = common::net::connect("127.0.0.1", port).await.unwrap();
        let (read, write) = stream.into_split();
        Frame::from(frame).send(write.as_ref()).await.unwrap();
        FrameReader::new(read, 1 << 24).next().await.unwrap()
    };
    tokio::time::timeout(LIMIT, exchange).await.unwrap()
}

fn name(text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(text))
}

async fn metadata(port: u16, auto_create: Option<&'static str>) -> MetadataResponse {
    let topics =
        auto_create.map(|topic| vec![MetadataRequestTopic::default().with_name(Some(name(topic)))]);
    let request = MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(auto_create.is_some());
    call(port, 12, &request).await
}

fn topic(text: &'static str, partitions: i32, factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(text))
        .with_num_partitions(partitions)
        .with_replication_factor(factor)
}

/// The leaders of a topic's partitions, in their order.
fn leaders(metadata: &MetadataResponse, topic: &'static str) -> Vec<BrokerId> {
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

fn count(leaders: &[BrokerId], id: BrokerId) -> usize {
    leaders.iter().filter(|leader| **leader == id).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_led_by_every_broker_and_wait_for_theirs() {
    let mut cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    assert_eq!(cluster.create(topic("t", 6, 1)).await, (0, String::new()));
    let spread = |m: &MetadataResponse| (0..3).all(|id| count(&leaders(m, "t"), id) == 2);
    cluster.agree("two partitions each", spread).await;

    let controller = cluster.controller().await;
    let other = (controller + 1) % 3;
    cluster.stop(other).await;
    let waiting = |m: &MetadataResponse| {
        let leaders = leaders(m, "t");
        count(&leaders, -1) == 2 && count(&leaders, other) == 0 && m.brokers.len() == 2
    };
    cluster
        .agree("no leader without its only replica", waiting)
        .await;
    cluster.start(other).await;
    cluster.agree("all are led again", spread).await;

    cluster.stop(controller).await;
    let elected = |m: &MetadataResponse| {
        m.controller_id.0 >= 0
            && m.controller_id.0 != controller
            && count(&leaders(m, "t"), -1) == 2
            && m.brokers.len() == 2
    };
    cluster.agree("another controller", elected).await;
    let told: Vec<BrokerId> = {
        let mut told = Vec::new();
        for member in &cluster.members {
            told.push(metadata(member.port, None).await.controller_id.0);
        }
        told
    };
    assert_eq!(told[0], told[1]);
    assert_eq!(
        cluster.create(topic("after", 2, 1)).await,
        (0, String::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_controller_creates_and_any_broker_creates_automatically() {
    let cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let controller = cluster.controller().await;
    for member in cluster.members.iter().filter(|m| m.id != controller) {
        let request = CreateTopicsRequest::default().with_topics(vec![topic("t", 1, 1)]);
        let response: CreateTopicsResponse = call(member.port, 7, &request).await;
        let code = ResponseError::NotController.code();
        assert_eq!(response.topics[0].error_code, code, "broker {}", member.id);
    }
    let topics = [(0, "auto-0"), (1, "auto-1"), (2, "auto-2")];
    for (id, topic) in topics {
        metadata(cluster.port(id), Some(topic)).await;
    }
    let created = |m: &MetadataResponse| {
        topics
            .iter()
            .all(|(_, topic)| leaders(m, topic).first().is_some_and(|id| *id >= 0))
    };
    cluster.agree("all have leaders", created).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_replicas_are_refused_until_followers_fetch() {
    let cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let refusal = ResponseError::InvalidReplicationFactor.code();
    let (code, message) = cluster.create(topic("t", 1, 2)).await;
    assert_eq!(code, refusal);
    assert!(
        message.contains("not served yet") && message.contains("Use a replication factor of 1")
    );

    let replicas = |ids: &[i32]| ids.iter().map(|id| (*id).into()).collect();
    let assigned = CreatableReplicaAssignment::default().with_broker_ids(replicas(&[0, 1]));
    let (code, _) = cluster
        .create(topic("t", -1, -1).with_assignments(vec![assigned]))
        .await;
    assert_eq!(code, refusal);
    let too_many = cluster.create(topic("t", 1, 4)).await.1;
    assert!(
        too_many.contains("larger than available brokers"),
        "{too_many}"
    );

    assert_eq!(cluster.create(topic("t", 1, 1)).await.0, 0);
    let (exists, _) = cluster.create(topic("t", 1, 2)).await;
    assert_eq!(exists, ResponseError::TopicAlreadyExists.code());
    // Assignments for none of the three new partitions, then left to the broker.
    assert_eq!(
        cluster.extend(Some(Vec::new())).await,
        ResponseError::InvalidReplicaAssignment.code()
    );
    assert_eq!(cluster.extend(None).await, 0);
    let extended = |m: &MetadataResponse| {
        let leaders = leaders(m, "t");
        leaders.len() == 4 && count(&leaders, -1) == 0
    };
    cluster.agree("four partitions", extended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_brokers_ask_is_listed_checked_and_never_believed_when_stale() {
    let cluster = Cluster::of_three().await;
    cluster
        .agree("three brokers", |m| m.brokers.len() == 3)
        .await;
    let port = cluster.port(1);
    let listed: ApiVersionsResponse = call(port, 0, &ApiVersionsRequest::default()).await;
    for (key, version) in [(4, 7), (5, 4), (6, 8), (7, 3)] {
        let api = listed
            .api_keys
            .iter()
            .find(|api| api.api_key == key)
            .unwrap();
        assert_eq!(
            (api.min_version, api.max_version),
            (version, version),
            "key {key}"
        );
    }
    let header = |key: i16, version: i16| {
        let mut out = Vec::new();
        out.extend(key.to_be_bytes());
        out.extend(version.to_be_bytes());
        out.extend([0, 0, 0, 9, 0xff, 0xff, 0]);
        out
    };
    // UpdateMetadata of controller 9 in an epoch before the first.
    let mut stale = header(6, 8);
    stale.extend([0, 0, 0, 9, 0, 0, 0, 0, 0]);
    stale.extend((-1_i64).to_be_bytes());
    stale.extend([1, 1, 0]);
    let mut answer = exchange(port, stale.clone().into())
        .await
        .expect("an answer");
    assert_eq!((answer.get_i32(), answer.get_u8()), (9, 0));
    assert_eq!(answer.get_i16(), ResponseError::StaleControllerEpoch.code());
    assert_eq!(
        metadata(port, None).await.brokers.len(),
        3,
        "it changed nothing"
    );
    for cut in 11..stale.len() {
        let cut = stale[..cut].to_vec();
        assert_eq!(exchange(port, cut.into()).await, None, "malformed");
    }
    let old = exchange(port, header(6, 7).into()).await;
    assert_eq!(old, None, "version 7 is not served");
    let wait = Duration::from_secs(5);
    let alive = tokio::time::timeout(wait, metadata(port, None)).await;
    assert_eq!(alive.unwrap().brokers.len(), 3);
}
