use common::zk::CreateMode::*;
use common::zk::*;

use crate::client::*;

/// Whatever was acknowledged before a crash is there after it, round after round.
#[tokio::test]
async fn nothing_acknowledged_is_lost_in_crashes_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..10 {
        let server = start(dir.path()).await;
        let mut client = TestClient::connect(server.client_address()).await;
        for n in 0..acknowledged {
            let found = client.exists(&format!("/n{n}"), false).await;
            assert!(found.is_ok(), "round {round}: /n{n} of {acknowledged}");
        }
        // Pipelined creations; the crash comes when some of them are answered.
        for n in 0..300 {
            let request = create_request(&format!("/n{}", acknowledged + n), Persistent);
            client.send(OpCode::Create, &request).await;
        }
        for _ in 0..50 + round * 10 {
            client.receive().await.unwrap().1.unwrap();
            acknowledged += 1;
        }
        server.kill().await;
        // Replies that were on their way count too.
        while let Some((_, answer)) = client.receive().await {
            answer.unwrap();
            acknowledged += 1;
        }
        // Those that were not answered may or may not be there.
        let server = start(dir.path()).await;
        let mut client = TestClient::connect(server.client_address()).await;
        while client
            .exists(&format!("/n{acknowledged}"), false)
            .await
            .is_ok()
        {
            acknowledged += 1;
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn zxids_and_sequence_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = (0, String::new());
    for round in 0..3 {
        let server = start(dir.path()).await;
        let mut client = TestClient::connect(server.client_address()).await;
        let path = client.create("/s-", PersistentSequential).await.unwrap();
        assert!(
            client.zxid > last.0 && path > last.1,
            "{path} after {}",
            last.1
        );
        assert_eq!(client.delete("/none", -1).await, Err(ErrorCode::NoNode));
        last = (client.zxid, path);
        if round == 1 {
            server.stop().await.unwrap();
        } else {
            server.kill().await;
        }
    }
}

#[tokio::test]
async fn a_second_daemon_on_the_same_directory_is_refused() {
    let server = fresh().await;
    let config = coordinator::Config::for_tests(server.dir.path());
    let error = coordinator::start(config).await.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
}

#[tokio::test]
async fn snapshots_do_not_disturb_and_carry_everything() {
    let dir = tempfile::tempdir().unwrap();
    let config = || {
        let mut config = coordinator::Config::for_tests(dir.path());
        config.storage.snap_count = 40;
        config
    };
    let server = coordinator::start(config()).await.unwrap();
    let mut client = TestClient::connect(server.client_address()).await;
    client.create("/e", Ephemeral).await.unwrap();
    for n in 0..500 {
        client.create(&format!("/n{n}"), Persistent).await.unwrap();
    }
    server.kill().await;
    let server = coordinator::start(config()).await.unwrap();
    assert!(server.recovery().snapshot_zxid > 0);
    let mut back = TestClient::open(server.client_address(), client.again())
        .await
        .unwrap();
    assert_eq!(back.children("/", false).await.unwrap().len(), 502);
    assert_eq!(
        back.exists("/e", false).await.unwrap().ephemeral_owner,
        back.session()
    );
}
