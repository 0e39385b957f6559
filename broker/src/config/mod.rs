//! The broker's configuration: Kafka's keys, parsed once into checked values.
//!
//! Flow: file and overrides -> key table -> `Config`, of which each part of
//! the broker receives its own piece.
//!
//! **Invariant:** a key that the operator wrote is in effect, named in a
//! warning, or an error; never ignored in silence.

mod accepted;
mod addresses;
pub mod catalog;
mod cleaner;
mod dynamic;
mod keys;
mod listener_bounds;
mod listeners;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::config::{Origin, Properties, PropertiesError, Values};
use common::http::PortOrigin;

pub use addresses::{Error as AddressesError, connections_of_hosts};
pub use cleaner::cleaner;
pub use dynamic::{Dynamic, Layers, Props, Refusal, Scope};
pub use keys::TABLE;
pub use listener_bounds::ListenerBounds;
pub use listeners::{ListenerAddress, endpoints, is_wildcard};

use crate::model::{BrokerId, MetadataVersion};

/// Why a broker cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Properties(#[from] PropertiesError),
    #[error(transparent)]
    Value(#[from] common::config::Error),
    #[error("{origin}: {key}={value}: {reason}")]
    Invalid {
        origin: String,
        key: &'static str,
        value: String,
        reason: String,
    },
    #[error(transparent)]
    Listener(#[from] catalog::ValueError),
    #[error("{0} is missing: it has no default")]
    Missing(&'static str),
}

/// How the coordinator is reached.
#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    pub connect: String,
    pub session_timeout: Duration,
    pub connection_timeout: Duration,
    pub in_flight_max: usize,
}

/// The admin HTTP server.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    pub address: IpAddr,
    pub port: u16,
    pub port_origin: PortOrigin,
}

/// Everything a broker is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// `None` takes a generated id.
    pub broker_id: Option<BrokerId>,
    pub reserved_broker_id_max: BrokerId,
    pub rack: Option<String>,
    pub coordinator: CoordinatorConfig,
    pub listeners: Vec<ListenerAddress>,
    pub advertised_listeners: Vec<ListenerAddress>,
    /// Name of the listener at which brokers reach each other.
    pub inter_broker_listener: String,
    /// What all brokers of the cluster speak among themselves.
    pub inter_broker_version: MetadataVersion,
    pub log_dirs: Vec<PathBuf>,
    pub admin: Option<AdminConfig>,
    pub log_level: String,
    /// All checked values, for the parts that take many of them.
    pub values: Values,
    /// Every key as the operator wrote it, those without effect included.
    pub written: BTreeMap<String, String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads `file` and applies `key=value` overrides.
    pub fn load(file: &Path, overrides: &[String]) -> Result<Self, Error> {
        let mut properties = Properties::load(file)?;
        properties.apply_overrides(overrides.iter().map(String::as_str))?;
        Self::from_properties(&properties)
    }

    /// Checks `properties` and fills in the defaults.
    pub fn from_properties(properties: &Properties) -> Result<Self, Error> {
        let (values, unknown) = TABLE.resolve(properties)?;
        refuse_what_would_be_unsafe(properties)?;
        let warnings = unknown
            .iter()
            .filter(|warning| !listener_bounds::is_bound(&warning.key))
            .map(|warning| match accepted::reason(&warning.key) {
                Some(reason) => format!(
                    "{}: {} has no effect here: {reason}",
                    warning.origin, warning.key
                ),
                None => warning.to_string(),
            })
            .collect();
        let (listeners, advertised_listeners) = listeners_of(&values)?;
        cleaner(&values)?;
        connections_of_hosts(&values)
            .map_err(|error| invalid(&values, "max.connections.per.ip.overrides", error))?;
        let written: Props = properties
            .iter()
            .map(|(key, value, _)| (key.to_owned(), value.to_owned()))
            .collect();
        let inter_broker_listener = inter_broker_listener(&values, &listeners)?;
        ListenerBounds::of(&written, &listeners, &inter_broker_listener)?;
        Ok(Self {
            broker_id: broker_id(&values, properties)?,
            reserved_broker_id_max: values.i32("reserved.broker.max.id"),
            rack: values.opt_str("broker.rack").map(str::to_owned),
            coordinator: coordinator(&values)?,
            inter_broker_listener,
            inter_broker_version: inter_broker_version(&values)?,
            listeners,
            advertised_listeners,
            log_dirs: log_dirs(&values)?,
            admin: admin(&values)?,
            log_level: values.str("log.level").to_owned(),
            warnings,
            values,
            written,
        })
    }
}

