//! A whole broker beside its coordinator, and a small client that speaks
//! Kafka's protocol as bytes on a socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};

use broker::record::{BatchBuilder, Batches, Compression};
use broker::{Config, RunError, Running};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use common::config::{Origin, Properties};
use common::frame::FrameReader;
use common::shutdown::Shutdown;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse,
    RequestHeader, ResponseHeader, TopicName as WireTopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use super::{LIMIT, eventually};

/// A coordinator with its data, and room for a broker's.
pub(crate) struct Site {
    pub(crate) coordinator: coordinator::Running,
    pub(crate) dir: tempfile::TempDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = coordinator::Config::for_tests(&dir.path().join("coordinator"));
        let coordinator = coordinator::start(config).await.unwrap();
        Self { coordinator, dir }
    }

    pub(crate) fn servers(&self) -> String {
        self.coordinator.client_address().to_string()
    }

    /// What a broker of this site is configured with.
    pub(crate) fn properties(&self, overrides: &[(&str, &str)]) -> Vec<(String, String)> {
        properties(&self.servers(), &self.dir.path().join("broker"), overrides)
    }

    pub(crate) async fn broker(&self, overrides: &[(&str, &str)]) -> Broker {
        let running = self.start(overrides).await;
        running.until_ready().await;
        Broker::of(running)
    }

    /// A broker that the controller need not have told anything.
    pub(crate) async fn unready_broker(&self, overrides: &[(&str, &str)]) -> Broker {
        Broker::of(self.start(overrides).await)
    }

    async fn start(&self, overrides: &[(&str, &str)]) -> Running {
        let config = config(&self.properties(overrides));
        broker::start(config).await.unwrap()
    }
}

pub(crate) fn properties(
    servers: &str,
    dir: &Path,
    overrides: &[(&str, &str)],
) -> Vec<(String, String)> {
    let dir = dir.display().to_string();
    let defaults = [
        ("broker.id", "1"),
        ("zookeeper.connect", servers),
        ("zookeeper.session.timeout.ms", "6000"),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", &dir),
        ("admin.serverPort", "0"),
        ("offsets.topic.num.partitions", "2"),
        ("offsets.topic.replication.factor", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
    ];
    let all = defaults.iter().chain(overrides);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn config(properties: &[(String, String)]) -> Config {
    let mut parsed = Properties::default();
    for (key, value) in properties {
        parsed.set(key, value, Origin::CommandLine);
    }
    Config::from_properties(&parsed).unwrap()
}

/// A broker in this process.
pub(crate) struct Broker {
    pub(crate) port: u16,
    /// Of each listener, by its name.
    pub(crate) ports: Vec<(String, u16)>,
    pub(crate) admin: SocketAddr,
    stop: Shutdown,
    task: JoinHandle<Result<(), RunError>>,
}

impl Broker {
    fn of(running: Running) -> Self {
        Self {
            port: running.ports()[0].1,
            ports: running.ports().to_vec(),
            admin: running.admin_address().unwrap(),
            stop: running.shutdown(),
            task: common::task::spawn("broker", running.wait()),
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.port).await
    }

    pub(crate) async fn until_ready(&self) {
        let admin = self.admin;
        eventually("the broker is ready", || async move {
            http_get(admin, "/ready").await.0 == 200
        })
        .await;
    }

    /// An orderly stop, which must not take long whatever clients do.
    pub(crate) async fn stop(self) {
        self.stop.request();
        let stopped = tokio::time::timeout(LIMIT / 2, self.task).await;
        stopped.expect("the broker stops").unwrap().unwrap();
    }
}

/// Status and body of an admin page.
pub(crate) async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::AsyncReadExt;
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return (0, String::new());
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body.to_owned())
}

/// One connection.
pub(crate) struct Client {
    frames: FrameReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    correlation: AtomicI32,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (read, write) = stream.into_split();
        Self {
            frames: FrameReader::new(read, 64 << 20),
            write,
            correlation: AtomicI32::new(1),
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let id = self.send(version, request).await;
        self.receive::<R>(version, id).await
    }

