//! A small client that speaks the wire directly, and a daemon to speak to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use common::frame::FrameReader;
use common::jute::{Reader, Record};
use common::zk::*;
use coordinator::{Config, Running};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn start(dir: &Path) -> Running {
    coordinator::start(Config::for_tests(dir)).await.unwrap()
}

/// A daemon on a directory that ends with it.
pub(crate) struct Fresh {
    pub(crate) daemon: Running,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) async fn fresh() -> Fresh {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(dir.path()).await;
    Fresh { daemon, dir }
}

/// As [`fresh`], with some keys set.
pub(crate) async fn fresh_with(keys: &[(&str, &str)]) -> Fresh {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::for_tests_with(dir.path(), keys);
    let daemon = coordinator::start(config).await.unwrap();
    Fresh { daemon, dir }
}

impl Fresh {
    pub(crate) async fn client(&self) -> TestClient {
        TestClient::connect(self.daemon.client_address()).await
    }
}

/// A watch event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) event: EventType,
    pub(crate) path: String,
    pub(crate) zxid: i64,
}

pub(crate) struct TestClient {
    frames: FrameReader<OwnedReadHalf>,
    sink: OwnedWriteHalf,
    next_xid: i32,
    pub(crate) welcome: ConnectResponse,
    /// Events that came before a reply, oldest first.
    pub(crate) events: VecDeque<Seen>,
    pub(crate) zxid: i64,
}

/// The connect request of a client without a session.
pub(crate) fn hello(timeout_ms: i32) -> ConnectRequest {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms,
        session_id: 0,
        password: Some(Bytes::from(vec![0; PASSWORD_LEN])),
        read_only: Some(false),
        listens_at: None,
    }
}

pub(crate) type Answered = Result<Bytes, ErrorCode>;

