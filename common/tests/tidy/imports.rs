//! What may import what: the directions of the house.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository::Problems;
use crate::source::{Source, sources_below, words};

/// Which top-level module of the broker may import which others.
const BROKER_EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("record", &["model"]),
    ("metrics", &[]),
    ("protocol", &["model", "record"]),
    ("log", &["model", "record"]),
    ("zk", &[]),
    ("peer", &["model", "protocol"]),
    ("config", &["model", "protocol", "log"]),
    ("server", &["protocol", "quota"]),
    ("quota", &["model"]),
    ("registry", &["model", "protocol", "zk"]),
    ("cluster", &["model", "protocol"]),
    (
        "replica",
        &[
            "model", "record", "metrics", "protocol", "log", "peer", "cluster",
        ],
    ),
    (
        "state_log",
        &["model", "record", "log", "cluster", "replica"],
    ),
    (
        "group",
        &[
            "model",
            "record",
            "metrics",
            "protocol",
            "cluster",
            "state_log",
        ],
    ),
    (
        "txn",
        &[
            "model",
            "record",
            "metrics",
            "protocol",
            "cluster",
            "state_log",
        ],
    ),
    (
        "controller",
        &[
            "model", "metrics", "protocol", "zk", "peer", "registry", "cluster",
        ],
    ),
    (
        "handlers",
        &[
            "model",
            "record",
            "metrics",
            "protocol",
            "log",
            "peer",
            "config",
            "quota",
            // Its trait for what answers requests; the server knows no handler.
            "server",
            "registry",
            "cluster",
            "replica",
            "state_log",
            "group",
            "txn",
            "controller",
        ],
    ),
];

/// The same for the coordinator.
const COORDINATOR_EDGES: &[(&str, &[&str])] = &[
    // Makes each module's own configuration from the keys.
    ("config", &["storage", "pipeline"]),
    ("tree", &[]),
    ("watch", &["tree"]),
    ("session", &[]),
    ("metrics", &[]),
    ("txn", &["tree", "watch", "session"]),
    ("storage", &["tree", "watch", "session", "txn"]),
    (
        "pipeline",
        &["tree", "watch", "session", "metrics", "txn", "storage"],
    ),
    (
        "server",
        &[
            "config", "tree", "watch", "session", "metrics", "txn", "pipeline", "storage",
        ],
    ),
    (
        "admin",
        &[
            "config", "tree", "watch", "session", "metrics", "txn", "pipeline", "storage", "server",
        ],
    ),
    // What the program does beside serving.
    ("command", &["storage"]),
];

/// These wire everything and may see everything.
const WIRING: &[&str] = &["lib", "main", "boot"];

/// Synchronous code: nothing here knows tokio.
const WITHOUT_TOKIO: &[&str] = &["broker/src/log", "broker/src/record"];

#[test]
fn modules_import_downwards_only() {
    let mut problems = Problems::new("imports against the direction of the house");
    for (source, table) in [
        ("broker/src", BROKER_EDGES),
        ("coordinator/src", COORDINATOR_EDGES),
    ] {
        check_edges(source, &table.iter().copied().collect(), &mut problems);
    }
    problems.end();
}

fn check_edges(source: &str, allowed: &BTreeMap<&str, &[&str]>, problems: &mut Problems) {
    let mut modules = BTreeSet::new();
    let files: Vec<Source> = sources_below(source);
    for file in &files {
        modules.insert(file.top_module(source));
    }
    for file in &files {
        let from = file.top_module(source);
        if WIRING.contains(&from.as_str()) {
            continue;
        }
        let Some(targets) = allowed.get(from.as_str()) else {
            problems.add(format!("{source}: module `{from}` is not in the table"));
            continue;
        };
        for to in imported_modules(file, source) {
            let known = modules.contains(&to);
            if known && to != from && !targets.contains(&to.as_str()) {
                problems.add(format!("{}: `{from}` imports `{to}`", file.path));
            }
        }
    }
}

#[test]
fn the_log_knows_no_tokio() {
    let mut problems = Problems::new("tokio where code is synchronous");
    for folder in WITHOUT_TOKIO {
        for file in sources_below(folder) {
            if words(&file.code()).any(|word| word == "tokio") {
                problems.add(file.path);
            }
        }
    }
    problems.end();
}

/// The top-level modules that a file names by `crate::` or enough `super::`.
fn imported_modules(file: &Source, source: &str) -> BTreeSet<String> {
    let code: String = file.code().split_whitespace().collect::<Vec<_>>().join(" ");
    let code = code.replace(":: ", "::").replace(" ::", "::");
    let mut found = BTreeSet::new();
    for opening in ["crate::".to_owned(), "super::".repeat(file.depth(source))] {
        for (position, _) in code.match_indices(&opening) {
            let before = code[..position].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &code[position + opening.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(names_of_group(group)),
                None => found.extend(words(rest).next().map(str::to_owned)),
            }
        }
    }
    found
}

/// The first names of `a::b, c::{d, e}, f}`.
fn names_of_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = Some(0);
    for (position, c) in group.char_indices() {
        if let (0, Some(from)) = (depth, start)
            && !c.is_whitespace()
        {
            names.extend(words(&group[from..]).next().map(str::to_owned));
            start = None;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = Some(position + 1),
            _ => {}
        }
    }
    names
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "//! use crate::comment;\nuse crate::one::Two;\nuse crate::{three::{a, b}, four};\n\
                fn f() { crate::five::g(); let s = \"crate::text\"; super::super::six::h(); }\n\
                #[cfg(test)]\nmod tests {\n use crate::seven;\n}\n";
    let file = Source {
        path: "broker/src/log/segment.rs".to_owned(),
        text: text.to_owned(),
    };
    let found = imported_modules(&file, "broker/src");
    let expected = ["five", "four", "one", "six", "three"];
    assert_eq!(
        found.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn a_wrong_edge_is_a_problem() {
    let mut problems = Problems::new("test");
    let nothing_allowed = BROKER_EDGES.iter().map(|(from, _)| (*from, &[] as &[&str]));
    check_edges("broker/src", &nothing_allowed.collect(), &mut problems);
    assert!(
        problems
            .found
            .iter()
            .any(|each| each.ends_with("imports `model`"))
    );
}
