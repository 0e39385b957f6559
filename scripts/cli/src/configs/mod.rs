//! `kafka configs`: shows and changes the settings of topics, brokers, loggers,
//! users, clients and addresses.
//!
//! Flow: `arguments` checks the command line → `resources` (topics, brokers,
//! loggers) or `quotas` (users, clients, addresses) asks and prints.
//!
//! A change of a broker is sent as the difference, as Kafka 4 does: 3.9 sends
//! all settings back, which loses what somebody else changes meanwhile.

mod arguments;
mod quotas;
mod resources;
mod scram;

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::options::Options;
use crate::{admin, console, runtime};
use arguments::{CLIENTS, Changes, Entities, IPS, USERS};

const PURPOSE: &str = "This tool helps to manipulate and describe entity config for a topic, client, user, broker, ip or client-metrics";

/// Why a command failed after its options were read.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Told without the class of an exception.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    #[error(transparent)]
    Settings(#[from] crate::client::config::Error),
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = arguments::parser();
    // Kafka's tool tells these without the table of options.
    let options = parser.parse(words).map_err(Failure::new)?;
    let Some(options) = admin::parse(words, &parser, PURPOSE)?.map(|_| options) else {
        return Ok(());
    };
    if options.has("alter") == options.has("describe") {
        return Err(Failure::usage(
            &parser,
            "Command must include exactly one action: --describe, --alter",
        ));
    }
    options
        .forbid("describe", &["alter", "add-config", "delete-config"])
        .map_err(|error| Failure::usage(&parser, error))?;
    let entities = Entities::of(&options).map_err(Failure::new)?;
    runtime::block_on(async {
        execute(&options, &entities).await.map_err(|error| {
            let Error::Client(error) = error else {
                return Failure::new(error);
            };
            Failure::new(format!(
                "Error while executing config command with args '{}'\njava.util.concurrent.ExecutionException: {}: {error}",
                words.join(" "),
                error.class(),
            ))
        })
    })
}

async fn execute(options: &Options, entities: &Entities) -> Result<(), Error> {
    if options.has("zookeeper") {
        return Err(Error::Refused(
            "--zookeeper is not supported by this tool; use --bootstrap-server".to_owned(),
        ));
    }
    let mut settings = admin::settings(options, "command-config")?;
    if let Some(controllers) = options.text("bootstrap-controller") {
        settings.set("bootstrap.servers", controllers);
    }
    let client = admin::connect(&settings)?;
    match options.has("alter") {
        true => {
            let changes = Changes::of(options).map_err(Error::Refused)?;
            alter(&client, entities, &changes).await
        }
        false => describe(&client, entities, options.has("all")).await,
    }
}

async fn describe(client: &Client, entities: &Entities, is_all: bool) -> Result<(), Error> {
    match entities.types.first() {
        Some(&(USERS | CLIENTS | IPS)) => quotas::describe(client, entities).await,
        _ => resources::describe(client, entities, is_all).await,
    }
}

async fn alter(client: &Client, entities: &Entities, changes: &Changes) -> Result<(), Error> {
    match entities.types.first() {
        Some(&(USERS | CLIENTS | IPS)) => quotas::alter(client, entities, changes).await?,
        _ => resources::alter(client, entities, changes).await?,
    }
    let kind = entities.types.first().copied().unwrap_or_default();
    let name = entities.names.first().map_or("", String::as_str);
    console::say(match name {
        "" => format!("Completed updating default config for {kind} in the cluster."),
        name => format!("Completed updating config for {} {name}.", singular(kind)),
    });
    Ok(())
}

/// `topics` → `topic`.
fn singular(kind: &str) -> &str {
    let mut letters = kind.chars();
    letters.next_back();
    letters.as_str()
}

/// Fails when a setting to take back is not there.
fn check_deleted(changes: &Changes, is_set: impl Fn(&str) -> bool) -> Result<(), Error> {
    let invalid: Vec<&str> = changes
        .deleted
        .iter()
        .map(String::as_str)
        .filter(|name| !is_set(name))
        .collect();
    match invalid.is_empty() {
        true => Ok(()),
        false => Err(Error::Refused(format!(
            "Invalid config(s): {}",
            invalid.join(",")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_can_be_taken_back() {
        let changes = Changes {
            added: Vec::new(),
            deleted: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
        };
        assert!(check_deleted(&changes, |_| true).is_ok());
        assert_eq!(
            check_deleted(&changes, |name| name == "b")
                .unwrap_err()
                .to_string(),
            "Invalid config(s): a,c"
        );
        assert_eq!(singular("broker-loggers"), "broker-logger");
    }
}
