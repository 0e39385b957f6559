//! The command line of `kafka consumer-groups`. Pure.

use crate::options::{Options, Parser};

/// The states a group may be in, as Kafka names them.
const STATES: &[&str] = &[
    "PreparingRebalance",
    "CompletingRebalance",
    "Stable",
    "Dead",
    "Empty",
    "Assigning",
    "Reconciling",
];
const TYPES: &[&str] = &["Consumer", "Classic"];
const ACTIONS: [&str; 5] = [
    "list",
    "describe",
    "delete",
    "reset-offsets",
    "delete-offsets",
];
/// Where `--reset-offsets` may go to; one of these.
const TARGETS: [&str; 8] = [
    "to-offset",
    "to-datetime",
    "by-duration",
    "to-earliest",
    "to-latest",
    "to-current",
    "shift-by",
    "from-file",
];

pub(super) fn parser() -> Parser {
    Parser::new()
        .text("bootstrap-server", "server to connect to", "REQUIRED: One or more brokers, as host:port,host:port.")
        .text("command-config", "command config property file", "A properties file with settings for the connection to the brokers.")
        .flag("list", "List the groups.")
        .flag("describe", "Show the offsets of groups, and how far they lag behind.")
        .flag("delete", "Delete groups with all that they committed. They must have no members.")
        .flag("reset-offsets", "Move the committed offsets of groups without members. Names what would change; with --execute it is done. Needs one target (--to-*, --shift-by, --by-duration, --from-file) and, but for --from-file, --all-topics or --topic.")
        .flag("delete-offsets", "Delete what a group committed of topics: one group, and any number of --topic.")
        .text("group", "consumer group", "The group. May be given several times.")
        .flag("all-groups", "All groups.")
        .text("topic", "topic", "A topic, or partitions of it as topic:0,1,2. May be given several times.")
        .flag("all-topics", "All topics that the group has committed offsets of.")
        .flag("members", "With --describe: the members instead.")
        .flag("offsets", "With --describe: the offsets, which is the default.")
        .optional_text("state", "", "With --describe: the state instead. With --list: show states, or only groups in some (stable,empty).")
        .optional_text("type", "", "With --list: show types, or only groups of some (classic,consumer).")
        .flag("verbose", "With --members: also the assigned partitions.")
        .long("timeout", "timeout (ms)", "How long the brokers may take.")
        .or("5000")
        .flag("dry-run", "With --reset-offsets: only show what would change, which is the default.")
        .flag("execute", "With --reset-offsets: do it.")
        .flag("export", "With --reset-offsets: show it as CSV, for --from-file.")
        .long("to-offset", "offset", "Go to this offset.")
        .text("from-file", "path to CSV file", "Go to the offsets of a file: topic,partition,offset, or with several groups group,topic,partition,offset.")
        .text("to-datetime", "datetime", "Go to the first record since a time: YYYY-MM-DDThh:mm:ss.sss, UTC unless a zone follows.")
        .text("by-duration", "duration", "Go to the first record since some time ago: PnDTnHnMnS.")
        .flag("to-earliest", "Go to the start.")
        .flag("to-latest", "Go to the end.")
        .flag("to-current", "Stay; where nothing is committed, go to the end.")
        .long("shift-by", "number-of-offsets", "Go so many records on, or back if negative.")
}

/// Refuses what does not go together, in Kafka's words.
pub(super) fn check(options: &Options) -> Result<(), String> {
    let has = |name: &str| options.has(name);
    options.require(&["bootstrap-server"]).map_err(text)?;
    check_availability(options)?;
    if has("describe") {
        check_describe(options)?;
    }
    let scope = |action: &str| -> Result<(), String> {
        match has("group") || has("all-groups") {
            true => Ok(()),
            false => Err(format!(
                "Option [{action}] takes one of these options: [all-groups], [group]"
            )),
        }
    };
    if has("delete") {
        scope("delete")?;
        if has("topic") {
            return Err("The consumer does not support topic-specific offset deletion from a consumer group.".to_owned());
        }
    }
    if has("delete-offsets") && (!has("group") || !has("topic")) {
        return Err(
            // As Kafka 3.9 says it, though it wants [topic].
            "Option [delete-offsets] takes the following options: [all-groups], [group]".to_owned(),
        );
    }
    if has("reset-offsets") {
        if has("dry-run") && has("execute") {
            return Err(
                "Option [reset-offsets] only accepts one of [execute] and [dry-run]".to_owned(),
            );
        }
        scope("reset-offsets")?;
        for target in TARGETS {
            let others: Vec<&'static str> = TARGETS
                .into_iter()
                .filter(|other| *other != target)
                .collect();
            options.forbid(target, &others).map_err(text)?;
        }
    }
    options
        .forbid("group", &["all-groups", "list"])
        .map_err(text)?;
    options.forbid("topic", &["list", "describe"]).map_err(text)
}

