//! The ZooKeeper client against a server: operations, order, sessions, watches.

use std::time::Duration;

use broker::zk::{
    ANY_VERSION, Client, CreateMode, Error, ErrorCode, EventType, OpResult, SessionToken, State,
    Transaction,
};
use bytes::Bytes;

use crate::support::{LIMIT, Proxy, Space, connected, eventually, expire};

fn data(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

async fn until(client: &Client, state: State) {
    let mut status = client.status();
    let reached =
        tokio::time::timeout(LIMIT, status.wait_for(|status| status.state == state)).await;
    reached
        .unwrap_or_else(|_| panic!("never became {state:?}"))
        .unwrap();
}

#[tokio::test]
async fn every_operation_does_what_it_says() {
    let space = Space::new().await;
    let client = space.client().await;
    let persistent = CreateMode::Persistent;
    assert_eq!(
        client.create("/a", data("1"), persistent).await.unwrap(),
        "/a"
    );
    let again = client.create("/a", None, persistent).await;
    assert!(again.unwrap_err().is(ErrorCode::NodeExists));
    let sequential = CreateMode::PersistentSequential;
    let first = client.create("/a/s-", data("x"), sequential).await.unwrap();
    assert_eq!(first, "/a/s-0000000000");
    let ephemeral = client
        .create("/a/e", None, CreateMode::Ephemeral)
        .await
        .unwrap();
    let stat = client.exists(&ephemeral, None).await.unwrap().unwrap();
    assert_eq!(
        Some(stat.ephemeral_owner),
        client.session().map(|session| session.id)
    );
    assert_eq!(client.exists("/none", None).await.unwrap(), None);

    let (value, stat) = client.get_data("/a", None).await.unwrap();
    assert_eq!(
        (&value[..], stat.version, stat.num_children),
        (&b"1"[..], 0, 2)
    );
    let stat = client
        .set_data("/a", Bytes::from_static(b"2"), 0)
        .await
        .unwrap();
    assert_eq!(stat.version, 1);
    let stale = client.set_data("/a", Bytes::new(), 0).await;
    assert!(stale.unwrap_err().is(ErrorCode::BadVersion));
    let (mut children, _) = client.get_children("/a", None).await.unwrap();
    children.sort();
    assert_eq!(children, ["e", "s-0000000000"]);

    let (acl, stat) = client.get_acl("/a").await.unwrap();
    client
        .set_acl("/a", acl.clone(), stat.aversion)
        .await
        .unwrap();
    assert_eq!(client.get_acl("/a").await.unwrap().1.aversion, 1);
    client.sync("/a").await.unwrap();
    assert!(
        client
            .delete("/a", ANY_VERSION)
            .await
            .unwrap_err()
            .is(ErrorCode::NotEmpty)
    );
    client.delete("/a/e", ANY_VERSION).await.unwrap();
    assert!(
        client
            .get_data("/a/e", None)
            .await
            .unwrap_err()
            .is(ErrorCode::NoNode)
    );
    client.close().await;
    assert_eq!(client.exists("/a", None).await, Err(Error::Closed));
}

#[tokio::test]
async fn a_request_that_the_server_would_choke_on_is_not_sent() {
    let space = Space::new().await;
    let client = space.client().await;
    let huge = Some(Bytes::from(vec![b'x'; 1 << 20]));
    let refused = client.create("/huge", huge, CreateMode::Persistent).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { .. })),
        "{refused:?}"
    );
    assert_eq!(client.exists("/huge", None).await.unwrap(), None);
    let large = Some(Bytes::from(vec![b'x'; 900_000]));
    client
        .create("/large", large, CreateMode::Persistent)
        .await
        .unwrap();
    let (data, _) = client.get_data("/large", None).await.unwrap();
    assert_eq!(data.len(), 900_000);
}

