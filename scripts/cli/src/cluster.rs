//! `kafka cluster`: the cluster's id, and the end of a broker's registration.

use kafka_protocol::messages::{ApiKey, UnregisterBrokerRequest};

use crate::client::metadata::{AutoCreate, Topics};
use crate::client::{Client, Error, Lane};
use crate::failure::{Failure, Outcome};
use crate::options::Parser;
use crate::options::commands::Grammar;
use crate::{admin, bootstrap, console, runtime};

const COMMANDS: [&str; 2] = ["cluster-id", "unregister"];
const LETTERS: &[(char, &str)] = &[
    ('b', "bootstrap-server"),
    ('C', "bootstrap-controller"),
    ('c', "config"),
    ('i', "id"),
];
const TOOL: Grammar = Grammar {
    program: "kafka-cluster",
    usage: "usage: kafka-cluster [-h] {cluster-id,unregister} ...",
    purpose: "The Kafka cluster tool.",
    letters: &[],
};
const CLUSTER_ID: Grammar = Grammar {
    program: "kafka-cluster",
    usage: "usage: kafka-cluster cluster-id [-h] [--config CONFIG]
                     (--bootstrap-server BOOTSTRAP_SERVER |
                     --bootstrap-controller BOOTSTRAP_CONTROLLER)",
    purpose: "Shows the id of the cluster.",
    letters: LETTERS,
};
const UNREGISTER: Grammar = Grammar {
    program: "kafka-cluster",
    usage: "usage: kafka-cluster unregister [-h] [--config CONFIG] --id ID
                     (--bootstrap-server BOOTSTRAP_SERVER |
                     --bootstrap-controller BOOTSTRAP_CONTROLLER)",
    purpose: "Takes back the registration of a broker, where the cluster has the API for it.",
    letters: LETTERS,
};

fn parser() -> Parser {
    bootstrap::with_options(Parser::new(), "config", "CONFIG")
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let cut = TOOL.cut(words, &COMMANDS, &Parser::new())?;
    if let Some(stray) = cut.before.first() {
        return Err(TOOL.refused(format_args!("unrecognized arguments: '{stray}'")));
    }
    let has_id = cut.command == "unregister";
    let (grammar, parser) = match has_id {
        true => (UNREGISTER, parser().int("id", "ID", "The broker's id.")),
        false => (CLUSTER_ID, parser()),
    };
    let options = grammar.parse(cut.after, &parser)?;
    let required: &[&str] = if has_id { &["id"] } else { &[] };
    let settings = bootstrap::settings(&grammar, &options, "config", required)?;
    let id = options.i32("id").map_err(|error| grammar.refuse(&error))?;
    let client = admin::connect(&settings).map_err(Failure::new)?;
    runtime::block_on(async {
        match id {
            Some(id) => unregister(&client, id).await,
            None => cluster_id(&client).await,
        }
    })
}

async fn cluster_id(client: &Client) -> Outcome {
    let asked = client.retrying("listNodes", async || {
        client.refresh(Topics::Named(&[]), AutoCreate::Never).await
    });
    let answer = asked.await.map_err(failed)?;
    match answer.cluster_id {
        Some(id) => console::say(format_args!("Cluster ID: {id}")),
        None => console::say("No cluster ID found. The Kafka version is probably too old."),
    }
    Ok(())
}

async fn unregister(client: &Client, id: i32) -> Outcome {
    let attempt = client.retrying("unregisterBroker", async || {
        if client.brokers().is_empty() {
            client
                .refresh(Topics::Named(&[]), AutoCreate::Never)
                .await?;
        }
        let broker = client.any_broker()?;
        let key = ApiKey::UnregisterBroker as i16;
        if !client.versions(&broker).await?.contains_key(&key) {
            return Ok(false);
        }
        let request = |_| UnregisterBrokerRequest::default().with_broker_id(id.into());
        let answer = client.call(&broker, Lane::Control, request).await?;
        Error::check(answer.error_code, answer.error_message.as_deref())?;
        Ok(true)
    });
    match attempt.await.map_err(failed)? {
        true => console::say(format_args!("Broker {id} is no longer registered.")),
        // With ZooKeeper a registration ends with the broker's session.
        false => console::say("The target cluster does not support the broker unregistration API."),
    }
    Ok(())
}

fn failed(error: Error) -> Failure {
    let cause = format!("{}: {error}", error.class());
    admin::thrown("java.util.concurrent.ExecutionException", &cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Failure {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        run(&words).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_said_before_anybody_is_asked() {
        let both =
            "argument --bootstrap-controller/-C: not allowed with argument --bootstrap-server/-b";
        for (line, grammar, what) in [
            (
                "cluster-id",
                CLUSTER_ID,
                "one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required",
            ),
            ("cluster-id -b a:1 -C b:1", CLUSTER_ID, both),
            (
                "unregister -b a:1",
                UNREGISTER,
                "argument --id/-i is required",
            ),
            (
                "unregister -b a:1 -i x",
                UNREGISTER,
                "argument --id/-i: could not convert 'x' to Integer (For input string: \"x\")",
            ),
        ] {
            assert_eq!(said(line), grammar.refused(what), "{line}");
        }
    }
}
