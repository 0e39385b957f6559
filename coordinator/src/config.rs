//! The keys of `zoo.cfg`, and what they make of the daemon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::config::{Key, Kind, Origin, Properties, PropertiesError, Table, Values};
use common::http::PortOrigin;

use crate::storage::Options;

const INT: Kind = Kind::Int {
    min: 0,
    max: i32::MAX,
};
const ANY_INT: Kind = Kind::Int {
    min: -1,
    max: i32::MAX,
};
const POSITIVE: Kind = Kind::Int {
    min: 1,
    max: i32::MAX,
};
const PORT: Kind = Kind::Int { min: 0, max: 65535 };

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        doc,
    }
}

const fn optional(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: None,
        doc,
    }
}

/// A key that is accepted for the sake of existing files, and changes nothing.
const fn ignored(name: &'static str, kind: Kind) -> Key {
    optional(name, kind, NO_EFFECT)
}

/// How the documentation of a key without effect begins.
const NO_EFFECT: &str = "Accepted, without effect.";

/// Every key, by ZooKeeper's names and with its defaults unless said otherwise.
pub const KEYS: &[Key] = &[
    optional(
        "dataDir",
        Kind::Str,
        "Where snapshots are kept, and logs unless dataLogDir is set.",
    ),
    optional(
        "dataLogDir",
        Kind::Str,
        "Where transaction logs are kept; best on a disk of its own.",
    ),
    key(
        "clientPort",
        PORT,
        "2181",
        "The port for clients; 0 takes a free one.",
    ),
    optional(
        "clientPortAddress",
        Kind::Str,
        "The address to listen on; all if not set.",
    ),
    key(
        "tickTime",
        POSITIVE,
        "3000",
        "Milliseconds; sessions expire at multiples of it.",
    ),
    key(
        "minSessionTimeout",
        ANY_INT,
        "-1",
        "Milliseconds; -1 for two ticks.",
    ),
    key(
        "maxSessionTimeout",
        ANY_INT,
        "-1",
        "Milliseconds; -1 for twenty ticks.",
    ),
    key(
        "maxClientCnxns",
        INT,
        "60",
        "Connections per client address; 0 for any number.",
    ),
    key(
        "snapCount",
        Kind::Int {
            min: 2,
            max: i32::MAX,
        },
        "100000",
        "About how many transactions there are between snapshots.",
    ),
    key(
        "preAllocSize",
        POSITIVE,
        "65536",
        "KiB; the largest step in which a log file grows.",
    ),
    key(
        "autopurge.snapRetainCount",
        Kind::Int {
            min: 3,
            max: i32::MAX,
        },
        "3",
        "How many snapshots are kept, with the logs behind them. Older ones are deleted after each snapshot.",
    ),
    key(
        "forceSync",
        Kind::OneOf(&["yes", "no"]),
        "yes",
        "no: do not wait for the disk. A power cut then loses acknowledged writes.",
    ),
    key(
        "4lw.commands.whitelist",
        Kind::List,
        "srvr,ruok,stat,mntr,isro",
        "The four-letter words that are answered, * for all. (ZooKeeper's default is srvr alone.)",
    ),
    key(
        "admin.enableServer",
        Kind::Bool,
        "true",
        "Whether there is an admin port.",
    ),
    key(
        "admin.serverAddress",
        Kind::Str,
        "127.0.0.1",
        "The address of the admin port. (ZooKeeper's default is all addresses.)",
    ),
    key(
        "admin.serverPort",
        PORT,
        "8080",
        "The admin port. If it is not set and busy, the next free one is taken.",
    ),
    key(
        "jute.maxbuffer",
        Kind::Int {
            min: 1024,
            max: 1 << 30,
        },
        "1048575",
        "Bytes; the largest request. A larger one closes the connection.",
    ),
    key(
        "globalOutstandingLimit",
        POSITIVE,
        "1000",
        "Requests waiting for the disk, above which no more are read.",
    ),
    optional(
        "DigestAuthenticationProvider.superDigest",
        Kind::Password,
        "super:<hash>; who proves to be this user passes every ACL.",
    ),
    key(
        "extendedTypesEnabled",
        Kind::OneOf(&["false"]),
        "false",
        "TTL nodes are not served yet.",
    ),
    ignored("initLimit", INT),
    ignored("syncLimit", INT),
    ignored("connectToLearnerMasterLimit", INT),
    ignored("electionAlg", INT),
    ignored("autopurge.purgeInterval", INT),
    ignored("clientPortListenBacklog", ANY_INT),
    ignored("maxCnxns", INT),
    ignored("flushDelay", INT),
    ignored("maxWriteQueuePollTime", INT),
    ignored("maxBatchSize", INT),
    ignored("fsync.warningthresholdms", INT),
    ignored("reconfigEnabled", Kind::Bool),
    ignored("standaloneEnabled", Kind::Bool),
    ignored("quorumListenOnAllIPs", Kind::Bool),
    ignored("localSessionsEnabled", Kind::Bool),
    ignored("localSessionsUpgradingEnabled", Kind::Bool),
    ignored("snapshot.trust.empty", Kind::Bool),
    ignored("snapshot.compression.method", Kind::Str),
    ignored("snapSizeLimitInKb", INT),
    ignored("syncEnabled", Kind::Bool),
    ignored("admin.idleTimeout", INT),
    ignored("admin.commandURL", Kind::Str),
    ignored("metricsProvider.className", Kind::Str),
    ignored("metricsProvider.httpHost", Kind::Str),
    ignored("metricsProvider.httpPort", ANY_INT),
    ignored("metricsProvider.exportJvmInfo", Kind::Bool),
    ignored("znode.container.checkIntervalMs", INT),
    ignored("znode.container.maxPerMinute", INT),
    ignored("request.timeout", INT),
    ignored("audit.enable", Kind::OneOf(&["false"])),
    ignored("enforceQuota", Kind::OneOf(&["false"])),
    ignored("skipACL", Kind::OneOf(&["no"])),
    ignored("readonlymode.enabled", Kind::OneOf(&["false"])),
    ignored("sslQuorum", Kind::OneOf(&["false"])),
    ignored("ssl.quorum.reloadCertFiles", Kind::Bool),
    ignored("client.portUnification", Kind::OneOf(&["false"])),
    ignored("dynamicConfigFile", Kind::OneOf(&[""])),
];

