use common::zk::CreateMode::*;
use common::zk::EventType::*;
use common::zk::*;

use crate::client::*;

#[tokio::test]
async fn one_shot_watches_fire_once_with_their_transaction() {
    let server = fresh().await;
    let (mut watcher, mut writer) = (server.client().await, server.client().await);
    assert_eq!(watcher.exists("/a", true).await, Err(ErrorCode::NoNode));
    watcher.children("/", true).await.unwrap();
    writer.create("/a", Persistent).await.unwrap();
    let created = watcher.event().await;
    assert_eq!((created.event, created.path.as_str()), (NodeCreated, "/a"));
    assert_eq!(created.zxid, writer.zxid);
    let children = watcher.event().await;
    assert_eq!(
        (children.event, children.path.as_str()),
        (NodeChildrenChanged, "/")
    );
    writer.set("/a", "x", -1).await.unwrap();
    watcher.get("/a", true).await.unwrap();
    writer.set("/a", "y", -1).await.unwrap();
    assert_eq!(watcher.event().await.event, NodeDataChanged);
    writer.set("/a", "z", -1).await.unwrap();
    // A read of the newest state would be behind any event.
    assert_eq!(watcher.get("/a", false).await.unwrap().stat.version, 3);
    assert!(watcher.events.is_empty());
}

#[tokio::test]
async fn a_watcher_of_node_and_children_hears_of_a_deletion_once() {
    let server = fresh().await;
    let (mut watcher, mut writer) = (server.client().await, server.client().await);
    writer.create("/a", Persistent).await.unwrap();
    watcher.get("/a", true).await.unwrap();
    watcher.children("/a", true).await.unwrap();
    writer.delete("/a", -1).await.unwrap();
    assert_eq!(watcher.event().await.event, NodeDeleted);
    watcher.exists("/a", false).await.unwrap_err();
    assert!(watcher.events.is_empty());
}

/// Whoever sees a new value in a reply has seen the event before.
#[tokio::test]
async fn events_come_before_replies_that_show_the_change() {
    let server = fresh().await;
    let (mut watcher, mut writer) = (server.client().await, server.client().await);
    writer.create("/a", Persistent).await.unwrap();
    for round in 0..200 {
        let before = watcher.get("/a", true).await.unwrap().stat.version;
        assert_eq!(before, round);
        writer
            .send(
                OpCode::SetData,
                &SetDataRequest {
                    path: "/a".into(),
                    data: None,
                    version: -1,
                },
            )
            .await;
        loop {
            let now = watcher.get("/a", false).await.unwrap().stat.version;
            if now != before {
                assert_eq!(
                    watcher.events.pop_front().map(|e| e.event),
                    Some(NodeDataChanged)
                );
                break;
            }
            assert!(watcher.events.is_empty());
        }
        writer.receive().await.unwrap().1.unwrap();
    }
}

#[tokio::test]
async fn persistent_and_recursive_watches() {
    let server = fresh().await;
    let (mut watcher, mut writer) = (server.client().await, server.client().await);
    let persistent = AddWatchRequest {
        path: "/p".into(),
        mode: 0,
    };
    let answer = watcher.call(OpCode::AddWatch, &persistent).await.unwrap();
    assert_eq!(&answer[..], [0, 0, 0, 0]);
    let recursive = AddWatchRequest {
        path: "/r".into(),
        mode: 1,
    };
    watcher.call(OpCode::AddWatch, &recursive).await.unwrap();
    for path in ["/p", "/p/x", "/r", "/r/y"] {
        writer.create(path, Persistent).await.unwrap();
    }
    writer.set("/p", "", -1).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let event = watcher.event().await;
        seen.push((event.event, event.path));
    }
    let expected = [
        (NodeCreated, "/p"),
        (NodeChildrenChanged, "/p"),
        (NodeCreated, "/r"),
        (NodeCreated, "/r/y"),
        (NodeDataChanged, "/p"),
    ];
    assert_eq!(seen, expected.map(|(event, path)| (event, path.to_owned())));
    let request = CheckWatchesRequest {
        path: "/p".into(),
        watcher_type: WatcherType::Persistent.code(),
    };
    watcher.call(OpCode::CheckWatches, &request).await.unwrap();
    watcher.call(OpCode::RemoveWatches, &request).await.unwrap();
    let gone = watcher.call(OpCode::CheckWatches, &request).await;
    assert_eq!(gone, Err(ErrorCode::NoWatcher));
}

#[tokio::test]
async fn a_client_that_was_away_hears_what_it_missed() {
    let server = fresh().await;
    let mut writer = server.client().await;
    writer.create("/changed", Persistent).await.unwrap();
    writer.create("/same", Persistent).await.unwrap();
    let seen = writer.zxid;
    writer.set("/changed", "x", -1).await.unwrap();
    writer.create("/born", Persistent).await.unwrap();
    let mut client = server.client().await;
    let request = SetWatches {
        relative_zxid: seen,
        data_watches: vec!["/changed".into(), "/same".into(), "/gone".into()],
        exist_watches: vec!["/born".into(), "/unborn".into()],
        child_watches: vec!["/".into()],
    };
    client.call(OpCode::SetWatches, &request).await.unwrap();
    // They are there before the reply.
    let missed: Vec<_> = client
        .events
        .drain(..)
        .map(|e| (e.event, e.path, e.zxid))
        .collect();
    let expected = [
        (NodeDataChanged, "/changed"),
        (NodeDeleted, "/gone"),
        (NodeCreated, "/born"),
        (NodeChildrenChanged, "/"),
    ];
    assert_eq!(
        missed,
        expected.map(|(event, path)| (event, path.to_owned(), -1))
    );
    writer.set("/same", "x", -1).await.unwrap();
    assert_eq!(client.event().await.path, "/same");
}

#[tokio::test]
async fn who_may_not_read_is_not_told() {
    let server = fresh().await;
    let (mut watcher, mut writer) = (server.client().await, server.client().await);
    watcher.exists("/private", true).await.unwrap_err();
    watcher.exists("/public", true).await.unwrap_err();
    writer.authenticate("a:b").await.unwrap();
    let mut request = create_request("/private", Persistent);
    request.acl = vec![Acl::new(perms::ALL, Id::new("auth", ""))];
    writer.call(OpCode::Create, &request).await.unwrap();
    writer.create("/public", Persistent).await.unwrap();
    assert_eq!(watcher.event().await.path, "/public");
}
