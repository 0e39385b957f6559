use common::zk::CreateMode::*;
use common::zk::*;

use crate::client::*;

#[tokio::test]
async fn create_read_change_delete() {
    let server = fresh().await;
    let mut client = server.client().await;
    assert_eq!(client.create("/a", Persistent).await, Ok("/a".into()));
    assert_eq!(
        client.create("/a", Persistent).await,
        Err(ErrorCode::NodeExists)
    );
    let read = client.get("/a", false).await.unwrap();
    assert_eq!(read.data.as_deref(), Some(&b"data"[..]));
    assert_eq!((read.stat.version, read.stat.data_length), (0, 4));
    assert_eq!(client.set("/a", "new", 0).await.unwrap().version, 1);
    assert_eq!(client.set("/a", "new", 0).await, Err(ErrorCode::BadVersion));
    client.create("/a/b", Persistent).await.unwrap();
    assert_eq!(client.delete("/a", -1).await, Err(ErrorCode::NotEmpty));
    assert_eq!(client.children("/a", false).await.unwrap(), ["b"]);
    client.delete("/a/b", 0).await.unwrap();
    client.delete("/a", 1).await.unwrap();
    assert_eq!(client.exists("/a", false).await, Err(ErrorCode::NoNode));
}

#[tokio::test]
async fn failed_writes_take_a_zxid_and_reads_do_not() {
    let server = fresh().await;
    let mut client = server.client().await;
    client.create("/a", Persistent).await.unwrap();
    let before = client.zxid;
    assert_eq!(
        client.create("/a", Persistent).await,
        Err(ErrorCode::NodeExists)
    );
    assert_eq!(client.zxid, before + 1);
    client.exists("/a", false).await.unwrap();
    assert_eq!(client.zxid, before + 1);
}

#[tokio::test]
async fn sequence_numbers_count_all_children() {
    let server = fresh().await;
    let mut client = server.client().await;
    client.create("/a", Persistent).await.unwrap();
    let first = client.create("/a/s-", PersistentSequential).await.unwrap();
    client.create("/a/plain", Persistent).await.unwrap();
    let second = client.create("/a/s-", EphemeralSequential).await.unwrap();
    client.delete(&second, -1).await.unwrap();
    let third = client.create("/a/", PersistentSequential).await.unwrap();
    assert_eq!(first, "/a/s-0000000000");
    assert_eq!(second, "/a/s-0000000002");
    assert_eq!(third, "/a/0000000003");
}

#[tokio::test]
async fn a_multi_is_all_or_nothing() {
    let server = fresh().await;
    let mut client = server.client().await;
    let create = |path: &str| MultiOp::Create(create_request(path, Persistent));
    let check = |path: &str, version| {
        MultiOp::Check(CheckVersionRequest {
            path: path.into(),
            version,
        })
    };
    let results = client
        .multi(vec![create("/m"), create("/m/a"), check("/m", 0)])
        .await;
    assert!(matches!(&results[1], MultiResult::Create(PathResponse { path }) if path == "/m/a"));
    assert_eq!(results[2], MultiResult::Check);
    let results = client
        .multi(vec![create("/m/b"), check("/m", 7), create("/m/c")])
        .await;
    let codes = [
        0,
        ErrorCode::BadVersion.code(),
        ErrorCode::RuntimeInconsistency.code(),
    ];
    assert_eq!(results, codes.map(MultiResult::Error));
    assert_eq!(client.children("/m", false).await.unwrap(), ["a"]);
    assert_eq!(client.multi(vec![]).await, []);
}

