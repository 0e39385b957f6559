use std::path::Path;

use common::zk::CreateMode::*;
use common::zk::*;
use coordinator::command::{Command, Error, Output};

use crate::client::*;

async fn run(command: Command) -> Result<Output, Error> {
    let work = move || command.run();
    tokio::task::spawn_blocking(work).await.unwrap()
}

fn fsck(dir: &Path, cut: bool) -> Command {
    Command::Fsck {
        dir: dir.to_owned(),
        log_dir: None,
        cut,
    }
}

#[tokio::test]
async fn a_backup_of_a_running_server_starts_another() {
    let first = fresh().await;
    let mut client = first.client().await;
    client.create("/kept", Persistent).await.unwrap();
    client.create("/mine", Ephemeral).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let backup = || Command::Backup {
        addr: first.daemon.admin_address().unwrap().to_string(),
        file: file.clone(),
    };
    let said = run(backup()).await.unwrap();
    assert!(said.text.contains("transaction 0x3"), "{}", said.text);
    // Again, without any change in between, and once more after one.
    assert_eq!(run(backup()).await.unwrap().text, said.text);
    client.create("/kept/late", Persistent).await.unwrap();
    run(backup()).await.unwrap();
    client.create("/after", Persistent).await.unwrap();

    let restore = |name: &str, drop_sessions| Command::Restore {
        file: file.clone(),
        dir: dir.path().join(name),
        drop_sessions,
    };
    run(restore("with", false)).await.unwrap();
    run(restore("without", true)).await.unwrap();
    let refused = run(restore("with", false)).await.unwrap_err();
    assert!(refused.to_string().contains("holds a state"), "{refused}");

    // Its own client may come back to its session, and its node is there.
    let with = start(&dir.path().join("with")).await;
    let again = TestClient::open(with.client_address(), client.again()).await;
    let mut again = again.unwrap();
    assert_eq!(again.session(), client.session());
    let mine = again.exists("/mine", false).await.unwrap();
    assert_eq!(mine.ephemeral_owner, client.session());
    assert!(again.exists("/kept/late", false).await.is_ok());
    let missing = again.exists("/after", false).await;
    assert_eq!(missing, Err(ErrorCode::NoNode));

    let without = start(&dir.path().join("without")).await;
    let mut other = TestClient::connect(without.client_address()).await;
    assert!(other.exists("/kept/late", false).await.is_ok());
    let gone = other.exists("/mine", false).await;
    assert_eq!(gone, Err(ErrorCode::NoNode));
    let ended = TestClient::open(without.client_address(), client.again()).await;
    assert_eq!(ended.unwrap().session(), 0);
}

#[tokio::test]
async fn fsck_explains_and_cut_gives_up_what_lies_behind_the_damage() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let busy = run(fsck(dir.path(), false)).await.unwrap_err();
    assert!(busy.to_string().contains("another process"), "{busy}");
    let mut client = TestClient::connect(server.client_address()).await;
    client.create("/first", Persistent).await.unwrap();
    client.create("/second", Persistent).await.unwrap();
    client.create("/third", Persistent).await.unwrap();
    server.stop().await.unwrap();
    let good = run(fsck(dir.path(), false)).await.unwrap();
    assert!(good.well, "{}", good.text);

    let log = dir.path().join("coordinator/log.0000000000000001");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.windows(7).position(|part| part == b"/second");
    bytes[at.unwrap()] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let bad = run(fsck(dir.path(), false)).await.unwrap();
    assert!(!bad.well);
    assert!(bad.text.contains("behind transaction 0x2"), "{}", bad.text);
    let refused = coordinator::start(coordinator::Config::for_tests(dir.path())).await;
    let refused = refused.unwrap_err().to_string();
    for part in ["log.0000000000000001", "offset", "0x2", "fsck --cut"] {
        assert!(refused.contains(part), "{refused}");
    }

    let cut = run(fsck(dir.path(), true)).await.unwrap();
    assert!(cut.well, "{}", cut.text);
    assert!(log.with_extension("0000000000000001.damaged").exists());
    let server = start(dir.path()).await;
    let mut client = TestClient::connect(server.client_address()).await;
    assert!(client.exists("/first", false).await.is_ok());
    let second = client.exists("/second", false).await;
    assert_eq!(second, Err(ErrorCode::NoNode));
    server.stop().await.unwrap();
}
