//! What the tests share: a coordinator, clients, a proxy that can be cut, a
//! channel that records what the controller says.

mod channel;
pub(crate) mod cluster;
pub(crate) mod group;
mod node;
pub(crate) mod process;
mod proxy;
pub(crate) mod serving;

use std::future::Future;
use std::time::Duration;

use broker::zk::{Client, Config, ConnectString};

pub(crate) use channel::RecordingChannel;
pub(crate) use node::{Node, registration};
pub(crate) use proxy::Proxy;

/// How long anything may take before a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A namespace of its own on the coordinator under test.
pub(crate) struct Space {
    pub(crate) servers: String,
    pub(crate) chroot: String,
    _coordinator: Option<Coordinator>,
}

/// Ours, for one test; its files go when the test ends.
struct Coordinator {
    _running: coordinator::Running,
    _dir: tempfile::TempDir,
}

impl Space {
    pub(crate) async fn new() -> Self {
        let (servers, coordinator) = servers().await;
        let space = Self {
            servers,
            chroot: format!("/test-{}", uuid::Uuid::new_v4()),
            _coordinator: coordinator,
        };
        let client = space.client().await;
        client.ensure_chroot().await.unwrap();
        client.close().await;
        space
    }

    pub(crate) fn config(&self) -> Config {
        self.config_at(&self.servers)
    }

    pub(crate) fn config_at(&self, servers: &str) -> Config {
        let connect: ConnectString = format!("{servers}{}", self.chroot).parse().unwrap();
        let mut config = Config::new(connect, common::clock::system());
        config.session_timeout = Duration::from_secs(6);
        config
    }

    pub(crate) async fn client(&self) -> Client {
        connected(Client::connect(self.config())).await
    }
}

pub(crate) async fn connected(client: Client) -> Client {
    client.wait_connected(LIMIT).await.unwrap();
    client
}

/// The server named by `ZOOKEEPER_CONNECT`, else our coordinator in this process.
async fn servers() -> (String, Option<Coordinator>) {
    if let Ok(servers) = std::env::var("ZOOKEEPER_CONNECT") {
        return (servers, None);
    }
    let dir = tempfile::tempdir().unwrap();
    let config = coordinator::Config::for_tests(dir.path());
    let running = coordinator::start(config).await.unwrap();
    let servers = running.client_address().to_string();
    let coordinator = Coordinator {
        _running: running,
        _dir: dir,
    };
    (servers, Some(coordinator))
}

/// Waits for something to come true; fails the test when it does not.
pub(crate) async fn eventually<F, Fut>(what: &str, condition: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let poll = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(LIMIT, poll).await.is_err() {
        panic!("never happened: {what}");
    }
}

/// Ends the session behind the back of its client, as an expiry does.
pub(crate) async fn expire(space: &Space, client: &Client) {
    let token = client.session().expect("the client is connected");
    // The client fights for its session, so this may take several attempts.
    loop {
        let thief = connected(Client::connect_with(space.config(), Some(token.clone()))).await;
        let is_gone = thief.session() != Some(token.clone());
        thief.close().await;
        if is_gone {
            return;
        }
    }
}
