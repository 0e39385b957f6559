//! Session passwords: a keyed hash of the id, so that nobody can guess one and
//! every server that knows the secret can check one.
//!
//! A session that was imported from a ZooKeeper keeps the password that its client
//! holds, which is computed from the id alone. It is as weak here as it was there,
//! for that session and until it ends.

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

/// The password that a ZooKeeper gives a session: sixteen bytes of Java's random
/// numbers, with the id as their seed.
pub(crate) fn zookeeper_password(session: i64) -> Password {
    const SUPER_SECRET: i64 = 0xB341_5C00;
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((session ^ SUPER_SECRET) as u64 ^ MULTIPLIER) & MASK;
    let mut password = [0; PASSWORD_LEN];
    for four in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        // The upper 32 of the 48 bits, the lowest byte first.
        four.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with the JDK.
    #[test]
    fn passwords_of_zookeeper() {
        let hex = |session| {
            let password = zookeeper_password(session);
            password.map(|byte| format!("{byte:02x}")).concat()
        };
        assert_eq!(
            hex(0x0100_0123_4567_0000),
            "4be494d27cc739baa123244a251a7415"
        );
        assert_eq!(hex(42), "c813ee495620c3a68794ef27a239e8a9");
        assert_eq!(hex(-1), "20f62cb5648dc2d771471c8a2486a9ee");
    }

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
