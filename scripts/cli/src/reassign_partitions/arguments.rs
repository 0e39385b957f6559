//! The command line of `kafka reassign-partitions`. Pure.

use crate::options::{Options, Parser};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Generate,
    Execute,
    Verify,
    Cancel,
    List,
}

/// An action with its option, what it needs, and what may stand beside it.
type Rule = (
    Action,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const FILE: &str = "reassignment-json-file";
const RULES: &[Rule] = &[
    (
        Action::Generate,
        "generate",
        &["topics-to-move-json-file", "broker-list"],
        &["disable-rack-aware"],
    ),
    (
        Action::Execute,
        "execute",
        &[FILE],
        &[
            "additional",
            "throttle",
            "replica-alter-log-dirs-throttle",
            "timeout",
        ],
    ),
    (Action::Verify, "verify", &[FILE], &["preserve-throttles"]),
    (
        Action::Cancel,
        "cancel",
        &[FILE],
        &["preserve-throttles", "timeout"],
    ),
    (Action::List, "list", &[], &[]),
];
const ALWAYS: &[&str] = &["bootstrap-server", "command-config"];

pub(super) fn parser() -> Parser {
    Parser::new()
        .flag("generate", "Propose where the partitions of topics could go; nothing is moved.")
        .flag("execute", "Start the moves of --reassignment-json-file.")
        .flag("verify", "Show whether the moves of --reassignment-json-file are done; limits are lifted when all are.")
        .flag("cancel", "Stop moves that are going on.")
        .flag("list", "List the moves that are going on.")
        .text("bootstrap-server", "Server(s) to use for bootstrapping", "REQUIRED: One or more brokers, as host:port,host:port.")
        .text("command-config", "Admin client property file", "A properties file with settings for the connection to the brokers.")
        .text(FILE, "manual assignment json file path", "The moves: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1, \"replicas\": [1,2,3], \"log_dirs\": [\"any\",\"any\",\"/data2\"]}], \"version\": 1}. log_dirs may be left out.")
        .text("topics-to-move-json-file", "topics to reassign json file path", "With --generate: {\"topics\": [{\"topic\": \"foo\"}], \"version\": 1}.")
        .text("broker-list", "brokerlist", "With --generate: the brokers to move to, as 0,1,2.")
        .flag("disable-rack-aware", "With --generate: do not look at racks.")
        .long("throttle", "throttle", "The most bytes per second that move between brokers.")
        .or("-1")
        .long("replica-alter-log-dirs-throttle", "replicaAlterLogDirsThrottle", "The most bytes per second that move between directories.")
        .or("-1")
        .long("timeout", "timeout", "How long, in ms, a move between directories may take to begin.")
        .or("10000")
        .flag("additional", "Also if other moves are going on; changes their limits too.")
        .flag("preserve-throttles", "Leave the limits as they are.")
}

impl Action {
    /// The one action of a command line that has what it needs, and no more.
    pub(super) fn of(options: &Options) -> Result<Self, String> {
        let chosen: Vec<&Rule> = RULES.iter().filter(|rule| options.has(rule.1)).collect();
        let [(action, name, required, allowed)] = chosen[..] else {
            return Err("Command must include exactly one action: --generate, --execute, --verify, --cancel, --list".to_owned());
        };
        if !options.has("bootstrap-server") {
            return Err("Please specify --bootstrap-server".to_owned());
        }
        options
            .require(required)
            .map_err(|error| error.to_string())?;
        let stray = options.written().find(|(option, _)| {
            let fits = |list: &[&str]| list.contains(option);
            option != name && !fits(required) && !fits(allowed) && !fits(ALWAYS)
        });
        match stray {
            None => Ok(*action),
            Some((option, _)) => Err(format!(
                "Option \"[{option}]\" can't be used with action \"[{name}]\""
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_its_options() {
        let read = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Action::of(&parser().parse(&words).unwrap())
        };
        let at = "--bootstrap-server a:1";
        assert_eq!(read(&format!("{at} --list")), Ok(Action::List));
        assert_eq!(
            read(&format!(
                "{at} --execute --reassignment-json-file f --throttle 5"
            )),
            Ok(Action::Execute)
        );
        for (line, text) in [
            ("--list", "Please specify --bootstrap-server"),
            (
                "--bootstrap-server a:1 --verify",
                "Missing required argument \"[reassignment-json-file]\"",
            ),
            (
                "--bootstrap-server a:1 --list --throttle 5",
                "Option \"[throttle]\" can't be used with action \"[list]\"",
            ),
            (
                "--bootstrap-server a:1 --list --verify",
                "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
            ),
        ] {
            assert_eq!(read(line), Err(text.to_owned()));
        }
    }
}