/// Prefixes of keys that would make a server of an ensemble, or one with TLS.
const NOT_YET: [(&str, &str); 4] = [
    ("server.", "ensembles are not served yet"),
    ("secureClientPort", "TLS is not served yet"),
    (
        "authProvider.",
        "authentication providers are not served yet",
    ),
    (
        "requireClientAuthScheme",
        "authentication providers are not served yet",
    ),
];

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Properties(#[from] PropertiesError),
    #[error(transparent)]
    Value(#[from] common::config::Error),
    #[error("dataDir is not set")]
    NoDataDir,
    #[error("{origin}: {key}={value}: {problem}")]
    Problem {
        origin: Origin,
        key: String,
        value: String,
        problem: &'static str,
    },
    #[error("{key} expects an IP address or a host name that resolves, not '{value}'")]
    Address { key: &'static str, value: String },
    #[error("minSessionTimeout ({min}) is larger than maxSessionTimeout ({max})")]
    Timeouts { min: i32, max: i32 },
}

/// Everything that the daemon was told.
#[derive(Debug, Clone)]
pub struct Config {
    pub storage: Options,
    pub client_address: SocketAddr,
    pub tick: Duration,
    pub session_timeout_ms_min: i32,
    pub session_timeout_ms_max: i32,
    /// 0 for any number.
    pub connections_per_ip_max: usize,
    pub frame_max: usize,
    pub outstanding_max: usize,
    pub words: Vec<String>,
    pub admin: Option<Admin>,
    pub super_digest: Option<String>,
    /// What the operator should hear once logging works.
    pub warnings: Vec<String>,
}

/// The admin port.
#[derive(Debug, Clone, Copy)]
pub struct Admin {
    pub address: IpAddr,
    pub port: u16,
    pub origin: PortOrigin,
}

impl Config {
    /// Reads a file, if there is one, under `key=value` overrides.
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, Error> {
        let mut properties = match file {
            Some(file) => Properties::load(file)?,
            None => Properties::default(),
        };
        properties.apply_overrides(overrides.iter().map(String::as_str))?;
        Self::resolve(&properties)
    }

    /// Makes a configuration of what was written.
    pub fn resolve(properties: &Properties) -> Result<Self, Error> {
        let properties = &without_prefix(properties);
        refuse_not_yet(properties)?;
        let (values, warnings) = Table::new(KEYS).resolve(properties)?;
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        warnings.extend(without_effect(&values));
        let ticks = values.i32("tickTime");
        let timeout = |name, ticks_default: i32| match values.i32(name) {
            -1 => ticks.saturating_mul(ticks_default),
            ms => ms,
        };
        let min = timeout("minSessionTimeout", 2);
        let max = timeout("maxSessionTimeout", 20);
        if min > max {
            return Err(Error::Timeouts { min, max });
        }
        Ok(Self {
            storage: storage(&values)?,
            client_address: client_address(&values)?,
            tick: Duration::from_millis(unsigned(&values, "tickTime") as u64),
            session_timeout_ms_min: min,
            session_timeout_ms_max: max,
            connections_per_ip_max: unsigned(&values, "maxClientCnxns"),
            frame_max: unsigned(&values, "jute.maxbuffer"),
            outstanding_max: unsigned(&values, "globalOutstandingLimit"),
            words: values.list("4lw.commands.whitelist"),
            admin: admin(&values)?,
            super_digest: values
                .opt_str("DigestAuthenticationProvider.superDigest")
                .map(str::to_owned),
            warnings,
        })
    }

    /// A server for tests: one directory, free ports on loopback.
    #[must_use]
    pub fn for_tests(data_dir: &Path) -> Self {
        let overrides = [
            format!("dataDir={}", data_dir.display()),
            "clientPort=0".to_owned(),
            "clientPortAddress=127.0.0.1".to_owned(),
            "admin.serverPort=0".to_owned(),
            "tickTime=200".to_owned(),
            "maxSessionTimeout=60000".to_owned(),
            "maxClientCnxns=0".to_owned(),
        ];
        Self::load(None, &overrides).expect("these values are allowed")
    }

    pub(crate) fn allows_word(&self, word: &str) -> bool {
        self.words
            .iter()
            .any(|allowed| allowed == word || allowed == "*")
    }
}

/// ZooKeeper takes its system properties from the same file, with or without
/// their prefix.
fn without_prefix(properties: &Properties) -> Properties {
    let mut stripped = Properties::default();
    for (key, value, origin) in properties.iter() {
        let key = key.strip_prefix("zookeeper.").unwrap_or(key);
        stripped.set(key, value, origin.clone());
    }
    stripped
}

fn refuse_not_yet(properties: &Properties) -> Result<(), Error> {
    for (key, value, origin) in properties.iter() {
        let reason = NOT_YET.iter().find(|(prefix, _)| key.starts_with(prefix));
        if let Some((_, problem)) = reason {
            return Err(Error::Problem {
                origin: origin.clone(),
                key: key.to_owned(),
                value: value.to_owned(),
                problem,
            });
        }
    }
    Ok(())
}

/// A note about each key that was written and changes nothing.
fn without_effect(values: &Values) -> Vec<String> {
    KEYS.iter()
        .filter(|key| key.doc == NO_EFFECT)
        .filter_map(|key| values.origin(key.name).map(|origin| (key.name, origin)))
        .map(|(name, origin)| format!("{origin}: '{name}' is accepted without effect"))
        .collect()
}

/// A number that its kind has shown not to be negative.
fn unsigned(values: &Values, name: &str) -> usize {
    usize::try_from(values.i32(name)).unwrap_or(0)
}

fn storage(values: &Values) -> Result<Options, Error> {
    let data_dir = PathBuf::from(values.opt_str("dataDir").ok_or(Error::NoDataDir)?);
    let log_dir = values.opt_str("dataLogDir").map(PathBuf::from);
    Ok(Options {
        log_dir: log_dir.unwrap_or_else(|| data_dir.clone()),
        data_dir,
        preallocate: unsigned(values, "preAllocSize") as u64 * 1024,
        snap_count: u32::try_from(values.i32("snapCount")).unwrap_or(u32::MAX),
        retain: unsigned(values, "autopurge.snapRetainCount"),
        sync: values.str("forceSync") == "yes",
    })
}

fn client_address(values: &Values) -> Result<SocketAddr, Error> {
    let port = u16::try_from(values.i32("clientPort")).unwrap_or_default();
    let ip = match values.opt_str("clientPortAddress") {
        Some(_) => address(values, "clientPortAddress")?,
        None if has_ipv6() => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Ok(SocketAddr::new(ip, port))
}

/// With IPv6 one socket serves both families.
fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

fn address(values: &Values, key: &'static str) -> Result<IpAddr, Error> {
    use std::net::ToSocketAddrs;
    let value = values.str(key);
    let resolved = (value, 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    resolved
        .map(|address| address.ip())
        .ok_or_else(|| Error::Address {
            key,
            value: value.to_owned(),
        })
}

fn admin(values: &Values) -> Result<Option<Admin>, Error> {
    if !values.bool("admin.enableServer") {
        return Ok(None);
    }
    Ok(Some(Admin {
        address: address(values, "admin.serverAddress")?,
        port: u16::try_from(values.i32("admin.serverPort")).unwrap_or_default(),
        origin: match values.is_set("admin.serverPort") {
            true => PortOrigin::Configured,
            false => PortOrigin::Default,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(overrides: &[&str]) -> Result<Config, Error> {
        let mut all = vec!["dataDir=/tmp/x".to_owned()];
        all.extend(overrides.iter().map(ToString::to_string));
        Config::load(None, &all)
    }

    #[test]
    fn defaults_are_those_of_zookeeper() {
        let config = load(&["tickTime=2000"]).unwrap();
        assert_eq!(config.client_address.port(), 2181);
        assert_eq!(config.session_timeout_ms_min, 4000);
        assert_eq!(config.session_timeout_ms_max, 40_000);
        assert_eq!(config.connections_per_ip_max, 60);
        assert_eq!(config.frame_max, 0xfffff);
        assert_eq!(config.storage.log_dir, config.storage.data_dir);
        assert!(config.allows_word("ruok") && !config.allows_word("dump"));
        assert!(config.warnings.is_empty());
    }

    #[test]
    fn what_is_not_known_or_not_used_is_said() {
        let config = load(&["tikTime=1", "initLimit=10", "zookeeper.snapCount=10"]).unwrap();
        assert_eq!(config.storage.snap_count, 10);
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
        assert!(config.warnings[0].contains("did you mean 'tickTime'"));
        assert!(config.warnings[1].contains("without effect"));
    }

    #[test]
    fn what_would_be_silently_missing_is_refused() {
        for text in [
            "server.1=a:2888:3888",
            "secureClientPort=2281",
            "authProvider.sasl=x",
            "skipACL=yes",
            "enforceQuota=true",
            "extendedTypesEnabled=true",
            "tickTime=0",
            "clientPort=70000",
            "clientPortAddress=no.such.host.invalid",
        ] {
            assert!(load(&[text]).is_err(), "{text}");
        }
        let error = load(&["minSessionTimeout=9", "maxSessionTimeout=8"]).unwrap_err();
        assert!(matches!(error, Error::Timeouts { .. }));
        assert!(matches!(Config::load(None, &[]), Err(Error::NoDataDir)));
    }

    #[test]
    fn every_key_is_in_the_commented_file() {
        let file = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../config/coordinator.properties"
        );
        let text = std::fs::read_to_string(file).unwrap();
        for key in KEYS {
            let line = format!("#{}={}", key.name, key.default.unwrap_or_default());
            let is_set = text.contains(&format!("\n{}=", key.name));
            assert!(
                is_set || text.lines().any(|l| l == line),
                "{line} is missing"
            );
            assert!(
                key.doc == NO_EFFECT || text.contains(key.doc),
                "{}",
                key.name
            );
        }
        for name in ["coordinator", "zookeeper"] {
            let file = format!("{}/../config/{name}.properties", env!("CARGO_MANIFEST_DIR"));
            let config = Config::load(Some(Path::new(&file)), &[]).unwrap();
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
    }

    #[test]
    fn an_admin_port_that_was_written_is_meant() {
        let admin = load(&[]).unwrap().admin.unwrap();
        assert_eq!((admin.port, admin.origin), (8080, PortOrigin::Default));
        assert!(admin.address.is_loopback());
        let admin = load(&["admin.serverPort=8080"]).unwrap().admin.unwrap();
        assert_eq!(admin.origin, PortOrigin::Configured);
        assert!(load(&["admin.enableServer=false"]).unwrap().admin.is_none());
    }
}
