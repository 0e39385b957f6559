//! Kafka's znodes on a server: boot, registration, topics, ids, feeds.

use std::time::Duration;

use broker::model::TopicName;
use broker::registry::assignment::Candidate;
use broker::registry::{
    ConfigEntity, ConfigFeed, CreateTopicError, DeleteTopicError, EntityType, Mode, NewTopic,
    Placement, RegisterError, Registry,
};
use broker::zk::Client;
use indexmap::IndexMap;

use crate::support::{LIMIT, Space, connected, expire, registration};

async fn registry(space: &Space) -> Registry {
    let registry = Registry::new(space.client().await, common::clock::system());
    registry.ensure_paths().await.unwrap();
    registry
}

fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic {
        name: TopicName::new(name).unwrap(),
        placement: Placement::Automatic {
            partitions,
            replication_factor: 1,
        },
        config: IndexMap::new(),
    }
}

fn one_broker() -> Vec<Candidate> {
    vec![Candidate { id: 1, rack: None }]
}

/// The feed is followed in a task of its own.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

async fn text(registry: &Registry, path: &str) -> String {
    let (data, _) = registry.client().get_data(path, None).await.unwrap();
    String::from_utf8(data.to_vec()).unwrap()
}

#[tokio::test]
async fn a_cluster_has_one_id() {
    let space = Space::new().await;
    let (a, b) = (registry(&space).await, registry(&space).await);
    let (id_a, id_b) = tokio::join!(a.cluster_id_or_create(), b.cluster_id_or_create());
    let id = id_a.unwrap();
    assert_eq!(id, id_b.unwrap());
    assert_eq!(id.len(), 22);
    assert_eq!(
        text(&a, "/cluster/id").await,
        format!(r#"{{"version":"1","id":"{id}"}}"#)
    );
    assert_eq!(a.cluster_id_or_create().await.unwrap(), id);
}

#[tokio::test]
async fn a_restarted_broker_waits_for_its_old_session() {
    let space = Space::new().await;
    let (old, new) = (registry(&space).await, registry(&space).await);
    let first = old
        .register_broker(&registration(1), None, Duration::ZERO)
        .await
        .unwrap();
    let same = registration(1);

    let refused = new
        .register_broker(&same, None, Duration::ZERO)
        .await
        .unwrap_err();
    assert!(matches!(refused, RegisterError::Occupied { id: 1, .. }));
    let words =
        "Error while creating ephemeral at /brokers/ids/1, node already exists and owner '0x";
    assert!(refused.to_string().starts_with(words), "{refused}");

    let (second, ()) = tokio::join!(
        new.register_broker(&same, None, LIMIT),
        old.client().close()
    );
    let second = second.unwrap();
    assert!(second > first, "a new registration has a new epoch");
    assert_eq!(new.broker(1, None).await.unwrap(), Some((same, second)));
    new.deregister(1).await.unwrap();
    assert_eq!(new.broker(1, None).await.unwrap(), None);
}

#[tokio::test]
async fn a_reattached_session_gets_a_new_broker_epoch() {
    let space = Space::new().await;
    let old = registry(&space).await;
    let mut broker = registration(1);
    let first = old
        .register_broker(&broker, None, Duration::ZERO)
        .await
        .unwrap();
    let again = old
        .register_broker(&broker, None, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(again, first, "the same start keeps its registration");

    let client = Client::connect_with(space.config(), old.client().session());
    let new = Registry::new(connected(client).await, common::clock::system());
    broker.timestamp_ms += 1;
    let second = new
        .register_broker(&broker, None, Duration::ZERO)
        .await
        .unwrap();
    assert!(second > first);
}

#[tokio::test]
async fn a_renewed_session_registers_again() {
    let space = Space::new().await;
    let registry = registry(&space).await;
    let first = registry
        .register_broker(&registration(1), None, LIMIT)
        .await
        .unwrap();
    let expired = registry.client().session().map(|session| session.id);
    expire(&space, registry.client()).await;
    let mut status = registry.client().status();
    status
        .wait_for(|status| status.state == broker::zk::State::Expired)
        .await
        .unwrap();
    registry.client().renew().await.unwrap();
    registry.client().wait_connected(LIMIT).await.unwrap();
    let second = registry
        .register_broker(&registration(1), expired, LIMIT)
        .await
        .unwrap();
    assert!(second > first);
}

#[tokio::test]
async fn producer_id_blocks_never_overlap() {
    let space = Space::new().await;
    let (a, b) = (registry(&space).await, registry(&space).await);
    let mut starts = Vec::new();
    for _ in 0..10 {
        let (x, y) = tokio::join!(a.next_producer_id_block(1), b.next_producer_id_block(2));
        starts.extend([x.unwrap().start, y.unwrap().start]);
    }
    starts.sort_unstable();
    let expected: Vec<i64> = (0..20).map(|i| i * 1000).collect();
    assert_eq!(starts, expected);
}

#[tokio::test]
async fn topics_are_created_as_kafka_does() {
    let space = Space::new().await;
    let registry = registry(&space).await;
    let mut wanted = topic("a.b", 2);
    wanted.config.insert("retention.ms".into(), "1000".into());
    let dry = registry
        .create_topic(&wanted, &one_broker(), Mode::ValidateOnly)
        .await
        .unwrap();
    assert_eq!(dry.partitions.len(), 2);
    assert!(!registry.topic_exists(&wanted.name).await.unwrap());

    let created = registry
        .create_topic(&wanted, &one_broker(), Mode::Apply)
        .await
        .unwrap();
    assert_eq!(registry.topic(&wanted.name).await.unwrap(), Some(created));
    let config = text(&registry, "/config/topics/a.b").await;
    assert_eq!(config, r#"{"version":1,"config":{"retention.ms":"1000"}}"#);

    let refused = |name: &str| {
        let wanted = topic(name, 1);
        let registry = registry.clone();
        async move {
            registry
                .create_topic(&wanted, &one_broker(), Mode::Apply)
                .await
                .unwrap_err()
        }
    };
    assert_eq!(
        refused("a.b").await.to_string(),
        "Topic 'a.b' already exists."
    );
    assert_eq!(
        refused("a_b").await.to_string(),
        "Topic 'a_b' collides with existing topics: a.b"
    );
    registry.delete_topic(&wanted.name).await.unwrap();
    assert!(matches!(
        refused("a.b").await,
        CreateTopicError::MarkedForDeletion(_)
    ));
    let again = registry.delete_topic(&wanted.name).await.unwrap_err();
    assert!(matches!(again, DeleteTopicError::AlreadyMarked(_)));
    let unknown = registry
        .delete_topic(&TopicName::new("nope").unwrap())
        .await
        .unwrap_err();
    assert_eq!(unknown.to_string(), "Topic `nope` to delete does not exist");
}

#[tokio::test]
async fn config_changes_reach_every_follower_once_and_in_order() {
    let space = Space::new().await;
    let registry = registry(&space).await;
    let entity = |name: &str| ConfigEntity {
        entity_type: EntityType::Topics,
        name: name.into(),
    };
    let config = |value: &str| IndexMap::from([("retention.ms".to_owned(), value.to_owned())]);
    registry
        .change_config(&entity("before"), &config("0"))
        .await
        .unwrap();

    let mut feed = ConfigFeed::new(registry.clone());
    assert_eq!(feed.next().await.unwrap().entity, entity("before"));
    let writer = async {
        for (name, value) in [("a", "1"), ("b", "2")] {
            registry
                .change_config(&entity(name), &config(value))
                .await
                .unwrap();
        }
    };
    let reader = async {
        let first = sendable(feed.next()).await.unwrap();
        (first, feed.next().await.unwrap())
    };
    let ((), (first, second)) = tokio::join!(writer, reader);
    assert_eq!((first.entity, first.config), (entity("a"), config("1")));
    assert_eq!((second.entity, second.config), (entity("b"), config("2")));
    let note = text(&registry, "/config/changes/config_change_0000000001").await;
    assert_eq!(note, r#"{"version":2,"entity_path":"topics/a"}"#);
    assert_eq!(
        registry
            .topic_config(&TopicName::new("b").unwrap())
            .await
            .unwrap(),
        config("2")
    );
}
