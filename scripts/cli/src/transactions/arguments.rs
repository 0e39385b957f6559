//! The command line: general options, a command, and the command's own options.

use crate::console;
use crate::failure::Failure;
use crate::options::{Error, Options, Parser};
use crate::text;

const PURPOSE: &str = "This tool is used to analyze the transactional state of producers in the cluster. It can be used to detect and recover from hanging transactions.";

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    List,
    Describe,
    DescribeProducers,
    Abort,
    FindHanging,
}

/// A command line that was understood.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) command: Command,
    pub(super) options: Options,
}

const COMMANDS: &[(&str, Command)] = &[
    ("list", Command::List),
    ("describe", Command::Describe),
    ("describe-producers", Command::DescribeProducers),
    ("abort", Command::Abort),
    ("find-hanging", Command::FindHanging),
];

impl Command {
    fn parser(self) -> Parser {
        let topic = |parser: Parser| {
            parser.text("topic", "TOPIC", "The name of the topic.").int(
                "partition",
                "PARTITION",
                "The number of the partition.",
            )
        };
        let parser = general();
        match self {
            Self::List => parser.long(
                "duration-filter",
                "DURATION_FILTER",
                "Only transactions that are open for longer than this, in milliseconds; all if below 0.",
            ),
            Self::Describe => parser.text(
                "transactional-id",
                "TRANSACTIONAL_ID",
                "The transactional id.",
            ),
            Self::DescribeProducers => topic(parser).int(
                "broker-id",
                "BROKER_ID",
                "The broker whose replica is asked; the leader's if absent.",
            ),
            Self::Abort => topic(parser)
                .long(
                    "start-offset",
                    "START_OFFSET",
                    "Where the transaction begins (brokers from 3.0 on).",
                )
                .long(
                    "producer-id",
                    "PRODUCER_ID",
                    "The producer id (older brokers).",
                )
                .int(
                    "producer-epoch",
                    "PRODUCER_EPOCH",
                    "The producer's epoch (older brokers).",
                )
                .int(
                    "coordinator-epoch",
                    "COORDINATOR_EPOCH",
                    "The coordinator's epoch (older brokers).",
                ),
            Self::FindHanging => topic(parser)
                .int(
                    "broker-id",
                    "BROKER_ID",
                    "The broker whose replicas are searched.",
                )
                .int(
                    "max-transaction-timeout",
                    "MAX_TRANSACTION_TIMEOUT",
                    "The longest timeout of transactions in minutes.",
                )
                .or("15"),
        }
    }

    fn required(self) -> &'static [&'static str] {
        match self {
            Self::List | Self::FindHanging => &[],
            Self::Describe => &["transactional-id"],
            Self::DescribeProducers | Self::Abort => &["topic", "partition"],
        }
    }
}

fn general() -> Parser {
    Parser::new()
        .text(
            "bootstrap-server",
            "host:port",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "command-config",
            "FILE",
            "A properties file with settings for the connection to the brokers.",
        )
}

/// Reads the words; `None` when all was said already (`--help`, `--version`).
pub(super) fn read(words: &[String]) -> Result<Option<Given>, Failure> {
    let (name, rest) = split(words);
    if rest
        .iter()
        .any(|word| ["-v", "--version"].contains(&word.as_str()))
    {
        console::say(text::version());
        return Ok(None);
    }
    let command = name.and_then(|name| COMMANDS.iter().find(|(known, _)| *known == name));
    let is_help = |word: &String| ["-h", "--help"].contains(&word.as_str());
    if words.is_empty() || rest.iter().any(is_help) {
        let parser = command.map_or_else(general, |(_, command)| command.parser());
        let commands: Vec<_> = COMMANDS.iter().map(|(name, _)| *name).collect();
        console::say(
            parser
                .usage(&format!("{PURPOSE}\ncommands: {}", commands.join(", ")))
                .trim_end(),
        );
        return Ok(None);
    }
    let Some((_, command)) = command else {
        return Err(match name {
            Some(name) => refused(&format!("invalid choice: '{name}'")),
            None => refused("too few arguments"),
        });
    };
    let refuse = |error: Error| match error {
        Error::Unrecognized(name) => refused(&format!("unrecognized arguments: '--{name}'")),
        Error::MissingArgument(name) => {
            refused(&format!("argument --{name}: expected one argument"))
        }
        Error::MissingOption(name) => refused(&format!("argument --{name} is required")),
        other => refused(&other.to_string()),
    };
    let options = command.parser().parse(&rest).map_err(refuse)?;
    options.require(&["bootstrap-server"]).map_err(refuse)?;
    options.require(command.required()).map_err(refuse)?;
    Ok(Some(Given {
        command: *command,
        options,
    }))
}

/// An error of the command line, as Kafka's tool ends with it.
pub(super) fn refused(what: &str) -> Failure {
    Failure::new(format!(
        "usage: kafka-transactions.sh [-h] [-v] [--command-config FILE] --bootstrap-server host:port COMMAND ...\nkafka-transactions.sh: error: {what}"
    ))
}

/// The first word that is neither an option nor the value of one, and all others.
fn split(words: &[String]) -> (Option<&str>, Vec<String>) {
    let mut command = None;
    let mut rest = Vec::new();
    let mut is_value = false;
    for word in words {
        let is_option = word.starts_with('-') && !is_value;
        if command.is_none() && !is_option && !is_value {
            command = Some(word.as_str());
            continue;
        }
        is_value = is_option && word.starts_with("--") && !word.contains('=');
        rest.push(word.clone());
    }
    (command, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_command_stands_among_the_options() {
        for (line, command) in [
            ("--bootstrap-server h:1 list", Command::List),
            (
                "--bootstrap-server=h:1 describe --transactional-id list",
                Command::Describe,
            ),
            (
                "--bootstrap-server h:1 --command-config f find-hanging --topic t",
                Command::FindHanging,
            ),
            (
                "--bootstrap-server h:1 abort --topic t --partition 0 --start-offset 5",
                Command::Abort,
            ),
        ] {
            let given = read(&words(line)).unwrap().unwrap();
            assert_eq!(given.command, command, "{line}");
            assert_eq!(given.options.text("bootstrap-server"), Some("h:1"));
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        for (line, said) in [
            (
                "--bootstrap-server h:1 describe",
                "argument --transactional-id is required",
            ),
            ("list", "argument --bootstrap-server is required"),
            ("--bootstrap-server h:1", "too few arguments"),
            ("--bootstrap-server h:1 drop", "invalid choice: 'drop'"),
            (
                "--bootstrap-server h:1 abort --topic t",
                "argument --partition is required",
            ),
        ] {
            assert_eq!(read(&words(line)).unwrap_err(), refused(said), "{line}");
        }
    }
}
