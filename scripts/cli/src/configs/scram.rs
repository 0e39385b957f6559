//! SCRAM credentials as the command line writes them. Pure but for the salt.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};

use super::Error;
use crate::client::quotas::Upsertion;

const DEFAULT_ITERATIONS: i32 = 4096;
/// No mechanism of Kafka's takes fewer.
const LEAST_ITERATIONS: i32 = 4096;
const SALT_BYTES: usize = 26;

/// A mechanism with its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Sha256 = 1,
    Sha512 = 2,
}

impl Mechanism {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "SCRAM-SHA-256" => Some(Self::Sha256),
            "SCRAM-SHA-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(super) fn name(number: i8) -> &'static str {
        match number {
            1 => "SCRAM-SHA-256",
            2 => "SCRAM-SHA-512",
            _ => "UNKNOWN",
        }
    }

    /// `Hi` of RFC 5802: the password, salted and hashed many times.
    fn salted(self, password: &[u8], salt: &[u8], iterations: i32) -> Result<Vec<u8>, Error> {
        macro_rules! hi {
            ($hash:ty) => {{
                let keyed = Hmac::<$hash>::new_from_slice(password)
                    .map_err(|error| Error::Refused(error.to_string()))?;
                let first = keyed
                    .clone()
                    .chain_update(salt)
                    .chain_update(1_u32.to_be_bytes());
                let mut last = first.finalize().into_bytes();
                let mut result = last.to_vec();
                for _ in 1..iterations {
                    last = keyed.clone().chain_update(last).finalize().into_bytes();
                    result
                        .iter_mut()
                        .zip(last)
                        .for_each(|(to, from)| *to ^= from);
                }
                Ok(result)
            }};
        }
        match self {
            Self::Sha256 => hi!(Sha256),
            Self::Sha512 => hi!(Sha512),
        }
    }
}

/// Reads `[iterations=N,]password=P` and makes the credential of it.
pub(super) fn upsertion(mechanism: Mechanism, written: &str) -> Result<Upsertion, Error> {
    let mut salt = vec![0_u8; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| Error::Refused(error.to_string()))?;
    let name = Mechanism::name(mechanism as i8);
    let (iterations, password) = parse(written)
        .ok_or_else(|| Error::Refused(format!("Invalid credential property {name}={written}")))?;
    if iterations < LEAST_ITERATIONS {
        return Err(Error::Refused(format!(
            "Iterations {iterations} is less than the minimum {LEAST_ITERATIONS} required for {name}"
        )));
    }
    Ok(Upsertion {
        mechanism: mechanism as i8,
        iterations,
        salted_password: mechanism.salted(password.as_bytes(), &salt, iterations)?,
        salt,
    })
}

fn parse(written: &str) -> Option<(i32, &str)> {
    let (iterations, rest) = match written.strip_prefix("iterations=") {
        Some(rest) => rest.split_once(',')?,
        None => ("-1", written),
    };
    let iterations = match iterations {
        "-1" => DEFAULT_ITERATIONS,
        number => number.parse().ok()?,
    };
    Some((iterations, rest.strip_prefix("password=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_written() {
        assert_eq!(parse("password=a,b=c"), Some((4096, "a,b=c")));
        assert_eq!(parse("iterations=8192,password=x"), Some((8192, "x")));
        assert_eq!(parse("iterations=-1,password="), Some((4096, "")));
        assert_eq!(parse("secret"), None);
        let few = upsertion(Mechanism::Sha256, "iterations=1,password=x").unwrap_err();
        assert_eq!(
            few.to_string(),
            "Iterations 1 is less than the minimum 4096 required for SCRAM-SHA-256"
        );
    }

    #[test]
    fn salted_as_in_the_example_of_rfc_7677() {
        // The exchange of RFC 7677, section 3: user "user", password "pencil".
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = Mechanism::Sha256.salted(b"pencil", &salt, 4096).unwrap();
        let mac = |key: &[u8], text: &[u8]| {
            let keyed = Hmac::<Sha256>::new_from_slice(key).unwrap();
            keyed.chain_update(text).finalize().into_bytes().to_vec()
        };
        let messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let server_key = mac(&salted, b"Server Key");
        let signature = mac(&server_key, messages.as_bytes());
        assert_eq!(
            STANDARD.encode(signature),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
    }
}
