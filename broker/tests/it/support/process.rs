//! The broker's own binary as a process, to be killed and paused.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::eventually;
use super::serving::Client;

/// A broker that can be ended without a word.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    pub(crate) port: u16,
}

impl Process {
    /// Starts the daemon and waits until it serves.
    pub(crate) async fn start(dir: &Path, properties: &[(String, String)]) -> Self {
        let child = spawn(dir, properties);
        let log = dir.join("broker.log");
        let port = || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let line = log
                .lines()
                .find(|line| line.contains("serves clients on"))?;
            let (_, rest) = line.split_once("PLAINTEXT://:")?;
            rest.split(',').next()?.parse::<u16>().ok()
        };
        eventually("the broker tells its ports", || async { port().is_some() }).await;
        let port = port().unwrap();
        Self { child, log, port }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.port).await
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Sends the signal with this name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(dir: &Path, properties: &[(String, String)]) -> Child {
    let config = dir.join("broker.properties");
    let mut file = std::fs::File::create(&config).unwrap();
    for (key, value) in properties {
        writeln!(file, "{key}={value}").unwrap();
    }
    let log = std::fs::File::create(dir.join("broker.log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_broker"))
        .arg(config)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
