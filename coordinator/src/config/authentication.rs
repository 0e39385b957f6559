//! How clients prove who they are, and whether they must.

use std::path::Path;

use common::config::{Properties, Values};
use md5::Md5;
use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use super::{Error, jaas};

pub use super::jaas::Users;

/// The user whose password may be given by a key of its own.
const SUPER: &str = "super";
const PROVIDER_PREFIX: &str = "authProvider.";
const SUPER_USER_PREFIX: &str = "superUser.";
const PACKAGE: &str = "org.apache.zookeeper.server.auth.";

/// What the connections need to know.
#[derive(Debug, Clone, Default)]
pub struct Authentication {
    /// `super:<hash>` of the operator.
    pub super_digest: Option<String>,
    pub algorithm: Algorithm,
    /// Who may log in by SASL; `None` if it is not offered.
    pub sasl_users: Option<Users>,
    /// The SASL names that pass every ACL.
    pub super_users: Vec<String>,
    /// Whether a client stays connected whose SASL login has failed.
    pub keep_failed_sasl: bool,
    /// A client must have an identity of one of these schemes, unless there are none.
    pub enforced_schemes: Vec<String>,
}

/// The hash of passwords in `digest` identities, by the names that Java has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    #[default]
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512Of224,
    Sha512Of256,
    Sha3Of224,
    Sha3Of256,
    Sha3Of384,
    Sha3Of512,
}

impl Algorithm {
    fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => Self::Md5,
            "SHA1" | "SHA-1" | "SHA" => Self::Sha1,
            "SHA-224" | "SHA224" => Self::Sha224,
            "SHA-256" | "SHA256" => Self::Sha256,
            "SHA-384" | "SHA384" => Self::Sha384,
            "SHA-512" | "SHA512" => Self::Sha512,
            "SHA-512/224" => Self::Sha512Of224,
            "SHA-512/256" => Self::Sha512Of256,
            "SHA3-224" => Self::Sha3Of224,
            "SHA3-256" => Self::Sha3Of256,
            "SHA3-384" => Self::Sha3Of384,
            "SHA3-512" => Self::Sha3Of512,
            _ => return None,
        })
    }

    pub(crate) fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Md5 => Md5::digest(bytes).to_vec(),
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha224 => Sha224::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
            Self::Sha512Of224 => Sha512_224::digest(bytes).to_vec(),
            Self::Sha512Of256 => Sha512_256::digest(bytes).to_vec(),
            Self::Sha3Of224 => Sha3_224::digest(bytes).to_vec(),
            Self::Sha3Of256 => Sha3_256::digest(bytes).to_vec(),
            Self::Sha3Of384 => Sha3_384::digest(bytes).to_vec(),
            Self::Sha3Of512 => Sha3_512::digest(bytes).to_vec(),
        }
    }
}

/// The keys whose names the operator completes, taken out of the others.
#[derive(Debug, Default)]
pub(super) struct Open {
    super_users: Vec<String>,
    pub(super) has_sasl_provider: bool,
}

impl Open {
    /// Splits what was written into these keys and the rest.
    pub(super) fn take(properties: &Properties) -> Result<(Self, Properties), Error> {
        let (mut open, mut rest) = (Self::default(), Properties::default());
        for (key, value, origin) in properties.iter() {
            if key.starts_with(PROVIDER_PREFIX) {
                match value.strip_prefix(PACKAGE) {
                    Some("SASLAuthenticationProvider") => open.has_sasl_provider = true,
                    // They are always there.
                    Some("DigestAuthenticationProvider" | "IPAuthenticationProvider") => {}
                    _ => {
                        return Err(Error::Problem {
                            origin: origin.clone(),
                            key: key.to_owned(),
                            value: value.to_owned(),
                            problem: "this authentication provider is not served",
                        });
                    }
                }
            } else if key.starts_with(SUPER_USER_PREFIX) {
                open.super_users.push(value.to_owned());
            } else {
                rest.set(key, value, origin.clone());
            }
        }
        Ok((open, rest))
    }
}

pub(super) fn authentication(
    values: &Values,
    open: &Open,
    warnings: &mut Vec<String>,
) -> Result<Authentication, Error> {
    let name = values.str("DigestAuthenticationProvider.digestAlg");
    let algorithm = Algorithm::parse(name).ok_or_else(|| Error::Algorithm {
        value: name.to_owned(),
    })?;
    let mut super_users = open.super_users.clone();
    super_users.extend(values.opt_str("superUser").map(str::to_owned));
    Ok(Authentication {
        super_digest: owned(values, "DigestAuthenticationProvider.superDigest"),
        algorithm,
        sasl_users: sasl_users(values, open, warnings)?,
        super_users,
        keep_failed_sasl: values.bool("allowSaslFailedClients"),
        enforced_schemes: enforced_schemes(values, open)?,
    })
}

fn owned(values: &Values, key: &str) -> Option<String> {
    values.opt_str(key).map(str::to_owned)
}

fn sasl_users(
    values: &Values,
    open: &Open,
    warnings: &mut Vec<String>,
) -> Result<Option<Users>, Error> {
    let Some(file) = values.opt_str("java.security.auth.login.config") else {
        if open.has_sasl_provider {
            let lacking = "java.security.auth.login.config is not set: nobody can log in by SASL";
            warnings.push(lacking.to_owned());
        }
        return Ok(None);
    };
    let section = values.str("sasl.serverconfig");
    let Some(mut users) = jaas::load(Path::new(file), section)? else {
        warnings.push(format!(
            "{file} has no section '{section}' (sasl.serverconfig): SASL is not offered"
        ));
        return Ok(None);
    };
    if let Some(password) = values.opt_str("SASLAuthenticationProvider.superPassword") {
        users.replace_password(SUPER, password);
    }
    Ok(Some(users))
}

fn enforced_schemes(values: &Values, open: &Open) -> Result<Vec<String>, Error> {
    let schemes = if values.bool("sessionRequireClientSASLAuth") {
        vec!["sasl".to_owned()]
    } else if values.bool("enforce.auth.enabled") {
        values.list("enforce.auth.schemes")
    } else {
        return Ok(Vec::new());
    };
    if schemes.is_empty() {
        return Err(Error::NoScheme);
    }
    let is_served = |scheme: &str| match scheme {
        "ip" => true,
        "digest" => values.bool("DigestAuthenticationProvider.enabled"),
        "sasl" => open.has_sasl_provider,
        _ => false,
    };
    match schemes.iter().find(|scheme| !is_served(scheme)) {
        Some(scheme) => Err(Error::Scheme {
            scheme: scheme.clone(),
        }),
        None => Ok(schemes),
    }
}
