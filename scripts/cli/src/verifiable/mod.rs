//! `kafka verifiable-producer` and `kafka verifiable-consumer`: what happens to
//! each record, as lines of JSON that another program checks.
//!
//! **Invariant:** standard output has nothing but events, one a line, and of a
//! record only after its broker has answered for it.

pub(crate) mod consumer;
pub(crate) mod producer;

use std::str::FromStr;

use serde::Serialize;

use crate::client::config::Settings;
use crate::console;
use crate::failure::Failure;
use crate::options::{Options, Parser};

/// An event: when, what, and its own fields.
#[derive(Serialize)]
struct Event<T> {
    timestamp: i64,
    name: &'static str,
    #[serde(flatten)]
    fields: T,
}

/// The fields of an event that has none of its own.
#[derive(Serialize)]
struct Nothing {}

/// Writes an event; only text and numbers are in them, which JSON always takes.
fn tell(name: &'static str, fields: impl Serialize) {
    let event = Event {
        timestamp: common::clock::system().wall_ms(),
        name,
        fields,
    };
    if let Ok(line) = serde_json::to_string(&event) {
        console::say(line);
    }
}

/// Adds the two ways to say where the brokers are.
fn with_brokers(parser: Parser) -> Parser {
    parser
        .text(
            "bootstrap-server",
            "HOST1:PORT1[,HOST2:PORT2[...]]",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "broker-list",
            "HOST1:PORT1[,HOST2:PORT2[...]]",
            "The old name of --bootstrap-server.",
        )
}

/// What one of the two is told to do.
trait Tool: Sized {
    const PROGRAM: &'static str;
    const PURPOSE: &'static str;

    /// Its own options, beside those that say where the brokers are.
    fn options(parser: Parser) -> Parser;

    fn of(options: &Options) -> Result<Self, String>;
}

/// Reads the command line; `None` when all was said already.
fn read<T: Tool>(words: &[String]) -> Result<Option<T>, Failure> {
    let parser = T::options(with_brokers(Parser::new()));
    if words.is_empty() {
        console::say(parser.usage(T::PURPOSE).trim_end());
        return Ok(None);
    }
    let Some(options) = crate::admin::parse(words, &parser, T::PURPOSE)? else {
        return Ok(None);
    };
    let refused = |message| Failure::new(format!("{}: error: {message}", T::PROGRAM));
    T::of(&options).map(Some).map_err(refused)
}

/// Sets where the brokers are.
fn set_brokers(settings: &mut Settings, options: &Options) -> Result<(), String> {
    let text = |name| options.text(name);
    let servers = match (text("bootstrap-server"), text("broker-list")) {
        (Some(_), Some(_)) => {
            Err("argument --broker-list: not allowed with argument --bootstrap-server".to_owned())
        }
        (Some(servers), None) | (None, Some(servers)) => Ok(servers),
        (None, None) => {
            Err("one of the arguments --bootstrap-server --broker-list is required".to_owned())
        }
    }?;
    settings.set("bootstrap.servers", servers);
    Ok(())
}

fn require<'a>(options: &'a Options, name: &'static str) -> Result<&'a str, String> {
    let missing = || format!("argument --{name} is required");
    options.text(name).ok_or_else(missing)
}

/// The number of an option; `kind` is what Java calls its type.
fn number<T: FromStr>(
    options: &Options,
    name: &'static str,
    kind: &str,
) -> Result<Option<T>, String> {
    let Some(text) = options.text(name) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        format!(
            "argument --{name}: could not convert '{text}' to {kind} (For input string: \"{text}\")"
        )
    })
}

/// How many records `--max-messages` allows; `None` is without end.
fn count_max<T: TryFrom<i32>>(options: &Options) -> Result<Option<T>, String> {
    let count: Option<i32> = number(options, "max-messages", "Integer")?;
    Ok(count.and_then(|count| T::try_from(count).ok()))
}

#[cfg(test)]
fn read_line<T: Tool>(line: &str) -> Result<T, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let parser = T::options(with_brokers(Parser::new()));
    T::of(&parser.parse(&words).unwrap())
}
