//! A SCRAM credential as it is stored (RFC 5802): what proves a password
//! without telling it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// Kafka's mechanisms; the numbers are those of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Sha256 = 1,
    Sha512 = 2,
}

impl Mechanism {
    pub(super) const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];
    pub(super) const ITERATIONS_MIN: i32 = 4096;
    pub(super) const ITERATIONS_MAX: i32 = 16384;

    pub(super) fn of(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as i8 == number)
    }

    /// Its name, and the key under which its credential is stored.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn hash(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    /// `None` for an empty key, which Java refuses.
    fn hmac(self, key: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        if key.is_empty() {
            return None;
        }
        match self {
            Self::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
                Some(mac.chain_update(data).finalize().into_bytes().to_vec())
            }
            Self::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(key).ok()?;
                Some(mac.chain_update(data).finalize().into_bytes().to_vec())
            }
        }
    }
}

/// The text that is stored; `None` for a salted password without a byte.
pub(super) fn stored_text(
    mechanism: Mechanism,
    salt: &[u8],
    salted_password: &[u8],
    iterations: i32,
) -> Option<String> {
    let client_key = mechanism.hmac(salted_password, b"Client Key")?;
    let server_key = mechanism.hmac(salted_password, b"Server Key")?;
    Some(format!(
        "salt={},stored_key={},server_key={},iterations={iterations}",
        STANDARD.encode(salt),
        STANDARD.encode(mechanism.hash(&client_key)),
        STANDARD.encode(server_key),
    ))
}

/// The iterations of a stored credential; `None` for what is none.
pub(super) fn iterations_of(stored: &str) -> Option<i32> {
    let mut iterations = None;
    let mut seen = Vec::new();
    for part in stored.split(',') {
        let (name, value) = part.split_once('=')?;
        match name {
            "iterations" => iterations = Some(value.parse().ok()?),
            "salt" | "stored_key" | "server_key" => drop(STANDARD.decode(value).ok()?),
            _ => return None,
        }
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    iterations.filter(|_| seen.len() == 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677: user "user", password "pencil".
    #[test]
    fn credentials_are_those_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        // Hi("pencil", salt, 4096)
        let salted = [
            0xc4, 0xa4, 0x95, 0x10, 0x32, 0x3a, 0xb4, 0xf9, 0x52, 0xca, 0xc1, 0xfa, 0x99, 0x44,
            0x19, 0x39, 0xe7, 0x8e, 0xa7, 0x4d, 0x6b, 0xe8, 0x1d, 0xdf, 0x70, 0x96, 0xe8, 0x75,
            0x13, 0xdc, 0x61, 0x5d,
        ];
        let text = stored_text(Mechanism::Sha256, &salt, &salted, 4096).unwrap();
        assert_eq!(
            text,
            "salt=W22ZaJ0SNY7soEsUEjb6gQ==,\
             stored_key=WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,\
             server_key=wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=,iterations=4096"
        );
        assert_eq!(iterations_of(&text), Some(4096));
    }

    #[test]
    fn what_is_no_credential_is_none() {
        for text in [
            "",
            "x",
            "iterations=1",
            "salt=,salt=,server_key=,iterations=1",
        ] {
            assert_eq!(iterations_of(text), None, "{text}");
        }
        assert_eq!(stored_text(Mechanism::Sha512, b"s", b"", 4096), None);
    }
}
