use common::zk::CreateMode::*;
use common::zk::ErrorCode;

use crate::client::*;

const QUICK: (&str, &str) = ("znode.container.checkIntervalMs", "20");

#[tokio::test]
async fn an_empty_container_is_removed_and_its_watchers_are_told() {
    let server = fresh_with(&[QUICK]).await;
    let mut client = server.client().await;
    let stat = client.create_removable("/c", None).await.unwrap();
    assert_eq!((stat.ephemeral_owner, stat.version), (0, 0));
    client.create("/c/child", Ephemeral).await.unwrap();
    client.exists("/c", true).await.unwrap();
    client.delete("/c/child", -1).await.unwrap();
    let event = client.event().await;
    assert_eq!(
        (event.event, event.path.as_str()),
        (common::zk::EventType::NodeDeleted, "/c")
    );
    assert_eq!(client.exists("/c", false).await, Err(ErrorCode::NoNode));
}

#[tokio::test]
async fn a_node_outlives_its_time_to_live_only_with_children() {
    let server = fresh_with(&[QUICK, ("extendedTypesEnabled", "true")]).await;
    let mut client = server.client().await;
    client.create_removable("/kept", Some(1)).await.unwrap();
    client.create("/kept/child", Persistent).await.unwrap();
    client.create_removable("/gone", Some(1)).await.unwrap();
    if client.exists("/gone", true).await.is_ok() {
        assert_eq!(client.event().await.path, "/gone");
    }
    assert!(client.exists("/kept", false).await.is_ok());
}

/// What removes them after a restart is found in the snapshot or in the log.
#[tokio::test]
async fn removable_nodes_survive_a_restart_as_such() {
    let server = fresh_with(&[("extendedTypesEnabled", "true")]).await;
    let mut client = server.client().await;
    client.create_removable("/c", None).await.unwrap();
    client.create("/c/child", Persistent).await.unwrap();
    client.delete("/c/child", -1).await.unwrap();
    client.create_removable("/t", Some(1)).await.unwrap();
    server.daemon.stop().await.unwrap();
    let config = coordinator::Config::for_tests_with(server.dir.path(), &[QUICK]);
    let daemon = coordinator::start(config).await.unwrap();
    let mut client = TestClient::connect(daemon.client_address()).await;
    for path in ["/c", "/t"] {
        if client.exists(path, true).await.is_ok() {
            client.event().await;
        }
        assert_eq!(
            client.exists(path, false).await,
            Err(ErrorCode::NoNode),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_time_to_live_needs_the_extended_types() {
    let server = fresh().await;
    let mut client = server.client().await;
    let refused = client.create_removable("/t", Some(1000)).await;
    assert_eq!(refused, Err(ErrorCode::Unimplemented));
}
