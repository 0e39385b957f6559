//! Keeps the house as it was drawn: what may import what, how large things may
//! grow, which files exist, and that every configuration key is documented.
//!
//! Each test prints every violation, not only the first. The `RATCHET` tables
//! hold what was already too large: it may shrink, never grow, and an entry
//! that is no longer needed must go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

// ---------------------------------------------------------------- the tables

/// Which top-level module of the broker may import which others.
const BROKER_EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("record", &["model"]),
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
        &["model", "record", "protocol", "log", "peer", "cluster"],
    ),
    (
        "state_log",
        &["model", "record", "log", "cluster", "replica"],
    ),
    (
        "group",
        &["model", "record", "protocol", "cluster", "state_log"],
    ),
    (
        "txn",
        &["model", "record", "protocol", "cluster", "state_log"],
    ),
    (
        "controller",
        &["model", "protocol", "zk", "peer", "registry", "cluster"],
    ),
    (
        "handlers",
        &[
            "model",
            "record",
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
    "go",
    "java",
    "mod",
    "sum",
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

// ----------------------------------------------------------------- the tests

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

#[test]
fn every_configuration_key_is_documented() {
    let mut problems = Problems::new("configuration keys");
    for (daemon, source) in [
        ("broker", "broker/src/config"),
        ("coordinator", "coordinator/src/config"),
    ] {
        let known = keys_in_code(source);
        let path = format!("config/{daemon}.properties");
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        let documented: BTreeSet<String> = text.lines().filter_map(documented_key).collect();
        for key in known.difference(&documented) {
            problems.add(format!("{path}: `{key}` is missing"));
        }
        for key in documented.difference(&known) {
            problems.add(format!("{path}: `{key}` is no key of the {daemon}"));
        }
    }
    problems.end();
}

/// The names of a key table: literals that follow `name:` or a constructor of keys.
fn keys_in_code(source: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut files = sources_below(source);
    files.extend(Source::read(&format!("{source}.rs")));
    for file in files {
        let text = file.without_tests();
        for opening in ["key(", "optional(", "ignored(", "name:"] {
            for (position, _) in text.match_indices(opening) {
                let rest = text[position + opening.len()..].trim_start();
                if let Some((name, _)) = rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
                    keys.insert(name.to_owned());
                }
            }
        }
    }
    keys
}

/// The key of a line `key=value` or `#key=value` (a comment has a space after #).
fn documented_key(line: &str) -> Option<String> {
    let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once('=')?;
    let plain = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    (plain && !key.is_empty()).then(|| key.to_owned())
}

// ---------------------------------------------------------------- repository

/// Collects violations and fails with all of them.
struct Problems {
    title: &'static str,
    found: BTreeSet<String>,
}

impl Problems {
    fn new(title: &'static str) -> Self {
        let found = BTreeSet::new();
        Self { title, found }
    }

    fn add(&mut self, problem: String) {
        self.found.insert(problem);
    }

    fn end(self) {
        let mut text = String::new();
        for problem in &self.found {
            let _ = write!(text, "\n  {problem}");
        }
        assert!(self.found.is_empty(), "{}:{text}", self.title);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file that is not ignored by git, with `/` and relative to the root.
/// Folders of tools (`.git`, caches) are left out.
fn repository_files() -> Vec<String> {
    let ignored = std::fs::read_to_string(root().join(".gitignore")).expect("a .gitignore");
    let ignored: Vec<&str> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let mut files = Vec::new();
    collect(&root(), "", &ignored, &mut files);
    assert!(files.len() > 20, "the repository was not found");
    files.sort();
    files
}

fn collect(folder: &Path, prefix: &str, ignored: &[&str], files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let entry = entry.expect("a readable entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = name.rsplit_once('.').map(|(_, kind)| format!("*.{kind}"));
        let is_ignored = |name: &str| ignored.contains(&name);
        let is_cache = name.starts_with('.') && name != ".ci" && entry.path().is_dir();
        if name == ".git"
            || is_cache
            || is_ignored(&name)
            || kind.is_some_and(|kind| is_ignored(&kind))
        {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), ignored, files);
        } else {
            files.push(format!("{prefix}{name}"));
        }
    }
}

/// Every Rust source of the four crates, without the tests' own folders.
fn all_sources() -> Vec<Source> {
    [
        "common/src",
        "coordinator/src",
        "broker/src",
        "scripts/cli/src",
    ]
    .into_iter()
    .flat_map(sources_below)
    .collect()
}

fn sources_below(folder: &str) -> Vec<Source> {
    repository_files()
        .iter()
        .filter(|path| path.starts_with(&format!("{folder}/")) && path.ends_with(".rs"))
        .filter_map(|path| Source::read(path))
        .collect()
}

// ------------------------------------------------------------------- sources

struct Source {
    path: String,
    text: String,
}

impl Source {
    fn read(path: &str) -> Option<Self> {
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        let path = path.to_owned();
        Some(Self { path, text })
    }

    /// `log` for `broker/src/log/segment.rs`, and for `broker/src/log.rs`.
    fn top_module(&self, source: &str) -> String {
        let inside = &self.path[source.len() + 1..];
        let first = inside.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs").to_owned()
    }

    /// How many `super::` lead from this file to the crate's root.
    fn depth(&self, source: &str) -> usize {
        let inside = &self.path[source.len() + 1..];
        let parts = inside.split('/').count();
        if inside.ends_with("/mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name == "tests.rs" || name.ends_with("_tests.rs") || self.path.contains("/tests/")
    }

    /// The text before the unit tests at the file's end.
    fn without_tests(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let end = self
            .text
            .match_indices("#[cfg(test)]\n")
            .find(|(position, mark)| {
                let rest = self.text[position + mark.len()..].trim_start();
                let item = rest.lines().find(|line| !line.starts_with("#["));
                item.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
            })
            .map_or(self.text.len(), |(position, _)| position);
        &self.text[..end]
    }

    /// The product's code alone: no tests, no comments, no text literals.
    fn code(&self) -> String {
        blank_out(self.without_tests())
    }

    fn code_lines(&self) -> usize {
        self.without_tests().lines().count()
    }
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

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
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

/// Replaces comments and the insides of literals by spaces, keeping line breaks.
fn blank_out(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts here ends; `at` if none does.
fn literal_or_comment_end(chars: &[char], at: usize) -> usize {
    let starts = |text: &str| {
        text.chars()
            .eq(chars[at..].iter().copied().take(text.len()))
    };
    let find = |from: usize, wanted: char| {
        let rest = chars.get(from..).unwrap_or_default();
        rest.iter()
            .position(|c| *c == wanted)
            .map(|found| from + found)
    };
    let after_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if starts("//") => find(at, '\n').unwrap_or(chars.len()),
        '/' if starts("/*") => block_comment_end(chars, at),
        '"' => quoted_end(chars, at),
        'r' if !after_word || chars[at - 1] == 'b' => raw_string_end(chars, at),
        '\'' if chars.get(at + 1) == Some(&'\\') => {
            find(at + 3, '\'').map_or(chars.len(), |end| end + 1)
        }
        '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
        _ => at,
    }
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut position = at;
    while position + 1 < chars.len() {
        match (chars[position], chars[position + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                position += 1;
                continue;
            }
        }
        position += 2;
        if depth == 0 {
            return position;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize) -> usize {
    let mut position = at + 1;
    while position < chars.len() {
        match chars[position] {
            '\\' => position += 2,
            '"' => return position + 1,
            _ => position += 1,
        }
    }
    chars.len()
}

/// The end of `r"…"` or `r#"…"#`; `at` if this `r` starts no raw string.
fn raw_string_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return at;
    }
    let mut position = at + 2 + hashes;
    while position < chars.len() {
        let closing = &chars[position + 1..];
        if chars[position] == '"' && closing.iter().take_while(|c| **c == '#').count() >= hashes {
            return position + 1 + hashes;
        }
        position += 1;
    }
    chars.len()
}

// --------------------------------------------------- the checks check themselves

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

#[test]
fn functions_are_measured_without_comments() {
    let code = blank_out(
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

#[test]
fn documented_keys_are_told_from_prose() {
    assert_eq!(documented_key("broker.id=0").as_deref(), Some("broker.id"));
    assert_eq!(
        documented_key("#broker.rack=").as_deref(),
        Some("broker.rack")
    );
    assert_eq!(documented_key("# with a = in prose"), None);
    assert_eq!(documented_key("######"), None);
}
