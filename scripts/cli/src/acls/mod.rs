//! `kafka acls`: who may do what, kept by the brokers' authorizer or, as before
//! KIP-4, written straight into its znodes.
//!
//! Flow: `arguments` makes entries of the options → `Store` adds, removes or finds
//! them → lines as Kafka's tool prints them.

mod arguments;
mod brokers;
mod model;
mod znodes;

use std::collections::BTreeMap;
use std::io::BufRead as _;

use crate::failure::{Failure, Outcome};
use crate::options::{Options, key_values};
use crate::{admin, console, runtime};
use arguments::Entries;
use model::{Entry, Pattern};

const PURPOSE: &str = "This tool helps to manage acls on kafka.";
const AUTHORIZERS: [&str; 2] = [
    "kafka.security.authorizer.AclAuthorizer",
    "kafka.security.auth.SimpleAclAuthorizer",
];

/// Why the entries could not be read or changed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    #[error(transparent)]
    Connect(#[from] crate::zookeeper::Error),
    #[error(transparent)]
    Registry(#[from] broker::zk::Error),
    #[error("the entries of {0} cannot be understood")]
    Damaged(String),
}

/// Where entries are kept.
enum Store {
    Brokers(Box<crate::client::Client>),
    Znodes(znodes::Znodes),
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = arguments::parser();
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    arguments::check(&options).map_err(|message| Failure::usage(&parser, message))?;
    let plan = Plan::of(&options).map_err(|error| error.into_failure(&parser))?;
    runtime::block_on(async {
        let store = Store::open(&options).await?;
        let done = plan.carry_out(&store).await;
        if let Store::Znodes(znodes) = &store {
            znodes.close().await;
        }
        done.map_err(|error| match error {
            Error::Client(error) => {
                let cause = format!("{}: {error}", error.class());
                failed("java.util.concurrent.ExecutionException", &cause)
            }
            other => failed("org.apache.kafka.common.KafkaException", &other.to_string()),
        })
    })
}

/// Kafka's tool tells of errors on standard output.
fn failed(class: &str, message: &str) -> Failure {
    console::say(format_args!(
        "Error while executing ACL command: {message}\n{class}: {message}\n"
    ));
    Failure::told()
}

impl Store {
    async fn open(options: &Options) -> Result<Self, Failure> {
        if options.has("bootstrap-server") {
            let client = admin::client(options, "command-config").map_err(Failure::new)?;
            return Ok(Self::Brokers(Box::new(client)));
        }
        let class = options.text("authorizer").unwrap_or(AUTHORIZERS[0]);
        if !AUTHORIZERS.contains(&class) {
            return Err(failed("java.lang.ClassNotFoundException", class));
        }
        if options.has("zk-tls-config-file") {
            return Err(Failure::new("TLS to the coordinator is not served yet"));
        }
        let properties = key_values(&options.all("authorizer-properties"));
        let value = |key: &str| {
            let found = properties.iter().rev().find(|(name, _)| name == key);
            found.map(|(_, value)| value.as_str())
        };
        let servers = value("authorizer.zookeeper.url").or_else(|| value("zookeeper.connect"));
        let missing =
            "Missing required configuration \"zookeeper.connect\" which has no default value.";
        let servers = servers
            .ok_or_else(|| failed("org.apache.kafka.common.config.ConfigException", missing))?;
        let opened = znodes::Znodes::open(servers).await;
        opened.map(Self::Znodes).map_err(|error| {
            failed(
                "kafka.zookeeper.ZooKeeperClientTimeoutException",
                &error.to_string(),
            )
        })
    }

    async fn add(&self, pattern: &Pattern, entries: &[Entry]) -> Result<(), Error> {
        match self {
            Self::Brokers(client) => Ok(client.create_acls(pattern, entries).await?),
            Self::Znodes(znodes) => znodes.add(pattern, entries).await,
        }
    }

    /// Removes these entries, or all, of what a search finds.
    async fn remove(&self, search: &Pattern, entries: &[Entry]) -> Result<(), Error> {
        match self {
            Self::Brokers(client) => Ok(client.delete_acls(search, entries).await?),
            Self::Znodes(znodes) => znodes.remove(search, entries).await,
        }
    }

    /// What a search finds, or everything.
    async fn find(&self, search: Option<&Pattern>) -> Result<Vec<(Pattern, Entry)>, Error> {
        match self {
            Self::Brokers(client) => Ok(client.describe_acls(search).await?),
            Self::Znodes(znodes) => znodes.find(search).await,
        }
    }
}

/// What is to be done.
enum Plan {
    Add(Entries),
    Remove(Entries, bool),
    List(Vec<Pattern>, Vec<String>),
}

impl Plan {
    fn of(options: &Options) -> Result<Self, arguments::Error> {
        Ok(match options {
            _ if options.has("add") => Self::Add(arguments::to_add(options)?),
            _ if options.has("remove") => {
                Self::Remove(arguments::entries(options)?, options.has("force"))
            }
            _ => Self::List(
                arguments::patterns(options)?,
                arguments::principals(options, "principal")?,
            ),
        })
    }

    async fn carry_out(&self, store: &Store) -> Result<(), Error> {
        match self {
            Self::Add(entries) => {
                for (pattern, entries) in entries {
                    tell("Adding ACLs for resource", pattern, entries);
                    store.add(pattern, entries).await?;
                }
            }
            Self::Remove(entries, is_forced) => {
                for (pattern, entries) in entries {
                    if *is_forced || confirm(pattern, entries) {
                        store.remove(pattern, entries).await?;
                    }
                }
            }
            Self::List(searches, principals) => {
                let mut found = Vec::new();
                for search in searches {
                    found.extend(store.find(Some(search)).await?);
                }
                if searches.is_empty() {
                    found = store.find(None).await?;
                }
                list(found, principals);
            }
        }
        Ok(())
    }
}

fn lines(entries: &[Entry]) -> String {
    let lines: Vec<String> = entries.iter().map(|entry| format!("\t{entry}")).collect();
    lines.join("\n")
}

fn tell(what: &str, pattern: &Pattern, entries: &[Entry]) {
    console::say(format_args!("{what} `{pattern}`: \n {} \n", lines(entries)));
}

fn confirm(pattern: &Pattern, entries: &[Entry]) -> bool {
    match entries.is_empty() {
        true => console::say(format_args!(
            "Are you sure you want to delete all ACLs for resource filter `{pattern}`? (y/n)"
        )),
        false => console::say(format_args!(
            "Are you sure you want to remove ACLs: \n {} \n from resource filter `{pattern}`? (y/n)",
            lines(entries)
        )),
    }
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok()
        && answer
            .trim_end_matches(['\r', '\n'])
            .eq_ignore_ascii_case("y")
}

fn list(found: Vec<(Pattern, Entry)>, principals: &[String]) {
    let mut by_pattern: BTreeMap<Pattern, Vec<Entry>> = BTreeMap::new();
    for (pattern, entry) in found {
        let entries = by_pattern.entry(pattern).or_default();
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    const CURRENT: &str = "Current ACLs for resource";
    if principals.is_empty() {
        by_pattern
            .iter()
            .for_each(|(pattern, entries)| tell(CURRENT, pattern, entries));
    }
    for principal in principals {
        console::say(format_args!("ACLs for principal `{principal}`"));
        for (pattern, entries) in &by_pattern {
            let own: Vec<Entry> = entries
                .iter()
                .filter(|entry| entry.principal == *principal)
                .cloned()
                .collect();
            if !own.is_empty() {
                tell(CURRENT, pattern, &own);
            }
        }
    }
}
