//! The session of the last run, so that a killed broker need not wait for it.
//!
//! The id and the password of the session are kept beside the data. A broker
//! that was killed finds them, takes the session over and closes it, upon which
//! its registration vanishes at once.
//!
//! **Invariant:** no living broker's session is closed: only the holder of the
//! data directory's lock reads or writes the file, and a file that was copied to
//! another directory, whose first owner may be alive, is not believed.
//! **Invariant:** a session is forgotten only once it is known to be gone.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::zk::{Client, Config, Error, SessionToken};

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
    directory: Directory,
}

/// Which directory the file was written in.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Directory {
    device: u64,
    inode: u64,
}

const VERSION: u32 = 2;

impl PreviousSession {
    pub(super) fn in_dir(dir: &Path) -> Self {
        Self {
            path: dir.join(FILE_NAME),
        }
    }

    /// Closes the session that the last run left behind, if it still lives; an
    /// error when the coordinator cannot be asked within `limit`.
    pub(super) async fn close(&self, config: &Config, limit: Duration) -> Result<(), Error> {
        let Some(token) = self.load() else {
            return Ok(());
        };
        let id = token.id;
        let client = Client::connect_with(config.clone(), Some(token));
        let attached = client.wait_connected(limit).await;
        if attached.is_ok() && client.session().is_some_and(|session| session.id == id) {
            tracing::info!("closing session 0x{id:x}, which the last run of this broker left");
        }
        client.close().await;
        attached?;
        self.forget();
        Ok(())
    }

    /// Remembers `token` for a run after a kill. Without it such a run waits
    /// for the session to expire, so a failure is only a warning.
    pub(super) fn store(&self, token: &SessionToken) {
        if let Err(error) = self.try_store(token) {
            tracing::warn!(path = %self.path.display(), %error, "the session cannot be remembered");
        }
    }

    fn try_store(&self, token: &SessionToken) -> io::Result<()> {
        let stored = Stored {
            version: VERSION,
            session: format!("0x{:x}", token.id),
            password: STANDARD.encode(token.password),
            directory: self.directory()?,
        };
        let bytes = serde_json::to_vec(&stored).map_err(io::Error::other)?;
        common::fs::replace_durably(&self.path, &bytes)?;
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

    fn directory(&self) -> io::Result<Directory> {
        let known = self
            .path
            .parent()
            .unwrap_or_else(|| Path::new("."))
            .metadata()?;
        Ok(Directory {
            device: known.dev(),
            inode: known.ino(),
        })
    }

    fn load(&self) -> Option<SessionToken> {
        let bytes = std::fs::read(&self.path).ok()?;
        let stored = serde_json::from_slice::<Stored>(&bytes).ok();
        if let (Some(stored), Ok(here)) = (&stored, self.directory())
            && stored.directory != here
        {
            tracing::info!(path = %self.path.display(), "the remembered session is another directory's");
            return None;
        }
        let token = stored.and_then(token);
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
        file.store(&token);
        let other = tempfile::tempdir().unwrap();
        let copy = PreviousSession::in_dir(other.path());
        std::fs::copy(&file.path, &copy.path).unwrap();
        assert!(copy.load().is_none(), "its owner may be alive");
        file.forget();
        assert!(!file.path.exists());
    }
}
