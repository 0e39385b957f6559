//! A TCP proxy between a client and the coordinator that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards while open; cutting drops every connection and refuses new ones,
/// stalling leaves the present ones open and silent for ever.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    is_open: Arc<watch::Sender<bool>>,
    stalls: Arc<watch::Sender<u32>>,
}

impl Proxy {
    pub(crate) async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = Arc::new(watch::channel(true).0);
        let stalls = Arc::new(watch::channel(0).0);
        let (open, stall, target) = (is_open.clone(), stalls.clone(), target.to_owned());
        common::task::spawn("proxy", async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                if !*open.borrow() {
                    continue;
                }
                let (mut open, target) = (open.subscribe(), target.clone());
                let mut stall = stall.subscribe();
                common::task::spawn("proxy connection", async move {
                    let Ok(mut far) = TcpStream::connect(&target).await else {
                        return;
                    };
                    let is_stalled = tokio::select! {
                        _ = stall.changed() => true,
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => false,
                        _ = open.wait_for(|open| !open) => false,
                    };
                    if is_stalled {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self {
            address,
            is_open,
            stalls,
        }
    }

    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub(crate) fn stall(&self) {
        self.stalls.send_modify(|stalls| *stalls += 1);
    }

    pub(crate) fn mend(&self) {
        self.is_open.send_replace(true);
    }
}
