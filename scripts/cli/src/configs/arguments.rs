//! The command line of `kafka configs`: which entities, and which changes. Pure.

use std::net::ToSocketAddrs as _;

use crate::client::config::Settings;
use crate::options::{Options, Parser};

pub(super) const TOPICS: &str = "topics";
pub(super) const CLIENTS: &str = "clients";
pub(super) const USERS: &str = "users";
pub(super) const BROKERS: &str = "brokers";
pub(super) const IPS: &str = "ips";
pub(super) const LOGGERS: &str = "broker-loggers";
pub(super) const CLIENT_METRICS: &str = "client-metrics";

const BY_BROKERS: &[&str] = &[
    TOPICS,
    CLIENTS,
    USERS,
    BROKERS,
    IPS,
    LOGGERS,
    CLIENT_METRICS,
];
const BY_ZOOKEEPER: &[&str] = &[USERS, BROKERS];

/// The options that name one entity, and the type each stands for.
const FLAGS: &[(&str, &str)] = &[
    ("topic", TOPICS),
    ("client", CLIENTS),
    ("user", USERS),
    ("broker", BROKERS),
    ("broker-logger", LOGGERS),
    ("ip", IPS),
];
const DEFAULTS: &[(&str, &str)] = &[
    ("client-defaults", CLIENTS),
    ("user-defaults", USERS),
    ("broker-defaults", BROKERS),
    ("ip-defaults", IPS),
];

pub(super) fn parser() -> Parser {
    Parser::new()
        .text("zookeeper", "urls", "The ensemble, as host:port,host:port/chroot; only for SCRAM credentials of users and for brokers that are down. Deprecated.")
        .text("bootstrap-server", "server to connect to", "One or more brokers, as host:port,host:port.")
        .text("bootstrap-controller", "controller to connect to", "Accepted for compatibility: here brokers and controllers are the same.")
        .text("command-config", "command config property file", "A properties file with settings for the connection to the brokers.")
        .flag("alter", "Change settings.")
        .flag("describe", "Show settings.")
        .flag("all", "With --describe: all settings, also those that nobody changed.")
        .text("entity-type", "", "What the settings belong to: topics, clients, users, brokers, broker-loggers, ips or client-metrics.")
        .text("entity-name", "", "The name of the topic, client, user, address, or the id of the broker.")
        .flag("entity-default", "The default of clients, users, brokers or ips.")
        .text("add-config", "", "What to set, as k1=v1,k2=[v2,v2],k3=v3.")
        .text("add-config-file", "", "A properties file with what to set.")
        .text("delete-config", "", "What to take back, as k1,k2.")
        .flag("force", "Accepted for compatibility: nothing is ever asked.")
        .text("topic", "", "The topic.")
        .text("client", "", "The client's id.")
        .flag("client-defaults", "The default of all clients.")
        .text("user", "", "The user.")
        .flag("user-defaults", "The default of all users.")
        .text("broker", "", "The broker's id.")
        .flag("broker-defaults", "The default of all brokers.")
        .text("broker-logger", "", "The id of the broker whose loggers are meant.")
        .flag("ip-defaults", "The default of all addresses.")
        .text("ip", "", "The address.")
        .text("zk-tls-config-file", "ZooKeeper TLS configuration", "A properties file with settings for TLS to the ensemble.")
}

/// What the command is about: types and names, in the order given. An empty
/// name is the default; names may be fewer than types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entities {
    pub(super) types: Vec<&'static str>,
    pub(super) names: Vec<String>,
}