/// A duration key in milliseconds.
#[must_use]
pub fn millis(values: &Values, name: &str) -> Duration {
    Duration::from_millis(u64::try_from(values.i64(name)).unwrap_or(0))
}

fn invalid(values: &Values, key: &'static str, reason: impl ToString) -> Error {
    Error::Invalid {
        origin: values
            .origin(key)
            .map_or_else(|| "default".to_owned(), Origin::to_string),
        key,
        value: values.str(key).to_owned(),
        reason: reason.to_string(),
    }
}

/// A cluster that its operator believes to be protected must not start open.
fn refuse_what_would_be_unsafe(properties: &Properties) -> Result<(), Error> {
    const AUTHORIZER: &str = "authorizer.class.name";
    match properties.get(AUTHORIZER).filter(|value| !value.is_empty()) {
        Some(class) => Err(Error::Invalid {
            origin: properties
                .origin(AUTHORIZER)
                .map_or_else(String::new, Origin::to_string),
            key: AUTHORIZER,
            value: class.to_owned(),
            reason: "authorization is not served yet, and the broker does not start without it"
                .to_owned(),
        }),
        None => Ok(()),
    }
}

fn broker_id(values: &Values, properties: &Properties) -> Result<Option<BrokerId>, Error> {
    match values.i32("broker.id") {
        -1 if values.bool("broker.id.generation.enable") => Ok(None),
        -1 => {
            let written = properties.get("broker.id").is_some();
            let reason = match written {
                true => "-1 needs broker.id.generation.enable=true",
                false => "it is missing, and broker.id.generation.enable is false",
            };
            Err(invalid(values, "broker.id", reason))
        }
        id => Ok(Some(id)),
    }
}

fn coordinator(values: &Values) -> Result<CoordinatorConfig, Error> {
    let connect = values
        .opt_str("zookeeper.connect")
        .ok_or(Error::Missing("zookeeper.connect"))?;
    let session = values.i32("zookeeper.session.timeout.ms");
    let connection = values
        .opt_i32("zookeeper.connection.timeout.ms")
        .unwrap_or(session);
    let ms = |value: i32| Duration::from_millis(u64::from(value.unsigned_abs()));
    Ok(CoordinatorConfig {
        connect: connect.to_owned(),
        session_timeout: ms(session),
        connection_timeout: ms(connection),
        in_flight_max: values
            .i32("zookeeper.max.in.flight.requests")
            .unsigned_abs() as usize,
    })
}

type Listeners = (Vec<ListenerAddress>, Vec<ListenerAddress>);

fn listeners_of(values: &Values) -> Result<Listeners, Error> {
    const LISTENERS: &str = "listeners";
    const ADVERTISED: &str = "advertised.listeners";
    const MAP: &str = "listener.security.protocol.map";
    let map = listeners::protocol_map(&values.list(MAP)).map_err(|e| invalid(values, MAP, e))?;
    let own =
        listeners::parse(&values.list(LISTENERS)).map_err(|e| invalid(values, LISTENERS, e))?;
    for listener in &own {
        listeners::check_protocol(&listener.name, &map)
            .map_err(|e| invalid(values, LISTENERS, e))?;
    }
    listeners::check_ports(&own).map_err(|e| invalid(values, LISTENERS, e))?;
    if !values.is_set(ADVERTISED) || values.list(ADVERTISED).is_empty() {
        return Ok((own, Vec::new()));
    }
    let advertised =
        listeners::parse(&values.list(ADVERTISED)).map_err(|e| invalid(values, ADVERTISED, e))?;
    for address in &advertised {
        if !own.iter().any(|listener| listener.name == address.name) {
            let error = listeners::Error::NotListening(address.name.clone());
            return Err(invalid(values, ADVERTISED, error));
        }
        if is_wildcard(&address.host) {
            return Err(invalid(values, ADVERTISED, listeners::Error::Wildcard));
        }
    }
    Ok((own, advertised))
}

/// The name that `inter.broker.listener.name` gives, else the one that is its
/// own security protocol.
fn inter_broker_listener(values: &Values, listeners: &[ListenerAddress]) -> Result<String, Error> {
    const NAME: &str = "inter.broker.listener.name";
    const PROTOCOL: &str = "security.inter.broker.protocol";
    let named = values.opt_str(NAME).filter(|name| !name.is_empty());
    if named.is_some() && values.is_set(PROTOCOL) {
        let reason = format!("it cannot be set together with {PROTOCOL}");
        return Err(invalid(values, NAME, reason));
    }
    let (key, name) = match named {
        Some(name) => (NAME, name.to_ascii_uppercase()),
        None => (PROTOCOL, values.str(PROTOCOL).to_owned()),
    };
    if listeners.iter().any(|listener| listener.name == name) {
        return Ok(name);
    }
    let names: Vec<&str> = listeners.iter().map(|l| l.name.as_str()).collect();
    let reason = format!(
        "brokers reach each other at one of the listeners: set {NAME} to one of {}",
        names.join(",")
    );
    Err(invalid(values, key, reason))
}