impl TestClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::open(address, hello(10_000)).await.unwrap()
    }

    /// Shakes hands; `None` if the server closes the socket instead.
    pub(crate) async fn open(address: SocketAddr, request: ConnectRequest) -> Option<Self> {
        let stream = TcpStream::connect(address).await.unwrap();
        let (source, mut sink) = stream.into_split();
        let mut frames = FrameReader::new(source, 16 << 20);
        sink.write_all(&framed(&request.to_bytes())).await.unwrap();
        let welcome = patient(frames.next()).await.ok().flatten()?;
        Some(Self {
            frames,
            sink,
            next_xid: 1,
            welcome: ConnectResponse::from_bytes_exact(welcome).unwrap(),
            events: VecDeque::new(),
            zxid: 0,
        })
    }

    /// The request that takes this client's session over.
    pub(crate) fn again(&self) -> ConnectRequest {
        ConnectRequest {
            session_id: self.welcome.session_id,
            password: self.welcome.password.clone(),
            timeout_ms: self.welcome.timeout_ms,
            ..hello(0)
        }
    }

    pub(crate) fn session(&self) -> i64 {
        self.welcome.session_id
    }

    /// Sends a request without waiting, and returns its xid.
    pub(crate) async fn send(&mut self, op: OpCode, body: &impl Record) -> i32 {
        self.send_raw(op.code(), &body.to_bytes()).await
    }

    pub(crate) async fn send_raw(&mut self, op: i32, body: &[u8]) -> i32 {
        let xid = match OpCode::from_code(op) {
            Some(OpCode::Ping) => xid::PING,
            Some(OpCode::Auth) => xid::AUTH,
            Some(OpCode::SetWatches | OpCode::SetWatches2) => xid::SET_WATCHES,
            _ => self.next_xid,
        };
        self.next_xid += 1;
        let mut frame = BytesMut::new();
        RequestHeader { xid, op }.encode(&mut frame);
        frame.put_slice(body);
        // A socket that the server has closed shows in what is read from it.
        let _ = self.sink.write_all(&framed(&frame)).await;
        xid
    }

    /// Sends what may be no request at all.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.sink.write_all(bytes).await.unwrap();
    }

    /// The next reply; events before it are kept. `None` at the end of the socket.
    pub(crate) async fn receive(&mut self) -> Option<(i32, Answered)> {
        loop {
            let frame = patient(self.frames.next()).await.ok().flatten()?;
            let mut reader = Reader::new(frame);
            let header: ReplyHeader = reader.read().unwrap();
            if header.xid == xid::NOTIFICATION {
                let event: WatcherEvent = reader.read().unwrap();
                assert_eq!(event.state, KeeperState::SyncConnected.code());
                self.events.push_back(Seen {
                    event: EventType::from_code(event.event_type).unwrap(),
                    path: event.path,
                    zxid: header.zxid,
                });
                continue;
            }
            self.zxid = header.zxid;
            let answer = match header.err {
                0 => Ok(reader.into_rest()),
                code => Err(ErrorCode::from_code(code).unwrap()),
            };
            return Some((header.xid, answer));
        }
    }

    pub(crate) async fn call(&mut self, op: OpCode, body: &impl Record) -> Answered {
        let sent = self.send(op, body).await;
        let (xid, answer) = self.receive().await.expect("the connection stays");
        assert_eq!(xid, sent);
        answer
    }

    pub(crate) async fn ask<T: Record>(
        &mut self,
        op: OpCode,
        body: &impl Record,
    ) -> Result<T, ErrorCode> {
        let answer = self.call(op, body).await?;
        Ok(T::from_bytes_exact(answer).unwrap())
    }

    /// The next event, which may have come already.
    pub(crate) async fn event(&mut self) -> Seen {
        while self.events.is_empty() {
            let pinged = self.call(OpCode::Ping, &Empty).await;
            assert_eq!(pinged, Ok(Bytes::new()));
            tokio::task::yield_now().await;
        }
        self.events.pop_front().unwrap()
    }

    /// Waits until the server closes the socket.
    pub(crate) async fn closed(&mut self) {
        while self.receive().await.is_some() {}
    }

    pub(crate) async fn create(
        &mut self,
        path: &str,
        mode: CreateMode,
    ) -> Result<String, ErrorCode> {
        let request = create_request(path, mode);
        let created: PathResponse = self.ask(OpCode::Create, &request).await?;
        Ok(created.path)
    }

    /// Creates a container, or with `ttl_ms` a node with a time to live.
    pub(crate) async fn create_removable(
        &mut self,
        path: &str,
        ttl_ms: Option<i64>,
    ) -> Result<Stat, ErrorCode> {
        let container = create_request(path, CreateMode::Container);
        let created: Create2Response = match ttl_ms {
            None => self.ask(OpCode::CreateContainer, &container).await?,
            Some(ttl_ms) => {
                let request = CreateTtlRequest {
                    path: container.path,
                    data: container.data,
                    acl: container.acl,
                    flags: CreateMode::PersistentWithTtl.flags(),
                    ttl_ms,
                };
                self.ask(OpCode::CreateTtl, &request).await?
            }
        };
        Ok(created.stat)
    }

    pub(crate) async fn delete(&mut self, path: &str, version: i32) -> Result<(), ErrorCode> {
        let request = DeleteRequest {
            path: path.into(),
            version,
        };
        self.call(OpCode::Delete, &request).await.map(drop)
    }

    pub(crate) async fn set(
        &mut self,
        path: &str,
        data: &str,
        version: i32,
    ) -> Result<Stat, ErrorCode> {
        let request = SetDataRequest {
            path: path.into(),
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            version,
        };
        let set: StatResponse = self.ask(OpCode::SetData, &request).await?;
        Ok(set.stat)
    }

    pub(crate) async fn get(
        &mut self,
        path: &str,
        watch: bool,
    ) -> Result<GetDataResponse, ErrorCode> {
        let request = PathWatchRequest {
            path: path.into(),
            watch,
        };
        self.ask(OpCode::GetData, &request).await
    }

    pub(crate) async fn exists(&mut self, path: &str, watch: bool) -> Result<Stat, ErrorCode> {
        let request = PathWatchRequest {
            path: path.into(),
            watch,
        };
        let stat: StatResponse = self.ask(OpCode::Exists, &request).await?;
        Ok(stat.stat)
    }

    pub(crate) async fn children(
        &mut self,
        path: &str,
        watch: bool,
    ) -> Result<Vec<String>, ErrorCode> {
        let request = PathWatchRequest {
            path: path.into(),
            watch,
        };
        let mut found: GetChildren2Response = self.ask(OpCode::GetChildren2, &request).await?;
        found.children.sort();
        Ok(found.children)
    }

    pub(crate) async fn multi(&mut self, ops: Vec<MultiOp>) -> Vec<MultiResult> {
        let request = MultiRequest { ops };
        let response: MultiResponse = self.ask(OpCode::Multi, &request).await.unwrap();
        response.results
    }

    pub(crate) async fn authenticate(&mut self, credentials: &str) -> Result<(), ErrorCode> {
        let request = AuthPacket {
            auth_type: 0,
            scheme: Some("digest".into()),
            auth: Some(Bytes::copy_from_slice(credentials.as_bytes())),
        };
        self.call(OpCode::Auth, &request).await.map(drop)
    }
}

/// A request without a body.
pub(crate) struct Empty;

impl Record for Empty {
    const MIN_LEN: usize = 0;

    fn encode(&self, _: &mut BytesMut) {}

    fn decode(_: &mut Reader) -> common::jute::Result<Self> {
        Ok(Self)
    }
}

pub(crate) fn create_request(path: &str, mode: CreateMode) -> CreateRequest {
    CreateRequest {
        path: path.into(),
        data: Some(Bytes::from_static(b"data")),
        acl: Acl::open(),
        flags: mode.flags(),
    }
}

pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let mut frame = i32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// Fails the test instead of waiting for ever.
pub(crate) async fn patient<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}
