//! Who becomes the controller, and what happens when it goes.

use std::sync::Arc;

use broker::registry::{Election, Error, FencedWrite, Registry};

use crate::support::{LIMIT, Node, RecordingChannel, Space, eventually, expire, registration};

#[tokio::test]
async fn one_of_two_contenders_wins_and_the_other_follows() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let first = Node::start(&space, 1, &channel).await;
    first.until_active().await;
    let second = Node::start(&space, 2, &channel).await;
    eventually("the second knows the controller", || async {
        second.controller.controller_id() == Some(1)
    })
    .await;
    assert_eq!(first.controller.epoch(), Some(1));
    assert!(!second.controller.is_active());

    first.stop().await;
    second.until_active().await;
    assert_eq!(second.controller.epoch(), Some(2));
    assert_eq!(second.controller.controller_id(), Some(2));
    let node = second.registry.controller(None).await.unwrap().unwrap();
    assert_eq!((node.broker, node.kraft_controller_epoch), (2, None));
    second.stop().await;
}

#[tokio::test]
async fn an_expired_controller_resigns_and_competes_again() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let node = Node::start(&space, 1, &channel).await;
    node.until_active().await;
    let expired = node.client.session().map(|session| session.id);
    expire(&space, &node.client).await;
    eventually("it resigns", || async { !node.controller.is_active() }).await;

    node.client.renew().await.unwrap();
    node.client.wait_connected(LIMIT).await.unwrap();
    node.registry
        .register_broker(&registration(1), expired, LIMIT)
        .await
        .unwrap();
    node.controller.session_renewed().await;
    node.until_active().await;
    assert_eq!(node.controller.epoch(), Some(2));
    node.stop().await;
}

#[tokio::test]
async fn a_deleted_controller_node_starts_an_election() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let node = Node::start(&space, 1, &channel).await;
    node.until_active().await;
    space
        .client()
        .await
        .delete("/controller", -1)
        .await
        .unwrap();
    eventually("a new epoch", || async {
        node.controller.epoch() == Some(2)
    })
    .await;
    node.stop().await;
}

#[tokio::test]
async fn the_controller_of_an_earlier_run_in_this_session_is_replaced() {
    let space = Space::new().await;
    let channel = Arc::new(RecordingChannel::new());
    let client = space.client().await;
    let registry = Registry::new(client.clone(), common::clock::system());
    registry.ensure_paths().await.unwrap();
    assert!(matches!(registry.elect(1).await.unwrap(), Election::Won(_)));
    let other = Node::start(&space, 2, &channel).await;
    eventually("it follows", || async {
        other.controller.controller_id() == Some(1)
    })
    .await;
    assert!(registry.remove_own_controller().await.unwrap());
    assert!(!registry.remove_own_controller().await.unwrap());
    other.until_active().await;
    other.stop().await;
}

#[tokio::test]
async fn only_the_latest_controller_can_write() {
    let space = Space::new().await;
    let registry = Registry::new(space.client().await, common::clock::system());
    registry.ensure_paths().await.unwrap();
    let Election::Won(old) = registry.elect(1).await.unwrap() else {
        panic!("nobody else competes");
    };
    assert_eq!(registry.elect(2).await.unwrap(), Election::Lost);
    registry.resign(old).await.unwrap();
    let Election::Won(new) = registry.elect(2).await.unwrap() else {
        panic!("nobody else competes");
    };
    assert_eq!(new.epoch, old.epoch + 1);
    let write = FencedWrite::Create {
        path: "/fenced".into(),
        data: None,
    };
    let refused = registry.write_fenced(old, &write).await;
    assert!(matches!(refused, Err(Error::ControllerMoved)));
    registry.write_fenced(new, &write).await.unwrap();
    // An outdated controller that resigns does not disturb the new one.
    registry.resign(old).await.unwrap();
    assert!(registry.controller(None).await.unwrap().is_some());
}
