//! The session of the last run, so that a killed broker need not wait for it.
//!
//! The id and the password of the session are kept beside the data. A broker
//! that was killed finds them, takes the session over and closes it, upon which
//! its registration vanishes at once.
//!
//! **Invariant:** only the holder of the data directory's lock reads or writes
//! the file, so no living broker's session is closed.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::zk::{Client, Config, SessionToken};

const FILE_NAME: &str = ".coordinator-session";

/// The file with the session of this data directory.
#[derive(Debug, Clone)]
pub(super) struct PreviousSession {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    session: String,
    password: String,
}

const VERSION: u32 = 1;

impl PreviousSession {
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self {
            path: dir.join(FILE_NAME),
        }
    }

    /// Closes the session that the last run left behind, if it still lives.
    pub(super) async fn close(&self, config: &Config, limit: Duration) {
        let Some(token) = self.load() else { return };
        let id = token.id;
        let client = Client::connect_with(config.clone(), Some(token));
        let attached = client.wait_connected(limit).await.is_ok();
        if attached && client.session().is_some_and(|session| session.id == id) {
            tracing::info!("closing session 0x{id:x}, which the last run of this broker left");
        }
        client.close().await;
        self.forget();
    }

    /// Remembers `token` for a run after a kill. Without it such a run waits
    /// for the session to expire, so a failure is only a warning.
    pub(super) fn store(&self, token: &SessionToken) {
        let stored = Stored {
            version: VERSION,
            session: format!("0x{:x}", token.id),
            password: STANDARD.encode(token.password),
        };
        let written = serde_json::to_vec(&stored)
            .map_err(io::Error::other)
            .and_then(|bytes| self.write(&bytes));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the session cannot be remembered");
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        common::fs::replace_durably(&self.path, bytes)?;
        std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o600))
    }

    pub(super) fn forget(&self) {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "an old session stays");
            }
            _ => {}
        }
    }

    fn load(&self) -> Option<SessionToken> {
        let bytes = std::fs::read(&self.path).ok()?;
        let token = serde_json::from_slice::<Stored>(&bytes)
            .ok()
            .and_then(token);
        if token.is_none() {
            tracing::warn!(path = %self.path.display(), "the remembered session is unreadable");
        }
        token
    }
}

fn token(stored: Stored) -> Option<SessionToken> {
    let id = u64::from_str_radix(stored.session.strip_prefix("0x")?, 16).ok()?;
    let password = STANDARD.decode(stored.password).ok()?;
    (stored.version == VERSION).then_some(SessionToken {
        id: id.cast_signed(),
        password: password.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_garbage_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = PreviousSession::in_dir(dir.path());
        assert!(file.load().is_none());
        let token = SessionToken {
            id: -2,
            password: [7; 16],
        };
        file.store(&token);
        let loaded = file.load().unwrap();
        assert_eq!((loaded.id, loaded.password), (token.id, token.password));
        std::fs::write(&file.path, b"{\"version\":1,\"session\":\"0xzz\"}").unwrap();
        assert!(file.load().is_none());
        file.forget();
        assert!(!file.path.exists());
    }
}
