//! A session whose process is dead is closed at once, and no other.

use common::zk::CreateMode::*;
use common::zk::*;
use tokio::net::TcpListener;

use crate::client::*;

const LONG_MS: i32 = 60_000;

/// A client that listens at a port, and has an ephemeral node.
async fn listening(server: &Fresh) -> (TestClient, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let request = ConnectRequest {
        listens_at: Some(listener.local_addr().unwrap().port()),
        ..hello(LONG_MS)
    };
    let address = server.daemon.client_address();
    let mut client = TestClient::open(address, request).await.unwrap();
    // The server knocks once; only then the port counts.
    listener.accept().await.unwrap();
    client.create("/e", Ephemeral).await.unwrap();
    (client, listener)
}

/// Whether `/e` is still there after a session of 400 ms came and expired.
async fn outlives_a_short_session(server: &Fresh) -> bool {
    let mut watcher = server.client().await;
    let address = server.daemon.client_address();
    let mut silent = TestClient::open(address, hello(400)).await.unwrap();
    silent.create("/silent", Ephemeral).await.unwrap();
    watcher.exists("/silent", true).await.unwrap();
    patient(watcher.event()).await;
    watcher.exists("/e", false).await.is_ok()
}

#[tokio::test]
async fn a_dead_process_loses_its_session_at_once() {
    let server = fresh().await;
    let (client, listener) = listening(&server).await;
    let mut watcher = server.client().await;
    watcher.exists("/e", true).await.unwrap();
    let again = client.again();
    drop(listener);
    drop(client);
    let gone = patient(watcher.event()).await;
    assert_eq!(
        (gone.event, gone.path.as_str()),
        (EventType::NodeDeleted, "/e")
    );
    let address = server.daemon.client_address();
    let refused = TestClient::open(address, again).await.unwrap();
    assert_eq!(refused.session(), 0);
}

#[tokio::test]
async fn a_process_that_listens_keeps_its_session_without_a_connection() {
    let server = fresh().await;
    let (client, listener) = listening(&server).await;
    drop(client);
    assert!(outlives_a_short_session(&server).await);
    drop(listener);
}

#[tokio::test]
async fn a_connection_that_lasts_keeps_the_session_without_a_port() {
    let server = fresh().await;
    let (mut client, listener) = listening(&server).await;
    drop(listener);
    assert!(outlives_a_short_session(&server).await);
    client.exists("/e", false).await.unwrap();
}

#[tokio::test]
async fn whoever_comes_back_is_alive() {
    let server = fresh().await;
    let (client, listener) = listening(&server).await;
    let address = server.daemon.client_address();
    // A second connection takes the session over; the first ends after it.
    let again = ConnectRequest {
        listens_at: None,
        ..client.again()
    };
    let mut second = TestClient::open(address, again).await.unwrap();
    assert_eq!(second.session(), client.session());
    drop(listener);
    drop(client);
    assert!(outlives_a_short_session(&server).await);
    second.exists("/e", false).await.unwrap();
}

/// Behind an address translator the port never answers: its refusal says
/// nothing.
#[tokio::test]
async fn a_port_that_never_answered_is_no_proof() {
    let server = fresh().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let request = ConnectRequest {
        listens_at: Some(port),
        ..hello(LONG_MS)
    };
    let address = server.daemon.client_address();
    let mut client = TestClient::open(address, request).await.unwrap();
    client.create("/e", Ephemeral).await.unwrap();
    drop(client);
    assert!(outlives_a_short_session(&server).await);
}

/// Clients of others say nothing of ports, and wait for the timeout.
#[tokio::test]
async fn a_client_that_names_no_port_keeps_its_session() {
    let server = fresh().await;
    let address = server.daemon.client_address();
    let mut client = TestClient::open(address, hello(LONG_MS)).await.unwrap();
    client.create("/e", Ephemeral).await.unwrap();
    drop(client);
    assert!(outlives_a_short_session(&server).await);
}
