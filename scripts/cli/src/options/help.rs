//! The table of options, laid out in two columns as joptsimple does.

use std::fmt::Write as _;

use super::{Spec, Takes};

const WIDTH: usize = 39;
const SEPARATOR: &str = "  ";
const INDENT: &str = "  ";

/// All options in alphabetical order under the headings.
pub(super) fn table(specs: &[Spec]) -> String {
    let mut sorted: Vec<&Spec> = specs.iter().collect();
    sorted.sort_by_key(|spec| spec.name);
    let mut text = String::new();
    row(&mut text, "Option", "Description");
    row(&mut text, "------", "-----------");
    for spec in sorted {
        row(&mut text, &left(spec), &right(spec));
    }
    text
}

fn left(spec: &Spec) -> String {
    let kind = |what: &str| match what {
        "" => spec.kind.to_owned(),
        what => format!("{}: {what}", spec.kind),
    };
    match spec.takes {
        Takes::Nothing => format!("--{}", spec.name),
        Takes::Required(what) => format!("--{} <{}>", spec.name, kind(what)),
        Takes::Optional(what) => format!("--{} [{}]", spec.name, kind(what)),
    }
}

fn right(spec: &Spec) -> String {
    match spec.default {
        Some(default) => format!("{} (default: {default})", spec.doc),
        None => spec.doc.to_owned(),
    }
}

fn row(text: &mut String, left: &str, right: &str) {
    let left = wrap(left);
    let right = wrap(right);
    for line in 0..left.len().max(right.len()) {
        let cell = |column: &[String]| column.get(line).cloned().unwrap_or_default();
        let _ = writeln!(
            text,
            "{:WIDTH$}{SEPARATOR}{:WIDTH$}",
            cell(&left),
            cell(&right)
        );
    }
}

/// Breaks at spaces; lines after the first are indented.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let first = lines.len() == 1;
        let Some(line) = lines.last_mut() else { break };
        let is_fresh = line.trim().is_empty();
        if !is_fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{INDENT}{word}"));
            continue;
        }
        if !is_fresh {
            line.push(' ');
        } else if !first && line.is_empty() {
            line.push_str(INDENT);
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::Parser;

    #[test]
    fn columns_as_kafkas_tools_print_them() {
        let usage = Parser::new()
            .text(
                "bootstrap-server",
                "server to connect to",
                "Where the broker is.",
            )
            .usage("Does a thing.");
        let lines: Vec<&str> = usage.lines().collect();
        assert_eq!(lines[0], "Does a thing.");
        assert_eq!(lines[1], format!("{:39}  {:39}", "Option", "Description"));
        assert_eq!(
            lines[3],
            format!(
                "{:39}  {:39}",
                "--bootstrap-server <String: server to", "Where the broker is."
            )
        );
        assert_eq!(lines[4], format!("{:39}  {:39}", "  connect to>", ""));
        assert!(lines[5].starts_with("--help  "));
    }
}
