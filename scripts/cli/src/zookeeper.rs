//! A session with the coordinator (or a ZooKeeper), for the commands that need one.

use std::time::Duration;

use broker::zk::{Client, Config, ConnectString};

/// How long the first connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Address(#[from] broker::zk::ConnectStringError),
    #[error("Timed out waiting for connection while in state: CONNECTING")]
    Unreachable(#[source] broker::zk::Error),
}

/// Connects to `host:port,host:port/chroot`. Must run inside the event loop.
pub(crate) async fn connect(servers: &str) -> Result<Client, Error> {
    let servers: ConnectString = servers.parse()?;
    let client = Client::connect(Config::new(servers, common::clock::system()));
    client
        .wait_connected(CONNECT_LIMIT)
        .await
        .map_err(Error::Unreachable)?;
    Ok(client)
}
