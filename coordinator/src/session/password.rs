//! Session passwords: a keyed hash of the id, so that nobody can guess one and
//! every server that knows the secret can check one.

use common::zk::PASSWORD_LEN;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

pub(crate) type Password = [u8; PASSWORD_LEN];

/// The key of all passwords; part of the replicated state.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self([7; 32])
    }

    fn mac(&self, session: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.update(&session.to_be_bytes());
        mac
    }

    pub(crate) fn password(&self, session: i64) -> Password {
        let full = self.mac(session).finalize().into_bytes();
        let mut password = [0; PASSWORD_LEN];
        password.copy_from_slice(&full[..PASSWORD_LEN]);
        password
    }

    /// Compares in constant time.
    pub(crate) fn verify(&self, session: i64, password: &[u8]) -> bool {
        password.len() == PASSWORD_LEN && self.mac(session).verify_truncated_left(password).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_belongs_to_one_session_and_one_secret() {
        let secret = Secret::for_tests();
        let password = secret.password(42);
        assert!(secret.verify(42, &password));
        assert!(!secret.verify(43, &password));
        assert!(!secret.verify(42, &password[..15]));
        assert!(!secret.verify(42, &[]));
        assert!(!Secret([8; 32]).verify(42, &password));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