/// There is exactly one action.
pub(super) fn check_action(options: &Options) -> Result<(), String> {
    match ACTIONS.iter().filter(|action| options.has(action)).count() {
        1 => Ok(()),
        _ => Err("Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets".to_owned()),
    }
}

fn text(error: crate::options::Error) -> String {
    error.to_string()
}

fn check_availability(options: &Options) -> Result<(), String> {
    let views = ["members", "verbose", "offsets"];
    let refused = views
        .into_iter()
        .find(|view| options.has(view) && !options.has("describe"));
    let refused =
        refused.or_else(|| (options.has("type") && !options.has("list")).then_some("type"));
    let has_state = options.has("state") && !options.has("describe") && !options.has("list");
    match refused.or_else(|| has_state.then_some("state")) {
        None => Ok(()),
        Some(name) => Err(format!(
            "Option(s) [{name}] are unavailable given other options on the command line"
        )),
    }
}

fn check_describe(options: &Options) -> Result<(), String> {
    if !options.has("group") && !options.has("all-groups") {
        // As Kafka 3.9 says it, though it wants [group] or [all-groups].
        return Err("Option [describe] takes one of these options: [reset-offsets], [describe], [delete], [list]".to_owned());
    }
    let views = ["members", "offsets", "state"];
    if views.iter().filter(|view| options.has(view)).count() > 1 {
        return Err(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]"
                .to_owned(),
        );
    }
    match options.text("state") {
        Some(_) => Err("Option [describe] does not take a value for [state]".to_owned()),
        None => Ok(()),
    }
}

/// The states that `--list --state` asks for; none is all.
pub(super) fn states(options: &Options) -> Result<Vec<&'static str>, String> {
    known(options.text("state"), STATES, "state")
}

/// The types that `--list --type` asks for; none is all.
pub(super) fn types(options: &Options) -> Result<Vec<&'static str>, String> {
    known(options.text("type"), TYPES, "types")
}

fn known(
    list: Option<&str>,
    valid: &[&'static str],
    what: &str,
) -> Result<Vec<&'static str>, String> {
    let words = list.filter(|list| !list.is_empty()).into_iter();
    words
        .flat_map(|list| list.split(','))
        .map(|word| {
            let found = valid
                .iter()
                .find(|name| name.eq_ignore_ascii_case(word.trim()));
            found.copied().ok_or_else(|| {
                let plural = if what == "state" { "states" } else { what };
                format!(
                    "Invalid {what} list '{}'. Valid {plural} are: {}",
                    list.unwrap_or_default(),
                    valid.join(", ")
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> Option<String> {
        let line = format!("--bootstrap-server a:1 {line}");
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let options = parser().parse(&words).unwrap();
        check(&options).and_then(|()| check_action(&options)).err()
    }

    #[test]
    fn what_goes_together() {
        for line in [
            "--list --state",
            "--describe --all-groups --members --verbose",
            "--delete --group a --group b",
            "--reset-offsets --group a --topic t:0,1 --to-offset 5 --execute",
            "--reset-offsets --all-groups --all-topics --shift-by -3 --dry-run",
            "--delete-offsets --group a --topic t",
        ] {
            assert_eq!(refusal(line), None, "{line}");
        }
        for (line, text) in [
            ("", "Command must include exactly one action"),
            ("--delete", "Option [delete] takes one of these options"),
            (
                "--delete --group a --topic t",
                "The consumer does not support topic-specific",
            ),
            (
                "--delete-offsets --group a",
                "Option [delete-offsets] takes the following",
            ),
            (
                "--reset-offsets --group a --to-latest --to-offset 5",
                "Option \"[to-offset]\" can't be used with option \"[to-latest]\"",
            ),
            (
                "--reset-offsets --group a --dry-run --execute",
                "Option [reset-offsets] only accepts one of",
            ),
            (
                "--list --group a",
                "Option \"[group]\" can't be used with option \"[list]\"",
            ),
            ("--list --members", "Option(s) [members] are unavailable"),
        ] {
            let told = refusal(line).unwrap_or_default();
            assert!(told.starts_with(text), "{line}: {told}");
        }
    }

    #[test]
    fn states_and_types_are_known() {
        assert_eq!(
            known(Some("stable, EMPTY"), STATES, "state"),
            Ok(vec!["Stable", "Empty"])
        );
        assert_eq!(known(None, STATES, "state"), Ok(Vec::new()));
        assert_eq!(
            known(Some("x"), TYPES, "types"),
            Err("Invalid types list 'x'. Valid types are: Consumer, Classic".to_owned())
        );
    }
}