#[tokio::test]
async fn transactions_are_all_or_nothing() {
    let space = Space::new().await;
    let client = space.client().await;
    let transaction = Transaction::new()
        .create("/t", None, CreateMode::Persistent)
        .set_data("/t", Bytes::from_static(b"v"), 0)
        .check("/t", 1);
    let results = client.commit(transaction).await.unwrap();
    assert_eq!(results[0], OpResult::Created("/t".into()));
    assert!(matches!(results[1], OpResult::Set(stat) if stat.version == 1));
    assert_eq!(results[2], OpResult::Checked);

    let refused = Transaction::new()
        .create("/u", None, CreateMode::Persistent)
        .check("/t", 9)
        .delete("/t", ANY_VERSION);
    let error = client.commit(refused).await.unwrap_err();
    assert_eq!(error.culprit, Some(1));
    assert!(error.error.is(ErrorCode::BadVersion));
    assert_eq!(client.exists("/u", None).await.unwrap(), None);
    assert!(client.exists("/t", None).await.unwrap().is_some());
}

#[tokio::test]
async fn pipelined_requests_keep_their_order() {
    let space = Space::new().await;
    let client = space.client().await;
    client
        .create("/n", None, CreateMode::Persistent)
        .await
        .unwrap();
    let write = |i| Box::pin(client.set_data("/n", Bytes::from(format!("{i}")), i));
    let mut writes: Vec<_> = (0..100).map(write).collect();
    // Submitted in this order: each is polled once before any is awaited.
    std::future::poll_fn(|context| {
        for write in &mut writes {
            assert!(write.as_mut().poll(context).is_pending());
        }
        std::task::Poll::Ready(())
    })
    .await;
    for (i, write) in (1..).zip(writes) {
        assert_eq!(write.await.unwrap().version, i);
    }
}

#[tokio::test]
async fn an_event_is_seen_before_the_change_it_tells_of() {
    let space = Space::new().await;
    let (reader, writer) = (space.client().await, space.client().await);
    reader
        .create("/w", data("0"), CreateMode::Persistent)
        .await
        .unwrap();
    for round in 1..=50 {
        let watcher = reader.watcher();
        reader.get_data("/w", Some(&watcher)).await.unwrap();
        let value = Bytes::from(format!("{round}"));
        let write = writer.set_data("/w", value.clone(), ANY_VERSION);
        let read = async {
            while reader.get_data("/w", None).await.unwrap().0 != value {}
            let event = watcher.try_next().expect("the event came before the data");
            assert_eq!(
                (event.kind, event.path.as_str()),
                (EventType::NodeDataChanged, "/w")
            );
        };
        let (written, ()) = tokio::join!(write, read);
        written.unwrap();
        assert_eq!(watcher.try_next(), None, "watches fire once");
    }
}