impl Entities {
    /// Checks the command line as Kafka's tool does, and finds its entities.
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let has = |name: &str| options.has(name);
        let types = types(options);
        let names = names(options);
        let by_brokers = has("bootstrap-server") || has("bootstrap-controller");
        let types = known_types(&types, by_brokers)?;
        let flags = FLAGS.iter().chain(DEFAULTS).any(|(flag, _)| has(flag));
        if (has("entity-name") || has("entity-type") || has("entity-default")) && flags {
            return Err("--entity-{type,name,default} should not be used in conjunction with specific entity flags".to_owned());
        }
        check_ways(options)?;
        let found = Self { types, names };
        found.check_names()?;
        let has_name = found.names.iter().any(|name| !name.is_empty());
        if has("describe") && found.types.contains(&LOGGERS) && !has_name {
            return Err(format!(
                "an entity name must be specified with --describe of {}",
                found.types.join(",")
            ));
        }
        if has("alter") {
            found.check_alteration(options, has_name)?;
        }
        Ok(found)
    }

    fn check_names(&self) -> Result<(), String> {
        let Some(first) = self.types.first() else {
            return Ok(());
        };
        for name in self.names.iter().filter(|name| !name.is_empty()) {
            if [BROKERS, LOGGERS].contains(first) && name.parse::<i32>().is_err() {
                return Err(format!(
                    "The entity name for {first} must be a valid integer broker id, but it is: {name}"
                ));
            }
            if *first == IPS && (name.as_str(), 0).to_socket_addrs().is_err() {
                return Err(format!(
                    "The entity name for {first} must be a valid IP or resolvable host, but it is: {name}"
                ));
            }
        }
        Ok(())
    }

    fn check_alteration(&self, options: &Options, has_name: bool) -> Result<(), String> {
        let may_be_default = [USERS, CLIENTS, BROKERS, IPS];
        if self.types.iter().any(|kind| may_be_default.contains(kind)) {
            if self.names.is_empty() {
                return Err("an entity-name or default entity must be specified with --alter of users, clients, brokers or ips".to_owned());
            }
        } else if !has_name {
            return Err(format!(
                "an entity name must be specified with --alter of {}",
                self.types.join(",")
            ));
        }
        let has = |name: &str| options.has(name);
        if has("add-config") && has("add-config-file") {
            return Err(
                "Only one of --add-config or --add-config-file must be specified".to_owned(),
            );
        }
        if !has("add-config") && !has("add-config-file") && !has("delete-config") {
            return Err("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter".to_owned());
        }
        if self.types.len() != self.names.len() {
            return Err("An entity name must be specified for every entity type".to_owned());
        }
        Ok(())
    }
}

fn types(options: &Options) -> Vec<String> {
    let mut types: Vec<String> = options
        .all("entity-type")
        .into_iter()
        .map(str::to_owned)
        .collect();
    let flags = FLAGS.iter().chain(DEFAULTS);
    types.extend(
        flags
            .filter(|(flag, _)| options.has(flag))
            .map(|(_, kind)| (*kind).to_owned()),
    );
    types
}

fn names(options: &Options) -> Vec<String> {
    let mut names: Vec<String> = options
        .written()
        .filter_map(|(option, value)| match option {
            "entity-name" => Some(value.unwrap_or_default().to_owned()),
            "entity-default" => Some(String::new()),
            _ => None,
        })
        .collect();
    let named = FLAGS.iter().filter_map(|(flag, _)| options.text(flag));
    names.extend(named.map(str::to_owned));
    let defaults = DEFAULTS.iter().filter(|(flag, _)| options.has(flag));
    names.extend(defaults.map(|_| String::new()));
    names
}

fn known_types(types: &[String], by_brokers: bool) -> Result<Vec<&'static str>, String> {
    let duplicates: Vec<&str> = types
        .iter()
        .enumerate()
        .filter(|(index, kind)| types[..*index].contains(kind))
        .map(|(_, kind)| kind.as_str())
        .collect();
    if !duplicates.is_empty() {
        return Err(format!(
            "Duplicate entity type(s) specified: {}",
            duplicates.join(",")
        ));
    }
    let (allowed, way) = match by_brokers {
        true => (BY_BROKERS, "--bootstrap-server or --bootstrap-controller"),
        false => (BY_ZOOKEEPER, "--zookeeper"),
    };
    let known = types
        .iter()
        .map(|kind| {
            let found = allowed.iter().find(|known| *known == kind).copied();
            found.ok_or_else(|| {
                format!(
                    "Invalid entity type {kind}, the entity type must be one of {} with a {way} argument",
                    allowed.join(", ")
                )
            })
        })
        .collect::<Result<Vec<&'static str>, String>>()?;
    let is_pair = known.len() == 2 && known.contains(&USERS) && known.contains(&CLIENTS);
    match known.len() {
        0 => Err("At least one entity type must be specified".to_owned()),
        2.. if !is_pair => {
            Err("Only 'users' and 'clients' entity types may be specified together".to_owned())
        }
        _ => Ok(known),
    }
}

/// There is one way to the cluster.
fn check_ways(options: &Options) -> Result<(), String> {
    let ways = ["bootstrap-server", "bootstrap-controller", "zookeeper"];
    match ways.iter().filter(|way| options.has(way)).count() {
        0 => return Err("One of the required --bootstrap-server, --boostrap-controller, or --zookeeper arguments must be specified".to_owned()),
        1 => {}
        _ => return Err("Only one of --bootstrap-server, --boostrap-controller, and --zookeeper can be specified".to_owned()),
    }
    if options.has("all") && options.has("zookeeper") {
        return Err("--bootstrap-server must be specified for --all".to_owned());
    }
    if options.has("zk-tls-config-file") && !options.has("zookeeper") {
        return Err(
            "Only the --zookeeper option can be used with the --zk-tls-config-file option."
                .to_owned(),
        );
    }
    Ok(())
}

