//! `kafka consumer-groups`: lists, shows, deletes groups, and moves their offsets.
//!
//! Flow: `arguments` checks the command line → `describe` (also lists), `reset`
//! or `delete` does the work → `report` prints. What a plan or a time says is
//! read in `plan`.

mod arguments;
mod delete;
mod describe;
mod plan;
mod report;
mod reset;

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::options::Options;
use crate::{admin, console, runtime};

const PURPOSE: &str = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.";

/// Why a command failed after its options were accepted.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Told with the table of options.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Client(#[from] crate::client::Error),
    /// An exception of Java's, by its class.
    #[error("{class}: {message}")]
    Thrown {
        class: &'static str,
        message: String,
    },
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = arguments::parser();
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    let usage = |message: String| Failure::usage(&parser, message);
    arguments::check(&options).map_err(usage)?;
    arguments::check_action(&options).map_err(usage)?;
    let timeout = options
        .i64("timeout")
        .map_err(|error| usage(error.to_string()))?;
    let mut settings = admin::settings(&options, "command-config").map_err(Failure::new)?;
    let timeout = timeout.unwrap_or_default().max(0).to_string();
    settings.set("default.api.timeout.ms", timeout);
    let client = admin::connect(&settings).map_err(Failure::new)?;
    runtime::block_on(async {
        let Err(error) = execute(&options, &client).await else {
            return Ok(());
        };
        let text = match error {
            Error::Usage(message) => return Err(usage(message)),
            Error::Client(error) => format!("{}: {error}", error.class()),
            thrown @ Error::Thrown { .. } => thrown.to_string(),
        };
        complain(&format!(
            "Executing consumer group command failed due to {text}"
        ));
        // Kafka's tool ends well then, and scripts may go by it.
        Ok(())
    })
}

async fn execute(options: &Options, client: &Client) -> Result<(), Error> {
    if options.has("list") {
        describe::list(options, client).await
    } else if options.has("describe") {
        describe::describe(options, client).await
    } else if options.has("delete") {
        delete::groups(options, client).await
    } else if options.has("reset-offsets") {
        reset::run(options, client).await
    } else {
        delete::offsets(options, client).await
    }
}

fn complain(error: &str) {
    console::say(format_args!("\nError: {error}"));
}