#[tokio::test]
async fn watches_tell_creation_deletion_and_children() {
    let space = Space::new().await;
    let client = space.client().await;
    let watcher = client.watcher();
    client.exists("/x", Some(&watcher)).await.unwrap();
    client
        .create("/x", None, CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(watcher.next().await.kind, EventType::NodeCreated);
    client.get_children("/x", Some(&watcher)).await.unwrap();
    client
        .create("/x/y", None, CreateMode::Persistent)
        .await
        .unwrap();
    assert_eq!(watcher.next().await.kind, EventType::NodeChildrenChanged);
    client.exists("/x/y", Some(&watcher)).await.unwrap();
    client.delete("/x/y", ANY_VERSION).await.unwrap();
    let event = watcher.next().await;
    assert_eq!(
        (event.kind, event.path.as_str()),
        (EventType::NodeDeleted, "/x/y")
    );
}

#[tokio::test]
async fn a_cut_connection_keeps_session_and_watches() {
    let space = Space::new().await;
    let proxy = Proxy::start(&space.servers).await;
    let config = space.config_at(&proxy.address.to_string());
    let client = connected(Client::connect(config)).await;
    let other = space.client().await;
    let watcher = client.watcher();
    client
        .create("/e", None, CreateMode::Ephemeral)
        .await
        .unwrap();
    other
        .create("/d", data("0"), CreateMode::Persistent)
        .await
        .unwrap();
    client.get_data("/d", Some(&watcher)).await.unwrap();
    client.get_children("/", Some(&watcher)).await.unwrap();
    client.exists("/later", Some(&watcher)).await.unwrap();
    let session = client.session();

    proxy.cut();
    until(&client, State::Disconnected).await;
    let lost = client.set_data("/d", Bytes::new(), ANY_VERSION).await;
    assert_eq!(lost, Err(Error::ConnectionLoss));
    other
        .set_data("/d", Bytes::from_static(b"1"), ANY_VERSION)
        .await
        .unwrap();
    proxy.mend();
    let read = client.retry(|| client.get_data("/d", None)).await.unwrap();
    assert_eq!(&read.0[..], b"1");
    let event = watcher.next().await;
    assert_eq!(
        (event.kind, event.path.as_str()),
        (EventType::NodeDataChanged, "/d")
    );
    assert_eq!(client.session(), session, "the session was re-attached");
    assert_eq!(client.generation(), 1);
    assert!(other.exists("/e", None).await.unwrap().is_some());

    // Watches that did not fire were set again.
    other
        .create("/later", None, CreateMode::Persistent)
        .await
        .unwrap();
    let mut seen = [watcher.next().await, watcher.next().await];
    seen.sort_by(|a, b| a.path.cmp(&b.path));
    let seen: Vec<_> = seen
        .iter()
        .map(|event| (event.kind, event.path.as_str()))
        .collect();
    let expected = [
        (EventType::NodeChildrenChanged, "/"),
        (EventType::NodeCreated, "/later"),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn an_expired_session_waits_for_its_owner() {
    let space = Space::new().await;
    let (client, other) = (space.client().await, space.client().await);
    client
        .create("/e", None, CreateMode::Ephemeral)
        .await
        .unwrap();
    expire(&space, &client).await;
    until(&client, State::Expired).await;
    assert_eq!(client.exists("/e", None).await, Err(Error::SessionExpired));
    assert_eq!(
        other.exists("/e", None).await.unwrap(),
        None,
        "ephemeral nodes went with it"
    );
    client.renew().await.unwrap();
    until(&client, State::Connected).await;
    assert_eq!(client.generation(), 2);
    client
        .create("/e", None, CreateMode::Ephemeral)
        .await
        .unwrap();
}

#[tokio::test]
async fn another_process_can_take_a_session_over() {
    let space = Space::new().await;
    let proxy = Proxy::start(&space.servers).await;
    let config = space.config_at(&proxy.address.to_string());
    let first = connected(Client::connect(config)).await;
    first
        .create("/e", None, CreateMode::Ephemeral)
        .await
        .unwrap();
    let token = first.session();
    proxy.cut();
    let second = connected(Client::connect_with(space.config(), token.clone())).await;
    assert_eq!(second.session(), token);
    assert!(second.exists("/e", None).await.unwrap().is_some());

    let unknown = SessionToken {
        id: 0x7777_0000,
        password: [7; 16],
    };
    let third = connected(Client::connect_with(space.config(), Some(unknown.clone()))).await;
    assert_ne!(
        third.session(),
        Some(unknown),
        "an unknown session is replaced"
    );
    second.close().await;
    eventually("the node of the closed session goes", || async {
        third.exists("/e", None).await.unwrap().is_none()
    })
    .await;
}

#[tokio::test]
async fn the_next_server_is_tried() {
    let space = Space::new().await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = closed.local_addr().unwrap();
    drop(closed);
    for _ in 0..3 {
        let config = space.config_at(&format!("{dead},{}", space.servers));
        let client = connected(Client::connect(config)).await;
        client.exists("/", None).await.unwrap();
        client.close().await;
    }
}

#[tokio::test]
async fn pings_keep_an_idle_session_alive() {
    let space = Space::new().await;
    let mut config = space.config();
    config.session_timeout = Duration::from_secs(1);
    let client = connected(Client::connect(config)).await;
    let other = space.client().await;
    client
        .create("/e", None, CreateMode::Ephemeral)
        .await
        .unwrap();
    let watcher = other.watcher();
    other.exists("/e", Some(&watcher)).await.unwrap();
    let idle = tokio::time::timeout(client.session_timeout() * 3, watcher.next()).await;
    assert!(idle.is_err(), "the node went: {idle:?}");
    assert_eq!(client.generation(), 1);
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let space = Space::new().await;
    let proxy = Proxy::start(&space.servers).await;
    let mut config = space.config_at(&proxy.address.to_string());
    config.session_timeout = Duration::from_secs(2);
    let client = connected(Client::connect(config)).await;
    let session = client.session();
    proxy.stall();
    let read = client.exists("/", None).await;
    assert_eq!(read, Err(Error::ConnectionLoss));
    client.retry(|| client.exists("/", None)).await.unwrap();
    assert_eq!(client.session(), session);
}
