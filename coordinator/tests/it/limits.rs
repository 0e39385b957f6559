use common::zk::CreateMode::*;
use common::zk::{CreateRequest, ErrorCode, MultiOp, MultiRequest, OpCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::*;

/// Sends bytes on a new socket and returns everything that comes back until its end.
async fn converse(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = patient(stream.read_to_end(&mut answer)).await;
    answer
}

async fn http(address: std::net::SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    String::from_utf8(converse(address, request.as_bytes()).await).unwrap()
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let server = fresh().await;
    let address = server.daemon.client_address();
    let mut good = server.client().await;
    let too_long = 0x0010_0000_i32.to_be_bytes();
    let garbage: [&[u8]; 6] = [
        &[0xff, 0xff, 0xff, 0xff],
        &[0x7f, 0xff, 0xff, 0xff],
        &too_long,
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2, 3],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in garbage {
        assert_eq!(converse(address, bytes).await, b"", "{bytes:?}");
    }
    good.create("/still-here", Persistent).await.unwrap();
}

#[tokio::test]
async fn a_request_beyond_the_limit_closes_the_connection() {
    let server = fresh().await;
    let mut client = server.client().await;
    client.send(OpCode::Create, &large_request()).await;
    client.closed().await;
    let mut other = server.client().await;
    assert_eq!(other.children("/", false).await.unwrap(), ["zookeeper"]);
}

fn large_request() -> CreateRequest {
    let mut request = create_request("/large", Persistent);
    request.data = Some(vec![0; 2 << 20].into());
    request
}

/// A list of children may be larger than the client takes.
#[tokio::test]
async fn replies_beyond_the_limit_are_counted() {
    let server = fresh_with(&[("jute.maxbuffer", "1024")]).await;
    let mut client = server.client().await;
    let admin = server.daemon.admin_address().unwrap();
    let count = |page: String| {
        let line = page
            .lines()
            .find(|l| l.starts_with("replies_beyond_maxbuffer "));
        line.unwrap().to_owned()
    };
    assert_eq!(
        count(http(admin, "/metrics").await),
        "replies_beyond_maxbuffer 0"
    );
    for n in 0..3 {
        let path = format!("/{n}-{}", "x".repeat(400));
        client.create(&path, Persistent).await.unwrap();
    }
    assert_eq!(client.children("/", false).await.unwrap().len(), 4);
    assert_eq!(
        count(http(admin, "/metrics").await),
        "replies_beyond_maxbuffer 1"
    );
}

#[tokio::test]
async fn a_request_beyond_the_limit_can_be_refused_instead() {
    let server = fresh_with(&[("jute.maxbuffer.refuse", "true")]).await;
    let mut client = server.client().await;
    client.create("/before", Persistent).await.unwrap();
    let refused = client.call(OpCode::Create, &large_request()).await;
    assert_eq!(refused, Err(ErrorCode::BadArguments));
    let ops = vec![MultiOp::Create(large_request())];
    let refused = client.call(OpCode::Multi, &MultiRequest { ops }).await;
    assert_eq!(refused, Err(ErrorCode::BadArguments));
    assert_eq!(
        client.children("/", false).await.unwrap(),
        ["before", "zookeeper"]
    );
}

#[tokio::test]
async fn a_length_that_nobody_means_ends_the_connection() {
    let server = fresh().await;
    let mut client = server.client().await;
    client.send_bytes(&(65_i32 << 20).to_be_bytes()).await;
    client.closed().await;
}

/// Ten seconds pass at once where nothing else is to be done.
#[tokio::test(start_paused = true)]
async fn a_socket_without_a_session_is_closed_after_a_while() {
    let server = fresh().await;
    assert_eq!(converse(server.daemon.client_address(), b"").await, b"");
    let half_a_hello = &framed(&common::jute::Record::to_bytes(&hello(10_000)))[..20];
    assert_eq!(
        converse(server.daemon.client_address(), half_a_hello).await,
        b""
    );
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = coordinator::Config::for_tests(dir.path());
    config.connections_per_ip_max = 2;
    let server = coordinator::start(config).await.unwrap();
    let address = server.client_address();
    let first = TestClient::connect(address).await;
    let _second = TestClient::connect(address).await;
    assert!(TestClient::open(address, hello(5000)).await.is_none());
    drop(first);
    // The place is free once the server has seen the end of the first.
    while TestClient::open(address, hello(5000)).await.is_none() {}
}

#[tokio::test]
async fn the_server_has_only_so_many_connections() {
    let server = fresh_with(&[("maxCnxns", "2")]).await;
    let address = server.daemon.client_address();
    let mut first = TestClient::connect(address).await;
    let second = TestClient::connect(address).await;
    assert!(TestClient::open(address, hello(10_000)).await.is_none());
    first.create("/still-here", Persistent).await.unwrap();
    drop(second);
    // Its place is free again once the server has seen that.
    while TestClient::open(address, hello(10_000)).await.is_none() {
        tokio::task::yield_now().await;
    }
}

/// Who sends more than may be outstanding is not read from for a while, and gets
/// all its answers in the end.
#[tokio::test]
async fn outstanding_requests_are_bounded_and_all_answered() {
    let server = fresh_with(&[("globalOutstandingLimit", "2")]).await;
    let (mut one, mut other) = (server.client().await, server.client().await);
    for n in 0..100 {
        for (client, name) in [(&mut one, "one"), (&mut other, "other")] {
            let request = create_request(&format!("/{name}{n}"), Persistent);
            client.send(OpCode::Create, &request).await;
        }
    }
    for client in [&mut one, &mut other] {
        for _ in 0..100 {
            let (_, answer) = client.receive().await.unwrap();
            assert!(answer.is_ok(), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn four_letter_words() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = coordinator::Config::for_tests(dir.path());
    config.words = ["ruok", "isro", "srvr", "stat", "mntr"]
        .map(String::from)
        .to_vec();
    let daemon = coordinator::start(config).await.unwrap();
    let address = daemon.client_address();
    let mut client = TestClient::connect(address).await;
    client.create("/a", Persistent).await.unwrap();
    let ask =
        async |word: &str| String::from_utf8(converse(address, word.as_bytes()).await).unwrap();
    assert_eq!(ask("ruok").await, "imok");
    assert_eq!(ask("isro").await, "rw");
    let srvr = ask("srvr").await;
    for line in [
        "Zookeeper version: 3.9.3",
        "Zxid: 0x2\n",
        "Mode: standalone\n",
        "Node count: 6\n",
    ] {
        assert!(srvr.contains(line), "{srvr}");
    }
    let stat = ask("stat").await;
    assert!(stat.contains("Clients:\n /127.0.0.1:"), "{stat}");
    let mntr = ask("mntr").await;
    assert!(mntr.contains("zk_znode_count\t6\n"), "{mntr}");
    let refused = "dump is not executed because it is not in the whitelist.\n";
    assert_eq!(ask("dump").await, refused);
}

#[tokio::test]
async fn the_admin_port() {
    let server = fresh().await;
    let address = server.daemon.admin_address().unwrap();
    assert!(http(address, "/health").await.ends_with("ok\n"));
    assert!(http(address, "/ready").await.ends_with("ready\n"));
    for path in ["/commands/stat", "/commands/stats", "/commands/srvr"] {
        let answer = http(address, path).await;
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let stats: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(stats["node_count"], 5, "{path}");
        assert_eq!(stats["error"], serde_json::Value::Null);
    }
    assert!(
        http(address, "/commands/nope")
            .await
            .contains("Unknown command: nope")
    );
    assert!(
        http(address, "/commands")
            .await
            .contains("/commands/monitor")
    );
    assert!(
        http(address, "/metrics")
            .await
            .contains("\nznode_count 5\n")
    );
}
