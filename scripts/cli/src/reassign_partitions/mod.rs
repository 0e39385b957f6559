//! `kafka reassign-partitions`: moves replicas to other brokers or directories.
//!
//! Flow: `arguments` checks the command line → `plan` reads the file →
//! `execute` (also cancels), `verify` (also lists) or `generate` does the work;
//! limits on the traffic of moves are set and lifted in `throttles`.

mod arguments;
mod execute;
mod generate;
mod plan;
mod throttles;
mod verify;

use crate::client::Client;
use crate::client::metadata::{AutoCreate, Topics};
use crate::failure::{Failure, Outcome};
use crate::options::Options;
use crate::{admin, console, json, runtime};
use arguments::Action;

const PURPOSE: &str = "This tool helps to move topic partitions between replicas.";

/// Why a command failed after its options were accepted.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Told as it is.
    #[error("{0}")]
    Terse(String),
    /// Told with the class of an exception.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    File(#[from] json::Error),
    #[error(transparent)]
    Client(#[from] crate::client::Error),
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = arguments::parser();
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    let action = Action::of(&options).map_err(|error| Failure::usage(&parser, error))?;
    let mut settings = admin::settings(&options, "command-config").map_err(Failure::new)?;
    settings.fill("client.id", "reassign-partitions-tool");
    let client = admin::connect(&settings).map_err(Failure::new)?;
    runtime::block_on(async {
        execute(&options, action, &client).await.map_err(|error| {
            match error {
                Error::Terse(message) => console::say(message),
                Error::Client(error) => console::say(format_args!(
                    "Error: {}: {error}\njava.util.concurrent.ExecutionException: {}: {error}",
                    error.class(),
                    error.class()
                )),
                error @ (Error::Refused(_) | Error::File(_)) => console::say(format_args!(
                    "Error: {error}\norg.apache.kafka.server.common.AdminCommandFailedException: {error}"
                )),
            }
            Failure::told()
        })
    })
}

async fn execute(options: &Options, action: Action, client: &Client) -> Result<(), Error> {
    let read = |name: &str| json::read(options.text(name).unwrap_or_default());
    match action {
        Action::List => verify::list(client).await,
        Action::Generate => {
            let topics = plan::topics(&read("topics-to-move-json-file")?)?;
            let brokers = plan::brokers(options.text("broker-list").unwrap_or_default())?;
            let is_rack_aware = !options.has("disable-rack-aware");
            generate::run(client, &topics, &brokers, is_rack_aware).await
        }
        Action::Verify => {
            let plan = plan::Plan::parse(&read("reassignment-json-file")?)?;
            verify::run(client, &plan, options.has("preserve-throttles")).await
        }
        Action::Execute => {
            let plan = plan::Plan::parse(&read("reassignment-json-file")?)?;
            plan.check()?;
            execute::run(client, &plan, &execute::Limits::of(options)?).await
        }
        Action::Cancel => {
            let plan = plan::Plan::parse(&read("reassignment-json-file")?)?;
            let keeps_throttles = options.has("preserve-throttles");
            let limits = execute::Limits::of(options)?;
            execute::cancel(client, &plan, keeps_throttles, &limits).await
        }
    }
}

/// Learns which brokers there are.
async fn learn_brokers(client: &Client) -> Result<(), Error> {
    let asked = client.retrying("describeCluster", async || {
        let none = Topics::Named(&[]);
        client.refresh(none, AutoCreate::Never).await.map(|_| ())
    });
    Ok(asked.await?)
}
