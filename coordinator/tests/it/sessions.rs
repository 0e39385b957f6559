use bytes::Bytes;
use common::zk::CreateMode::*;
use common::zk::*;

use crate::client::*;

#[tokio::test]
async fn the_timeout_is_negotiated_and_the_read_only_byte_mirrored() {
    let server = fresh().await;
    let address = server.daemon.client_address();
    for (asked, given) in [(1, 400), (5000, 5000), (i32::MAX, 60_000)] {
        let client = TestClient::open(address, hello(asked)).await.unwrap();
        assert_eq!(client.welcome.timeout_ms, given);
        assert_eq!(client.welcome.read_only, Some(false));
    }
    let old = ConnectRequest {
        read_only: None,
        ..hello(5000)
    };
    let client = TestClient::open(address, old).await.unwrap();
    assert_eq!(client.welcome.read_only, None);
}

#[tokio::test]
async fn a_silent_session_expires_with_its_ephemerals() {
    let server = fresh().await;
    let address = server.daemon.client_address();
    let mut watcher = server.client().await;
    let mut silent = TestClient::open(address, hello(400)).await.unwrap();
    silent.create("/e", Ephemeral).await.unwrap();
    let stat = watcher.exists("/e", true).await.unwrap();
    assert_eq!(stat.ephemeral_owner, silent.session());
    let gone = patient(watcher.event()).await;
    assert_eq!(
        (gone.event, gone.path.as_str()),
        (EventType::NodeDeleted, "/e")
    );
    silent.closed().await;
    // The session cannot be taken up again.
    let refused = TestClient::open(address, silent.again()).await.unwrap();
    assert_eq!((refused.welcome.timeout_ms, refused.session()), (0, 0));
    assert_eq!(
        refused.welcome.password,
        Some(Bytes::from(vec![0; PASSWORD_LEN]))
    );
}

#[tokio::test]
async fn pings_keep_a_session_alive() {
    let server = fresh().await;
    let mut client = TestClient::open(server.daemon.client_address(), hello(400))
        .await
        .unwrap();
    let mut watcher = server.client().await;
    client.create("/e", Ephemeral).await.unwrap();
    // Another silent session expires meanwhile, which shows that time has passed.
    let mut silent = TestClient::open(server.daemon.client_address(), hello(800))
        .await
        .unwrap();
    silent.create("/silent", Ephemeral).await.unwrap();
    watcher.exists("/silent", true).await.unwrap();
    while watcher.events.is_empty() {
        client.call(OpCode::Ping, &Empty).await.unwrap();
        watcher.call(OpCode::Ping, &Empty).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(watcher.exists("/e", false).await.is_ok());
}

#[tokio::test]
async fn a_session_moves_and_its_older_socket_is_closed() {
    let server = fresh().await;
    let mut first = server.client().await;
    first.create("/e", Ephemeral).await.unwrap();
    let again = first.again();
    let mut second = TestClient::open(server.daemon.client_address(), again)
        .await
        .unwrap();
    assert_eq!(second.session(), first.session());
    first.closed().await;
    assert!(second.exists("/e", false).await.is_ok());
}

#[tokio::test]
async fn a_wrong_password_gets_no_session() {
    let server = fresh().await;
    let first = server.client().await;
    let mut forged = first.again();
    forged.password = Some(Bytes::from(vec![1; PASSWORD_LEN]));
    let refused = TestClient::open(server.daemon.client_address(), forged)
        .await
        .unwrap();
    assert_eq!((refused.welcome.timeout_ms, refused.session()), (0, 0));
}

#[tokio::test]
async fn a_client_from_the_future_is_sent_away_without_a_word() {
    let server = fresh().await;
    let ahead = ConnectRequest {
        last_zxid_seen: 1 << 40,
        ..hello(5000)
    };
    assert!(
        TestClient::open(server.daemon.client_address(), ahead)
            .await
            .is_none()
    );
}

#[tokio::test]
async fn closing_answers_deletes_and_ends() {
    let server = fresh().await;
    let mut client = server.client().await;
    client.create("/e", Ephemeral).await.unwrap();
    client.call(OpCode::CloseSession, &Empty).await.unwrap();
    client.closed().await;
    let mut other = server.client().await;
    assert_eq!(other.exists("/e", false).await, Err(ErrorCode::NoNode));
    assert_eq!(other.exists("/", false).await.unwrap().pzxid, client.zxid);
}

#[tokio::test]
async fn sessions_survive_a_crash_and_get_their_full_timeout_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut client = TestClient::connect(server.client_address()).await;
    client.create("/e", Ephemeral).await.unwrap();
    let mut silent = TestClient::open(server.client_address(), hello(600))
        .await
        .unwrap();
    silent.create("/silent", Ephemeral).await.unwrap();
    server.kill().await;

    let server = start(dir.path()).await;
    assert_eq!(server.recovery().sessions, 2);
    let mut back = TestClient::open(server.client_address(), client.again())
        .await
        .unwrap();
    assert_eq!(back.session(), client.session());
    assert!(back.exists("/e", false).await.is_ok());
    // Nobody comes back to the other one.
    if back.exists("/silent", true).await.is_ok() {
        assert_eq!(patient(back.event()).await.path, "/silent");
    }
    assert!(back.exists("/e", false).await.is_ok());
}
