//! What the administrators' commands have in common: `--help`, `--version`, and the client.
//!
//! **Invariant:** nothing goes to the network here.

use crate::client::config::{self, Settings};
use crate::client::{Client, Config};
use crate::console;
use crate::failure::Failure;
use crate::options::{Options, Parser};
use crate::text;

/// Reads the command line; `None` when all was said already (`--version`).
pub(crate) fn parse(
    words: &[String],
    parser: &Parser,
    purpose: &str,
) -> Result<Option<Options>, Failure> {
    let options = parser
        .parse(words)
        .map_err(|error| Failure::usage(parser, error))?;
    if options.is_empty() || options.has("help") {
        return Err(Failure::usage(parser, purpose));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(None);
    }
    Ok(Some(options))
}

/// The settings of the file that the option `file` names, with the brokers of
/// `--bootstrap-server`.
pub(crate) fn settings(options: &Options, file: &str) -> Result<Settings, config::Error> {
    let mut settings = match options.text(file) {
        Some(path) => Settings::load(path)?,
        None => Settings::default(),
    };
    let servers = options.text("bootstrap-server").unwrap_or_default();
    settings.set("bootstrap.servers", servers);
    Ok(settings)
}

/// A client with those settings.
pub(crate) fn client(options: &Options, file: &str) -> Result<Client, config::Error> {
    connect(&settings(options, file)?)
}

pub(crate) fn connect(settings: &Settings) -> Result<Client, config::Error> {
    Config::from_settings(settings, "AdminClient", "adminclient-1").map(Client::new)
}

/// Says an error as Kafka's tools do that end with a stack trace, and fails.
pub(crate) fn thrown(class: &str, message: &str) -> Failure {
    Failure::new(format!("{message}\n{class}: {message}"))
}