/// Replies come in the order of the requests, also when reads are mixed into
/// writes that wait for the disk, and each read sees the writes before it.
#[tokio::test]
async fn a_pipeline_is_answered_in_order() {
    let server = fresh().await;
    let mut client = server.client().await;
    let mut sent = Vec::new();
    for n in 0..200 {
        let path = format!("/n{n}");
        sent.push(
            client
                .send(OpCode::Create, &create_request(&path, Persistent))
                .await,
        );
        let read = PathWatchRequest { path, watch: false };
        sent.push(client.send(OpCode::GetData, &read).await);
    }
    for xid in sent {
        let (answered, result) = client.receive().await.unwrap();
        assert_eq!(answered, xid);
        assert!(result.is_ok(), "{result:?}");
    }
}

#[tokio::test]
async fn acls_are_enforced_and_hashes_hidden() {
    let server = fresh().await;
    let mut owner = server.client().await;
    owner.authenticate("alice:secret").await.unwrap();
    let mut request = create_request("/private", Persistent);
    request.acl = vec![
        Acl::new(perms::ALL, Id::new("auth", "")),
        Acl::new(perms::READ, Id::new("ip", "127.0.0.0/8")),
    ];
    owner.call(OpCode::Create, &request).await.unwrap();
    let mut other = server.client().await;
    other.get("/private", false).await.unwrap();
    assert_eq!(other.set("/private", "x", -1).await, Err(ErrorCode::NoAuth));
    let get_acl = PathRequest {
        path: "/private".into(),
    };
    let shown = other.call(OpCode::GetAcl, &get_acl).await.unwrap();
    let shown = <GetAclResponse as common::jute::Record>::from_bytes(shown).unwrap();
    assert_eq!(shown.acl[0].id.id, "alice:x");
    other.authenticate("alice:secret").await.unwrap();
    other.set("/private", "x", -1).await.unwrap();
    request.path = "/refused".into();
    request.acl = vec![Acl::new(perms::ALL, Id::new("sasl", "kafka"))];
    let refused = other.call(OpCode::Create, &request).await;
    assert_eq!(refused, Err(ErrorCode::InvalidAcl));
}

#[tokio::test]
async fn small_questions() {
    let server = fresh().await;
    let mut client = server.client().await;
    client.create("/e1", Ephemeral).await.unwrap();
    client.create("/e1x", Ephemeral).await.unwrap();
    let prefix = GetEphemeralsRequest {
        prefix: "/e1x".into(),
    };
    let found = client.call(OpCode::GetEphemerals, &prefix).await.unwrap();
    let found = <GetEphemeralsResponse as common::jute::Record>::from_bytes(found).unwrap();
    assert_eq!(found.ephemerals, ["/e1x"]);
    let sync = PathRequest {
        path: "/nowhere".into(),
    };
    let synced = client.call(OpCode::Sync, &sync).await.unwrap();
    let synced = <PathResponse as common::jute::Record>::from_bytes(synced).unwrap();
    assert_eq!(synced.path, "/nowhere");
    let who = client.call(OpCode::WhoAmI, &Empty).await.unwrap();
    let who = <WhoAmIResponse as common::jute::Record>::from_bytes(who).unwrap();
    assert_eq!(who.client_info[0].user, "127.0.0.1");
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let server = fresh().await;
    let mut client = server.client().await;
    // Known but not offered: the connection stays.
    let request = ReconfigRequest {
        joining_servers: None,
        leaving_servers: None,
        new_members: None,
        current_config_id: -1,
    };
    let refused = client.call(OpCode::Reconfig, &request).await;
    assert_eq!(refused, Err(ErrorCode::ReconfigDisabled));
    // A body that cannot be decoded: the connection stays.
    client
        .send_raw(OpCode::Create.code(), &[0, 0, 0, 9, b'/'])
        .await;
    let (_, answer) = client.receive().await.unwrap();
    assert_eq!(answer, Err(ErrorCode::MarshallingError));
    // An unknown operation: it is answered, and the connection ends.
    client.send_raw(4711, &[]).await;
    let (_, answer) = client.receive().await.unwrap();
    assert_eq!(answer, Err(ErrorCode::Unimplemented));
    client.closed().await;
}
