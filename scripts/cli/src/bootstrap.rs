//! Where the cluster is, for tools with commands of their own: brokers or controllers
//! are named, by exactly one of two options.

use crate::admin;
use crate::client::config::Settings;
use crate::failure::Failure;
use crate::options::commands::Grammar;
use crate::options::{Error, Options, Parser};

const SERVER: &str = "bootstrap-server";
const CONTROLLER: &str = "bootstrap-controller";

/// Adds the two options, and `file`, which names a file of settings.
pub(crate) fn with_options(parser: Parser, file: &'static str, what: &'static str) -> Parser {
    parser
        .text(
            SERVER,
            "BOOTSTRAP_SERVER",
            "One or more brokers, as host:port,host:port.",
        )
        .text(
            CONTROLLER,
            "BOOTSTRAP_CONTROLLER",
            "Controllers of a cluster without ZooKeeper.",
        )
        .text(
            file,
            what,
            "A properties file with settings for the connection to the brokers.",
        )
}

/// The settings for the brokers that are named; `required` must be there as well.
pub(crate) fn settings(
    grammar: &Grammar,
    options: &Options,
    file: &str,
    required: &[&'static str],
) -> Result<Settings, Failure> {
    let refuse = |error: Error| grammar.refuse(&error);
    options.forbid(CONTROLLER, &[SERVER]).map_err(refuse)?;
    options.require(required).map_err(refuse)?;
    if options.has(CONTROLLER) {
        return Err(Failure::new(
            "--bootstrap-controller is for clusters without ZooKeeper: ask a broker (--bootstrap-server)",
        ));
    }
    if !options.has(SERVER) {
        let (server, controller) = (grammar.both_names(SERVER), grammar.both_names(CONTROLLER));
        return Err(grammar.refused(format_args!(
            "one of the arguments {server} {controller} is required"
        )));
    }
    admin::settings(options, file).map_err(Failure::new)
}