fn inter_broker_version(values: &Values) -> Result<MetadataVersion, Error> {
    const KEY: &str = "inter.broker.protocol.version";
    let version = values.str(KEY).parse();
    version.map_err(|error| invalid(values, KEY, error))
}

fn log_dirs(values: &Values) -> Result<Vec<PathBuf>, Error> {
    let dirs = match values.list("log.dirs") {
        dirs if dirs.is_empty() => vec![values.str("log.dir").to_owned()],
        dirs => dirs,
    };
    let mut seen = std::collections::HashSet::new();
    for dir in &dirs {
        if !seen.insert(dir) {
            return Err(invalid(
                values,
                "log.dirs",
                format!("{dir} is there more than once"),
            ));
        }
    }
    Ok(dirs.into_iter().map(PathBuf::from).collect())
}

fn admin(values: &Values) -> Result<Option<AdminConfig>, Error> {
    const ADDRESS: &str = "admin.serverAddress";
    const PORT: &str = "admin.serverPort";
    if !values.bool("admin.enableServer") {
        return Ok(None);
    }
    let address = match values.str(ADDRESS) {
        "localhost" => "127.0.0.1",
        other => other,
    };
    let address = address
        .parse()
        .map_err(|_| invalid(values, ADDRESS, "expected an IP address"))?;
    let port_origin = match values.is_set(PORT) {
        true => PortOrigin::Configured,
        false => PortOrigin::Default,
    };
    Ok(Some(AdminConfig {
        address,
        port: u16::try_from(values.i32(PORT)).map_err(|e| invalid(values, PORT, e))?,
        port_origin,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, Error> {
        let origin = Origin::File(PathBuf::from("server.properties"));
        Config::from_properties(&Properties::parse(text.as_bytes(), origin).unwrap())
    }

    fn refusal(text: &str) -> String {
        let text = format!("zookeeper.connect=localhost:2181\n{text}");
        config(&text).unwrap_err().to_string()
    }

    #[test]
    fn kafkas_quickstart_file_is_understood() {
        let config = config(
            "broker.id=0\nnum.network.threads=3\nlog.dirs=/tmp/kafka-logs\n\
             zookeeper.connect=localhost:2181/chroot\ngroup.initial.rebalance.delay.ms=0\n",
        )
        .unwrap();
        assert_eq!(config.broker_id, Some(0));
        assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
        assert_eq!(
            config.coordinator.connection_timeout,
            Duration::from_secs(18)
        );
        assert_eq!(
            config.warnings,
            [
                "server.properties: num.network.threads has no effect here: there are no pools of \
              threads and no purgatories to size"
            ]
        );
    }

    #[test]
    fn refusals_name_file_key_value_and_reason() {
        assert_eq!(
            refusal("listeners=SSL://:9093"),
            "server.properties: listeners=SSL://:9093: listener SSL needs SSL, \
             and only PLAINTEXT is served"
        );
        assert!(refusal("authorizer.class.name=kafka.A").contains("authorization is not served"));
        assert!(
            refusal("listeners=A://:1\nlistener.security.protocol.map=A:PLAINTEXT").contains(
                "security.inter.broker.protocol=PLAINTEXT: brokers reach each other at one of the \
             listeners: set inter.broker.listener.name to one of A"
            )
        );
        assert!(
            refusal("inter.broker.listener.name=A\nsecurity.inter.broker.protocol=PLAINTEXT")
                .contains("cannot be set together")
        );
        assert!(refusal("log.dirs=/a,/a").contains("/a is there more than once"));
        assert!(refusal("advertised.listeners=X://h:1").contains("not among listeners"));
        assert!(refusal("advertised.listeners=PLAINTEXT://0.0.0.0:1").contains("0.0.0.0"));
        assert_eq!(
            config("broker.id=1").unwrap_err().to_string(),
            "zookeeper.connect is missing: it has no default"
        );
    }

    #[test]
    fn the_shipped_file_documents_every_key_with_its_default() {
        let text = include_str!("../../../config/broker.properties");
        for key in TABLE.keys() {
            let shown = format!("#{}={}", key.name, key.default.unwrap_or_default());
            let set = format!("{}=", key.name);
            let documented = text
                .lines()
                .any(|line| line == shown || line.starts_with(&set));
            assert!(documented, "{} is not documented", key.name);
        }
        let config = config(text).unwrap();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}
