//! Which files exist, and what has no place in them.

use crate::repository::{Problems, repository_files, root};
use crate::source::all_sources;

const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "broker",
    "coordinator",
    "common",
    "scripts",
    "config",
];

const FILE_TYPES: &[&str] = &[
    "rs",
    "go",
    "java",
    "mod",
    "sum",
    "toml",
    "lock",
    "md",
    "properties",
    "service",
    "sysusers",
    "sh",
    "py",
    "ini",
    "txt",
    "html",
    "css",
    "js",
    "json",
    "tsv",
    "bin",
    "hex",
    // Programs that the end-to-end tests build.
    "c",
];

/// Files without one of these types.
const OTHER_FILES: &[&str] = &[".gitignore", ".ci/run", ".ci/rust-version", ".LICENSE"];

/// Texts that belong to one machine or to unfinished work. (Split, so that this
/// file does not hold them.)
const BANNED_TEXTS: &[&str] = &[
    concat!("/wor", "k/"),
    concat!("/far", "m/"),
    concat!("/opt/", "peers"),
    concat!("../", "shared"),
    concat!("/tmp/bash", "_jobs"),
];
const UNFINISHED: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
];

#[test]
fn modules_say_what_they_are_for() {
    let mut problems = Problems::new("modules that do not open with //!");
    for file in all_sources() {
        if !file.is_test() && !file.text.starts_with("//!") {
            problems.add(file.path);
        }
    }
    problems.end();
}

#[test]
fn nothing_is_left_unfinished() {
    let mut problems = Problems::new("texts that have no place in the repository");
    for path in repository_files() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
            continue; // Golden bytes are not text.
        };
        for (number, line) in text.lines().enumerate() {
            for banned in BANNED_TEXTS.iter().chain(UNFINISHED) {
                if line.contains(banned) {
                    problems.add(format!("{path}:{}: {banned}", number + 1));
                }
            }
        }
    }
    problems.end();
}

#[test]
fn only_expected_files_exist() {
    let mut problems = Problems::new("stray files");
    for path in repository_files() {
        let top = path.split('/').next().unwrap_or_default();
        if !top.starts_with('.') && !TOP_LEVEL.contains(&top) {
            problems.add(format!("{path}: nothing else stands at the top level"));
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let kind = name.rsplit_once('.').map(|(_, kind)| kind);
        let expected = kind.is_some_and(|kind| FILE_TYPES.contains(&kind));
        if !expected && !OTHER_FILES.contains(&path.as_str()) {
            problems.add(format!("{path}: a type of file that is not known here"));
        }
    }
    problems.end();
}
