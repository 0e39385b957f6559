//! The admin port: who may have what, and what is where.

use std::net::SocketAddr;

use common::zk::{Acl, CreateMode, Id, OpCode, SetAclRequest, StatResponse, perms};
use coordinator::{Config, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::*;

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn get(address: SocketAddr, path: &str, header: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    patient(stream.read_to_end(&mut answer)).await.unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        body: answer[end + 4..].to_vec(),
        head,
    }
}

async fn start(change: impl FnOnce(&mut Config)) -> (tempfile::TempDir, Running) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::for_tests(dir.path());
    change(&mut config);
    (dir, coordinator::start(config).await.unwrap())
}

#[tokio::test]
async fn a_snapshot_is_for_those_whom_the_root_allows_and_not_for_ever() {
    let (_dir, daemon) = start(|_| {}).await;
    let admin = daemon.admin_address().unwrap();
    let mut client = TestClient::connect(daemon.client_address()).await;
    client.create("/a", CreateMode::Persistent).await.unwrap();
    let ask = async |proof: &str| get(admin, "/commands/snapshot", proof).await;
    let missing = ask("").await;
    assert_eq!(missing.status, 401);
    assert_eq!(
        missing.json()["error"],
        "Auth info is missing for the command"
    );
    assert_eq!(ask("Authorization: nonsense x\r\n").await.status, 401);
    assert_eq!(ask("Authorization: digest a b c\r\n").await.status, 401);
    // The root is open to everybody who proves to be somebody.
    let proof = "Authorization: digest somebody:password\r\n";
    let snapshot = ask(proof).await;
    assert_eq!(snapshot.status, 200, "{}", snapshot.text());
    assert!(
        snapshot.head.contains("last_zxid: 0x2"),
        "{}",
        snapshot.head
    );
    let size = format!("snapshot_size: {}", snapshot.body.len());
    assert!(snapshot.head.contains(&size), "{}", snapshot.head);
    assert_eq!(ask(proof).await.status, 429);
    let restore = get(admin, "/commands/restore", proof).await;
    assert_eq!(restore.status, 503);
    assert!(restore.text().contains("coordinator restore"));
}

#[tokio::test]
async fn nobody_has_a_snapshot_whom_the_root_does_not_allow() {
    let (_dir, daemon) = start(|config| config.admin.as_mut().unwrap().snapshots = true).await;
    let admin = daemon.admin_address().unwrap();
    let mut client = TestClient::connect(daemon.client_address()).await;
    let acl = vec![Acl::new(perms::ALL, Id::new("ip", "192.0.2.1"))];
    let path = "/".to_owned();
    let request = SetAclRequest {
        path,
        acl,
        version: -1,
    };
    let _: StatResponse = client.ask(OpCode::SetAcl, &request).await.unwrap();
    for (header, status) in [
        ("Authorization: digest a:b\r\n", 403),
        ("Authorization: ip\r\n", 403),
        ("Authorization: ip\r\nX-Forwarded-For: 192.0.2.1\r\n", 403),
    ] {
        let answer = get(admin, "/commands/snap", header).await;
        assert_eq!(answer.status, status, "{header}");
    }
}

#[tokio::test]
async fn pages_are_where_they_were_configured() {
    let (_dir, daemon) = start(|config| {
        config.admin.as_mut().unwrap().command_url = "/ops/zk".to_owned();
        config.metrics = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    })
    .await;
    let admin = daemon.admin_address().unwrap();
    let list = get(admin, "/ops/zk", "").await.text();
    assert!(
        list.contains("<a href=\"/ops/zk/monitor\">monitor</a>"),
        "{list}"
    );
    assert_eq!(
        get(admin, "/ops/zk/ruok", "").await.json()["command"],
        "ruok"
    );
    assert_eq!(get(admin, "/commands/ruok", "").await.status, 404);
    let metrics = daemon.metrics_address().unwrap();
    let text = get(metrics, "/metrics", "").await.text();
    assert!(text.contains("\nznode_count 5\n"), "{text}");
    assert_eq!(get(metrics, "/tree", "").await.status, 404);
}

#[tokio::test]
async fn children_come_in_pages() {
    let (_dir, daemon) = start(|_| {}).await;
    let admin = daemon.admin_address().unwrap();
    let mut client = TestClient::connect(daemon.client_address()).await;
    client.create("/a", CreateMode::Persistent).await.unwrap();
    for name in ["x", "y", "z"] {
        let path = format!("/a/{name}");
        client.create(&path, CreateMode::Persistent).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/tree?path=/a&limit=2&after={after}");
        let page = get(admin, &path, "").await.json();
        let children = page["children"].as_array().unwrap();
        seen.extend(children.iter().map(|child| child["path"].to_string()));
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["\"/a/x\"", "\"/a/y\"", "\"/a/z\""]);
    let page = get(admin, "/tree?path=/a", "Accept: text/html\r\n").await;
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    assert!(page.text().contains("<a href=\"/tree?path=/a/x\">x</a>"));
    for (path, status) in [
        ("/tree?path=/b", 404),
        ("/tree?path=a", 400),
        ("/tree?depth=99", 400),
    ] {
        assert_eq!(get(admin, path, "").await.status, status, "{path}");
    }
}