/// What `--alter` changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: Vec<(String, String)>,
    pub(super) deleted: Vec<String>,
}

impl Changes {
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let mut added = Vec::new();
        if let Some(path) = options.text("add-config-file") {
            let file = Settings::load(path).map_err(|error| error.to_string())?;
            added.extend(file.into_pairs());
        }
        if let Some(list) = options.text("add-config") {
            added.extend(pairs(list)?);
        }
        // A later value of the same key wins.
        let mut unique: Vec<(String, String)> = Vec::new();
        for (key, value) in added {
            unique.retain(|(known, _)| *known != key);
            unique.push((key, value));
        }
        let deleted = options
            .all("delete-config")
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(|key| key.trim().to_owned())
            .collect();
        Ok(Self {
            added: unique,
            deleted,
        })
    }

    /// Both kinds in one list.
    pub(super) fn all(&self) -> Vec<(String, Option<String>)> {
        let added = self.added.iter().cloned();
        let deleted = self.deleted.iter().cloned();
        added
            .map(|(key, value)| (key, Some(value)))
            .chain(deleted.map(|key| (key, None)))
            .collect()
    }
}

/// Splits `k1=v1,k2=[v2,v3]`; commas and signs within brackets are not seen.
fn pairs(list: &str) -> Result<Vec<(String, String)>, String> {
    const FORM: &str = "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\".";
    let mut parts = split_outside_brackets(list, ',');
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    let bare = |value: &str| value.replace(['[', ']'], "").trim().to_owned();
    parts
        .into_iter()
        .map(|part| match split_outside_brackets(part, '=')[..] {
            [key, value] => Ok((key.trim().to_owned(), bare(value))),
            _ => Err(FORM.to_owned()),
        })
        .collect()
}

fn split_outside_brackets(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, letter) in text.char_indices() {
        let after = &text[at + letter.len_utf8()..];
        let until_open = after.split('[').next().unwrap_or_default();
        if letter == separator && !until_open.contains(']') {
            parts.push(&text[start..at]);
            start = at + letter.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parser().parse(&words).unwrap()
    }

    fn entities(line: &str) -> Result<Entities, String> {
        Entities::of(&options(&format!("--bootstrap-server a:1 {line}")))
    }

    #[test]
    fn both_ways_to_name_entities() {
        for line in [
            "--describe --entity-type topics --entity-name t",
            "--describe --topic t",
        ] {
            let found = entities(line).unwrap();
            assert_eq!(
                (found.types, found.names),
                (vec![TOPICS], vec!["t".to_owned()])
            );
        }
        let found = entities(
            "--describe --entity-type users --entity-default --entity-type clients --entity-name c",
        );
        let found = found.unwrap();
        assert_eq!(found.types, [USERS, CLIENTS]);
        assert_eq!(found.names, ["", "c"]);
        assert_eq!(
            entities("--describe --broker-defaults").unwrap().names,
            [""]
        );
        assert!(
            entities("--describe --entity-type brokers")
                .unwrap()
                .names
                .is_empty()
        );
    }

    #[test]
    fn what_is_refused_is_told_as_kafka_tells_it() {
        let cases = [
            ("--describe", "At least one entity type must be specified"),
            (
                "--describe --entity-type topic",
                "Invalid entity type topic, the entity type must be one of topics, clients, users, brokers, ips, broker-loggers, client-metrics with a --bootstrap-server or --bootstrap-controller argument",
            ),
            (
                "--describe --topic t --user u",
                "Only 'users' and 'clients' entity types may be specified together",
            ),
            (
                "--describe --entity-type brokers --entity-name x",
                "The entity name for brokers must be a valid integer broker id, but it is: x",
            ),
            (
                "--alter --entity-type topics --add-config a=b",
                "an entity name must be specified with --alter of topics",
            ),
            (
                "--alter --topic t",
                "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
            ),
        ];
        for (line, text) in cases {
            assert_eq!(entities(line).unwrap_err(), text, "{line}");
        }
        assert_eq!(
            Entities::of(&options("--describe --entity-type users")).unwrap_err(),
            "One of the required --bootstrap-server, --boostrap-controller, or --zookeeper arguments must be specified"
        );
    }

    #[test]
    fn changes_keep_brackets_together() {
        let changes = Changes::of(&options(
            "--add-config a=1,b=[x,y=z],c= --delete-config d,e",
        ))
        .unwrap();
        let text = |pair: (&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        assert_eq!(
            changes.added,
            [("a", "1"), ("b", "x,y=z"), ("c", "")].map(text)
        );
        assert_eq!(changes.deleted, ["d", "e"]);
        assert!(
            Changes::of(&options("--add-config a"))
                .unwrap_err()
                .contains("key=val")
        );
    }
}
