//! The tool `kafka`: every `kafka-*.sh` and `zookeeper-shell.sh` in one binary.
//!
//! Flow: the command is the first argument, or the name the binary was called
//! by (`kafka-topics`, `kafka-topics.sh`) → that command's module.
//!
//! **Invariant:** nothing is done before a command needs it: no thread, no
//! socket, no file.

mod acls;
mod admin;
mod bootstrap;
mod broker_api_versions;
mod client;
mod client_metrics;
mod cluster;
mod configs;
mod console;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod delegation_tokens;
mod delete_records;
mod dump_log;
mod e2e_latency;
mod failure;
mod features;
mod get_offsets;
mod json;
mod leader_election;
mod log_dirs;
mod options;
mod perf;
mod reassign_partitions;
mod replica_verification;
mod runtime;
mod streams_reset;
mod text;
mod times;
mod topics;
mod transactions;
mod verifiable;
mod zookeeper;
mod zookeeper_shell;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use failure::{Failure, Outcome};

/// A command of the tool.
struct Command {
    name: &'static str,
    run: fn(&[String]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "topics",
        run: topics::run,
    },
    Command {
        name: "console-producer",
        run: console_producer::run,
    },
    Command {
        name: "console-consumer",
        run: console_consumer::run,
    },
    Command {
        name: "consumer-groups",
        run: consumer_groups::run,
    },
    Command {
        name: "configs",
        run: configs::run,
    },
    Command {
        name: "delete-records",
        run: delete_records::run,
    },
    Command {
        name: "log-dirs",
        run: log_dirs::run,
    },
    Command {
        name: "leader-election",
        run: leader_election::run,
    },
    Command {
        name: "reassign-partitions",
        run: reassign_partitions::run,
    },
    Command {
        name: "producer-perf-test",
        run: perf::producer::run,
    },
    Command {
        name: "consumer-perf-test",
        run: perf::consumer::run,
    },
    Command {
        name: "verifiable-producer",
        run: verifiable::producer::run,
    },
    Command {
        name: "verifiable-consumer",
        run: verifiable::consumer::run,
    },
    Command {
        name: "dump-log",
        run: dump_log::run,
    },
    Command {
        name: "get-offsets",
        run: get_offsets::run,
    },
    Command {
        name: "transactions",
        run: transactions::run,
    },
    Command {
        name: "broker-api-versions",
        run: broker_api_versions::run,
    },
    Command {
        name: "acls",
        run: acls::run,
    },
    Command {
        name: "cluster",
        run: cluster::run,
    },
    Command {
        name: "features",
        run: features::run,
    },
    Command {
        name: "client-metrics",
        run: client_metrics::run,
    },
    Command {
        name: "e2e-latency",
        run: e2e_latency::run,
    },
    Command {
        name: "delegation-tokens",
        run: delegation_tokens::run,
    },
    Command {
        name: "replica-verification",
        run: replica_verification::run,
    },
    Command {
        name: "streams-application-reset",
        run: streams_reset::run,
    },
    Command {
        name: "zookeeper-shell",
        run: zookeeper_shell::run,
    },
];

fn main() -> ExitCode {
    match dispatch(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn dispatch(arguments: impl Iterator<Item = OsString>) -> Outcome {
    let mut words = arguments.map(|word| word.to_string_lossy().into_owned());
    let called_as = words.next().unwrap_or_default();
    let words: Vec<String> = words.collect();
    if let Some(command) = find(command_of(&called_as)) {
        return (command.run)(&words);
    }
    let Some((first, rest)) = words.split_first() else {
        return Err(Failure::new(usage()));
    };
    match find(first) {
        Some(command) => (command.run)(rest),
        None if first == "--help" || first == "help" => {
            console::say(usage());
            Ok(())
        }
        None if first == "--version" => {
            console::say(text::version());
            Ok(())
        }
        None => Err(Failure::new(format!(
            "kafka: there is no command '{first}'\n{}",
            usage()
        ))),
    }
}

/// `/usr/bin/kafka-topics.sh` → `topics`.
fn command_of(called_as: &str) -> &str {
    let base = Path::new(called_as)
        .file_name()
        .and_then(|name| name.to_str());
    let base = base.unwrap_or_default();
    let base = base.strip_suffix(".sh").unwrap_or(base);
    base.strip_prefix("kafka-").unwrap_or(base)
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn usage() -> String {
    let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
    format!(
        "usage: kafka COMMAND [OPTION]...\ncommands: {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_binary_is_a_command() {
        for name in [
            "kafka-topics",
            "/opt/x/kafka-topics.sh",
            "./kafka-topics.sh",
        ] {
            assert_eq!(
                find(command_of(name)).map(|found| found.name),
                Some("topics"),
                "{name}"
            );
        }
        let shell = find(command_of("zookeeper-shell.sh"));
        assert_eq!(shell.map(|found| found.name), Some("zookeeper-shell"));
        assert!(find(command_of("target/release/kafka")).is_none());
    }
}
