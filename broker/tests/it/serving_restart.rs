//! What is still there after a stop, a kill, a pause, and a lost coordinator.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker::zk::SessionToken;

use crate::support::group::{commit, committed, join_alone, until_coordinated};
use crate::support::process::Process;
use crate::support::serving::{Client, Site, batch, batch_of, config, http_get, properties};
use crate::support::{LIMIT, eventually};

const OUT_OF_ORDER_SEQUENCE: i16 = 45;

/// Asks until the broker, which may be on its way to its place, answers well.
async fn produced_by(port: u16, topic: &str, value: &str) -> i64 {
    let offset = std::sync::Mutex::new(-1);
    eventually("a record is taken", || async {
        let mut client = Client::connect(port).await;
        let (error, at) = client.produce(topic, -1, batch(&[value])).await;
        *offset.lock().unwrap() = at;
        error == 0
    })
    .await;
    offset.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_producers_and_groups_outlive_a_stop() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("kept", 1).await;
    let first = batch_of((7000, 0), 0, &["a", "b"]);
    assert_eq!(client.produce("kept", -1, first.clone()).await, (0, 0));
    until_coordinated(broker.port, "crew").await;
    let member = join_alone(&mut client, "crew").await;
    assert_eq!(commit(&mut client, "crew", &member, "kept", 2).await, 0);
    broker.stop().await;

    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    assert_eq!(
        client.fetch("kept", 0).await,
        (0, 2, vec!["a".into(), "b".into()])
    );
    assert_eq!(
        client.produce("kept", -1, first).await,
        (0, 0),
        "a duplicate"
    );
    let gap = batch_of((7000, 0), 9, &["lost"]);
    assert_eq!(
        client.produce("kept", -1, gap).await.0,
        OUT_OF_ORDER_SEQUENCE
    );
    let next = batch_of((7000, 0), 2, &["c"]);
    assert_eq!(client.produce("kept", -1, next).await, (0, 2));
    until_coordinated(broker.port, "crew").await;
    assert_eq!(committed(&mut client, "crew", "kept").await, (0, 2));
    // The member is still known, with its generation.
    assert_eq!(commit(&mut client, "crew", &member, "kept", 3).await, 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_has_every_acknowledged_record_once() {
    let site = Site::new().await;
    let properties = site.properties(&[("zookeeper.session.timeout.ms", "30000")]);
    let broker = Process::start(site.dir.path(), &properties).await;
    let mut client = broker.client().await;
    client.create_topic("safe", 1).await;
    until_coordinated(broker.port, "crew").await;
    let member = join_alone(&mut client, "crew").await;
    let mut expected = Vec::new();
    let mut broker = Some(broker);
    for round in 0..3 {
        let running = broker.take().unwrap();
        let mut client = running.client().await;
        for each in 0..20 {
            let value = format!("{round}-{each}");
            let sequence = i32::try_from(expected.len()).unwrap();
            let records = batch_of((9000, 0), sequence, &[&value]);
            let (error, offset) = client.produce("safe", -1, records.clone()).await;
            assert_eq!((error, offset), (0, i64::from(sequence)));
            // The answer got lost: the producer tries again.
            let again = client.produce("safe", -1, records).await;
            assert_eq!(again, (0, i64::from(sequence)));
            expected.push(value);
        }
        let end = i64::try_from(expected.len()).unwrap();
        assert_eq!(commit(&mut client, "crew", &member, "safe", end).await, 0);
        running.kill();
        // Much sooner than the session of the killed one expires.
        let next = Process::start(site.dir.path(), &properties).await;
        let mut client = next.client().await;
        let (error, high_watermark, values) = client.fetch("safe", 0).await;
        assert_eq!((error, high_watermark), (0, end));
        assert_eq!(values, expected);
        until_coordinated(next.port, "crew").await;
        assert_eq!(committed(&mut client, "crew", "safe").await, (0, end));
        broker = Some(next);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_broker_serves_at_once_what_it_led_before() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    broker.client().await.create_topic("ready", 20).await;
    broker.stop().await;
    for _ in 0..3 {
        let broker = site.broker(&[]).await;
        assert_eq!(http_get(broker.admin, "/ready").await.0, 200);
        let mut client = broker.client().await;
        let (error, _) = client.produce("ready", -1, batch(&["at once"])).await;
        assert_eq!(error, 0);
        broker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_slept_through_its_session_comes_back() {
    let site = Site::new().await;
    let properties = site.properties(&[("zookeeper.session.timeout.ms", "1000")]);
    let broker = Process::start(site.dir.path(), &properties).await;
    let mut client = broker.client().await;
    client.create_topic("nap", 1).await;
    client.produce("nap", -1, batch(&["before"])).await;
    until_coordinated(broker.port, "crew").await;
    let member = join_alone(&mut client, "crew").await;
    assert_eq!(commit(&mut client, "crew", &member, "nap", 1).await, 0);
    let servers = site.servers();
    let observer = broker::zk::Client::connect(broker::zk::Config::new(
        servers.parse().unwrap(),
        common::clock::system(),
    ));
    observer
        .wait_connected(Duration::from_secs(10))
        .await
        .unwrap();
    let epoch = || async {
        let node = observer.get_data("/brokers/ids/1", None).await.ok()?;
        Some(node.1.czxid)
    };
    let before = epoch().await;
    assert!(before.is_some());
    broker.signal("-STOP");
    eventually("the registration is gone", || async {
        epoch().await.is_none()
    })
    .await;
    broker.signal("-CONT");
    eventually("the broker is registered anew", || async {
        epoch().await.is_some_and(|now| Some(now) > before)
    })
    .await;
    assert_eq!(produced_by(broker.port, "nap", "after").await, 1);
    let mut client = broker.client().await;
    assert_eq!(client.fetch("nap", 0).await.2, ["before", "after"]);
    assert_eq!(committed(&mut client, "crew", "nap").await, (0, 1));
    client.create_topic("dream", 1).await;
    observer.close().await;
    assert!(!broker.log().contains("ERROR"), "{}", broker.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_is_signed_with_the_newest_epoch() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let dir = site.dir.path().join("broker");
    let zk = || broker::zk::Config::new(site.servers().parse().unwrap(), common::clock::system());
    let observer = broker::zk::Client::connect(zk());
    observer.wait_connected(LIMIT).await.unwrap();
    let epoch = || async {
        let node = observer.get_data("/brokers/ids/1", None).await.ok()?;
        Some(node.1.czxid)
    };
    let before = epoch().await.unwrap();
    let session = std::fs::read(dir.join(".coordinator-session")).unwrap();
    let session: serde_json::Value = serde_json::from_slice(&session).unwrap();
    let id = session["session"]
        .as_str()
        .unwrap()
        .trim_start_matches("0x");
    let password = STANDARD
        .decode(session["password"].as_str().unwrap())
        .unwrap();
    let token = SessionToken {
        id: u64::from_str_radix(id, 16).unwrap().cast_signed(),
        password: password.try_into().unwrap(),
    };
    // Another holder of the session closes it, as an expiry does.
    let thief = broker::zk::Client::connect_with(zk(), Some(token));
    thief.wait_connected(LIMIT).await.unwrap();
    thief.close().await;
    eventually("the broker is registered anew", || async {
        epoch().await.is_some_and(|now| now > before)
    })
    .await;
    broker.until_ready().await;
    let newest = epoch().await.unwrap();
    broker.stop().await;
    let marker = std::fs::read_to_string(dir.join(".kafka_cleanshutdown")).unwrap();
    assert!(
        marker.contains(&newest.to_string()),
        "{marker}, not {newest}"
    );
    observer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_coordinator_is_missed_only_by_who_needs_it() {
    let Site { coordinator, dir } = Site::new().await;
    let port = coordinator.client_address().port();
    let site = Site { coordinator, dir };
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("alone", 1).await;
    let Site { coordinator, dir } = site;
    coordinator.kill().await;
    assert_eq!(client.produce("alone", -1, batch(&["a"])).await, (0, 0));
    assert_eq!(client.fetch("alone", 0).await.2, ["a"]);
    let site = Site {
        coordinator: restarted(&dir, port).await,
        dir,
    };
    assert_eq!(client.produce("alone", -1, batch(&["b"])).await, (0, 1));
    eventually("topics can be created again", || async {
        let request = crate::support::serving::create_topic_request("later", 1);
        let mut client = broker.client().await;
        let error = client.call(7, &request).await.topics[0].error_code;
        error == 0 || error == 36
    })
    .await;
    broker.stop().await;
    drop(site);
}

async fn restarted(dir: &tempfile::TempDir, port: u16) -> coordinator::Running {
    let mut config = coordinator::Config::for_tests(&dir.path().join("coordinator"));
    config.client_address.set_port(port);
    coordinator::start(config).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_file_that_was_copied_closes_nobodys_session() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let session = |health: String| {
        let at = health.find("\"session\"").unwrap();
        health[at..at + 30].to_owned()
    };
    let before = session(http_get(broker.admin, "/health").await.1);
    // What `cp -r` of a data directory gives to a second broker.
    let copy = site.dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let name = ".coordinator-session";
    std::fs::copy(site.dir.path().join("broker").join(name), copy.join(name)).unwrap();
    let dir = copy.display().to_string();
    let second = site
        .unready_broker(&[("broker.id", "2"), ("log.dirs", &dir)])
        .await;
    let after = session(http_get(broker.admin, "/health").await.1);
    assert_eq!(before, after);
    second.stop().await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_coordinator_keeps_the_old_session_in_mind() {
    let Site { coordinator, dir } = Site::new().await;
    let port = coordinator.client_address().port();
    let site = Site { coordinator, dir };
    // Longer than any test: a start that waited for it would fail.
    let session = ("zookeeper.session.timeout.ms", "60000");
    let properties = site.properties(&[session]);
    let killed = Process::start(site.dir.path(), &properties).await;
    killed.client().await.create_topic("kept", 1).await;
    killed.kill();
    let Site { coordinator, dir } = site;
    coordinator.kill().await;
    let limit = ("zookeeper.connection.timeout.ms", "300");
    let servers = format!("127.0.0.1:{port}");
    let hasty = properties_at(&servers, &dir, &[session, limit]);
    let started = common::clock::system().monotonic();
    let refused = broker::start(config(&hasty)).await.map(drop).unwrap_err();
    assert!(
        refused.to_string().contains("cannot be reached"),
        "{refused}"
    );
    let waited = common::clock::system().monotonic().saturating_sub(started);
    assert!(
        waited < Duration::from_millis(550),
        "{waited:?}: waited once"
    );
    let site = Site {
        coordinator: restarted(&dir, port).await,
        dir,
    };
    let broker = tokio::time::timeout(LIMIT, site.broker(&[session])).await;
    let broker = broker.expect("the old session is closed");
    assert_eq!(produced_by(broker.port, "kept", "x").await, 0);
    broker.stop().await;
}

fn properties_at(
    servers: &str,
    dir: &tempfile::TempDir,
    overrides: &[(&str, &str)],
) -> Vec<(String, String)> {
    properties(servers, &dir.path().join("broker"), overrides)
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_and_ids_of_others_are_refused_by_name() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let same_dir = config(&site.properties(&[("broker.id", "2")]));
    let refused = broker::start(same_dir).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("another process"), "{refused}");
    let other = site.dir.path().join("other").display().to_string();
    let quick = ("zookeeper.session.timeout.ms", "400");
    let same_id = config(&site.properties(&[("log.dirs", &other), quick]));
    let refused = broker::start(same_id).await.map(drop).unwrap_err();
    assert!(
        refused.to_string().contains("another broker with id 1"),
        "{refused}"
    );
    broker.stop().await;
    let other_id = config(&site.properties(&[("broker.id", "2")]));
    let refused = broker::start(other_id)
        .await
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(refused.contains('1') && refused.contains('2'), "{refused}");
}
