//! How large things may grow.
//!
//! The `RATCHET` tables hold what was already too large: it may shrink, never grow,
//! and an entry that is no longer needed must go.

use std::collections::BTreeMap;

use crate::repository::Problems;
use crate::source::{all_sources, words};

const FILE_LINES: usize = 500;
const FILE_LINES_HARD: usize = 800;
const FUNCTION_LINES: usize = 70;
const FUNCTION_LINES_HARD: usize = 100;

/// Files over `FILE_LINES`, and how many lines they may have at most.
const FILE_RATCHET: &[(&str, usize)] = &[];

/// Functions over `FUNCTION_LINES` (file, name), and their limit.
const FUNCTION_RATCHET: &[(&str, &str, usize)] = &[(
    "scripts/cli/src/client/consumer/offsets.rs",
    "committed",
    76,
)];

#[test]
fn files_stay_small() {
    let mut problems = Problems::new("files over the budget");
    let mut ratchet: BTreeMap<String, usize> = FILE_RATCHET
        .iter()
        .map(|(path, limit)| (path.to_string(), *limit))
        .collect();
    for file in all_sources() {
        let lines = file.code_lines();
        check_budget(
            &file.path,
            lines,
            ratchet.remove(&file.path),
            (FILE_LINES, FILE_LINES_HARD),
            &mut problems,
        );
    }
    for path in ratchet.keys() {
        problems.add(format!(
            "{path}: in FILE_RATCHET, but there is no such file"
        ));
    }
    problems.end();
}

#[test]
fn functions_stay_short() {
    let mut problems = Problems::new("functions over the budget");
    let mut ratchet: BTreeMap<(String, String), usize> = FUNCTION_RATCHET
        .iter()
        .map(|(path, name, limit)| ((path.to_string(), name.to_string()), *limit))
        .collect();
    for file in all_sources() {
        for (name, lines) in functions(&file.code()) {
            let what = format!("{}: fn {name}", file.path);
            check_budget(
                &what,
                lines,
                ratchet.remove(&(file.path.clone(), name)),
                (FUNCTION_LINES, FUNCTION_LINES_HARD),
                &mut problems,
            );
        }
    }
    for (path, name) in ratchet.keys() {
        problems.add(format!(
            "{path}: fn {name}: in FUNCTION_RATCHET, but not there"
        ));
    }
    problems.end();
}

fn check_budget(
    what: &str,
    lines: usize,
    ratchet: Option<usize>,
    (soft, hard): (usize, usize),
    problems: &mut Problems,
) {
    if lines > hard {
        problems.add(format!("{what}: {lines} lines, never more than {hard}"));
    }
    match ratchet {
        Some(limit) if lines > limit => {
            problems.add(format!("{what}: {lines} lines, grew from {limit}"));
        }
        Some(_) if lines <= soft => {
            problems.add(format!(
                "{what}: {lines} lines now, take it off the ratchet"
            ));
        }
        None if lines > soft => {
            problems.add(format!("{what}: {lines} lines, the budget is {soft}"));
        }
        _ => {}
    }
}

/// The named functions of blanked-out code, with the lines of each that hold code.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (position, _) in code.match_indices("fn ") {
        let before = code[..position].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[position..];
        let Some(name) = words(&rest[3..]).next() else {
            continue;
        };
        // Declarations of traits end before a body; `fn(` is a type.
        let Some(body) = rest.find(['{', ';']) else {
            continue;
        };
        if rest.as_bytes()[body] == b';' || rest[3..].trim_start().starts_with('(') {
            continue;
        }
        let end = closing_brace(&rest[body..]).map_or(rest.len(), |end| body + end);
        let lines = rest[..end].lines().filter(|line| !line.trim().is_empty());
        found.push((name.to_owned(), lines.count()));
    }
    found
}

fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (position, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(position + 1),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[test]
fn functions_are_measured_without_comments() {
    let code = crate::source::blank_out(
        "fn one() {\n // a\n\n /* b\n c */ let x = '{';\n let y = r#\"}\"#;\n}\ntrait T { fn two(); }",
    );
    assert_eq!(functions(&code), [("one".to_owned(), 4)]);
}

#[test]
fn budgets_are_kept() {
    let verdict = |lines, ratchet| {
        let mut problems = Problems::new("test");
        check_budget("f", lines, ratchet, (70, 100), &mut problems);
        problems.found.len()
    };
    assert_eq!(verdict(70, None), 0);
    assert_eq!(verdict(71, None), 1);
    assert_eq!(verdict(80, Some(80)), 0);
    assert_eq!(verdict(81, Some(80)), 1);
    assert_eq!(verdict(70, Some(80)), 1);
    assert_eq!(verdict(101, Some(101)), 1);
}