    /// Sends without waiting; gives what `receive` wants to know.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let id = self.correlation.fetch_add(1, Ordering::Relaxed);
        self.raw(&frame(version, id, request)).await;
        id
    }

    pub(crate) async fn receive<R: Request>(&mut self, version: i16, id: i32) -> R::Response {
        let mut answer = self.answer().await.expect("an answer, not a closed socket");
        let header =
            ResponseHeader::decode(&mut answer, R::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, id, "answers come in order");
        let response = R::Response::decode(&mut answer, version).unwrap();
        assert_eq!(answer.remaining(), 0, "nothing is left of the answer");
        response
    }

    /// Asks with a body of bytes, in a version before the flexible ones; gives
    /// the answer's body.
    pub(crate) async fn ask(&mut self, key: i16, version: i16, body: &[u8]) -> Bytes {
        let id = self.correlation.fetch_add(1, Ordering::Relaxed);
        let mut frame = BytesMut::new();
        const HEADER: usize = 2 + 2 + 4 + 2;
        frame.put_i32(i32::try_from(HEADER + body.len()).unwrap());
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(id);
        frame.put_i16(-1);
        frame.put_slice(body);
        self.raw(&frame).await;
        let mut answer = self.answer().await.expect("an answer, not a closed socket");
        assert_eq!(answer.get_i32(), id, "answers come in order");
        answer
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.unwrap();
    }

    /// The next answer's bytes; `None` when the broker closed the connection.
    pub(crate) async fn answer(&mut self) -> Option<Bytes> {
        let next = tokio::time::timeout(LIMIT, self.frames.next()).await;
        next.expect("an answer in time").unwrap_or(None)
    }

    pub(crate) async fn create_topic(&mut self, name: &str, partitions: i32) {
        let response = self.call(7, &create_topic_request(name, partitions)).await;
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
    }

    /// Produces one batch with `acks` and gives the partition's answer.
    pub(crate) async fn produce(&mut self, topic: &str, acks: i16, records: Bytes) -> (i16, i64) {
        let response = self.call(9, &produce_request(topic, acks, records)).await;
        produced(&response)
    }

    /// What partition 0 holds from `offset` on: error, high watermark, values.
    pub(crate) async fn fetch(&mut self, topic: &str, offset: i64) -> (i16, i64, Vec<String>) {
        fetched(&self.call(12, &fetch_request(topic, offset)).await)
    }
}

pub(crate) fn frame<R: Request>(version: i16, id: i32, request: &R) -> Bytes {
    let mut body = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(StrBytes::from_static_str("test")))
        .encode(
            &mut body,
            ApiKey::try_from(R::KEY)
                .unwrap()
                .request_header_version(version),
        )
        .unwrap();
    request.encode(&mut body, version).unwrap();
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.put(body);
    frame.freeze()
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> WireTopicName {
    WireTopicName(text(name))
}

pub(crate) fn create_topic_request(name: &str, partitions: i32) -> CreateTopicsRequest {
    use kafka_protocol::messages::create_topics_request::CreatableTopic;
    CreateTopicsRequest::default()
        .with_topics(vec![
            CreatableTopic::default()
                .with_name(topic_name(name))
                .with_num_partitions(partitions)
                .with_replication_factor(1),
        ])
        .with_timeout_ms(20_000)
}

/// A batch of an ordinary producer.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    filled(BatchBuilder::new(Compression::None), values)
}

/// A batch of an idempotent producer.
pub(crate) fn batch_of(producer: (i64, i16), sequence: i32, values: &[&str]) -> Bytes {
    let builder = BatchBuilder::new(Compression::None);
    filled(builder.producer(producer.0, producer.1, sequence), values)
}

fn filled(mut builder: BatchBuilder, values: &[&str]) -> Bytes {
    for value in values {
        let now_ms = common::clock::system().wall_ms();
        assert!(builder.push(now_ms, None, Some(value.as_bytes()), &[]));
    }
    builder.build().unwrap()
}

pub(crate) fn produce_request(topic: &str, acks: i16, records: Bytes) -> ProduceRequest {
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(10_000)
        .with_topic_data(vec![
            TopicProduceData::default()
                .with_name(topic_name(topic))
                .with_partition_data(vec![
                    PartitionProduceData::default().with_records(Some(records)),
                ]),
        ])
}

/// Error code and base offset of the only partition.
pub(crate) fn produced(response: &ProduceResponse) -> (i16, i64) {
    let partition = &response.responses[0].partition_responses[0];
    (partition.error_code, partition.base_offset)
}

/// A fetch that does not wait.
pub(crate) fn fetch_request(topic: &str, offset: i64) -> FetchRequest {
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(topic_name(topic))
                .with_partitions(vec![
                    FetchPartition::default()
                        .with_fetch_offset(offset)
                        .with_partition_max_bytes(1 << 20),
                ]),
        ])
}

/// Error, high watermark and values of the only partition.
pub(crate) fn fetched(response: &FetchResponse) -> (i16, i64, Vec<String>) {
    let partition = &response.responses[0].partitions[0];
    let records = partition.records.clone().unwrap_or_default();
    (
        partition.error_code,
        partition.high_watermark,
        values(records),
    )
}

fn values(records: Bytes) -> Vec<String> {
    let mut values = Vec::new();
    for batch in Batches::tolerant(records) {
        for record in batch.unwrap().records(1 << 20).unwrap() {
            let value = record.unwrap().value.unwrap_or_default();
            values.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
    values
}
