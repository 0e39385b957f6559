//! The keys about who may do what.

use common::config::{Key, Kind};

use super::{key, optional};

pub(super) const KEYS: &[Key] = &[
    optional(
        "DigestAuthenticationProvider.superDigest",
        Kind::Password,
        "super:<hash>; who proves to be this user passes every ACL.",
    ),
    key(
        "skipACL",
        Kind::OneOf(&["yes", "no"]),
        "no",
        "yes: nobody's permissions are checked.",
    ),
    key(
        "DigestAuthenticationProvider.enabled",
        Kind::Bool,
        "true",
        "Whether clients can authenticate with user and password (scheme digest).",
    ),
    key(
        "DigestAuthenticationProvider.digestAlg",
        Kind::Str,
        "SHA1",
        "The hash of these passwords in ACLs: MD5, SHA1, SHA-224 to SHA-512, SHA3-224 to SHA3-512.",
    ),
    optional(
        "java.security.auth.login.config",
        Kind::Str,
        "A JAAS file whose users can log in by SASL, DIGEST-MD5: user_NAME=\"PASSWORD\" of a DigestLoginModule.",
    ),
    key(
        "sasl.serverconfig",
        Kind::Str,
        "Server",
        "The section of that file.",
    ),
    optional(
        "SASLAuthenticationProvider.superPassword",
        Kind::Password,
        "The password of the user super, if that file names one; it takes the place of the one there.",
    ),
    optional(
        "superUser",
        Kind::Str,
        "A SASL user who passes every ACL; more of them as superUser.1, superUser.2 ...",
    ),
    optional(
        "letAnySaslUserDoX",
        Kind::Str,
        "What is allowed to this SASL name in an ACL is allowed to everybody with a SASL name.",
    ),
    key(
        "allowSaslFailedClients",
        Kind::Bool,
        "false",
        "Whether a client stays connected, as nobody, when its SASL login fails.",
    ),
    key(
        "sessionRequireClientSASLAuth",
        Kind::Bool,
        "false",
        "Whether clients must log in by SASL before they ask for anything.",
    ),
    key(
        "enforce.auth.enabled",
        Kind::Bool,
        "false",
        "Whether clients must authenticate by one of enforce.auth.schemes before they ask for anything.",
    ),
    optional(
        "enforce.auth.schemes",
        Kind::List,
        "Some of ip, digest, sasl. (sasl needs authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider, which also lets SASL names stand in ACLs.)",
    ),
];
