//! The Rust sources, as the product's code alone: without tests, comments and the
//! insides of literals.

use crate::repository::{repository_files, root};

/// Every Rust source of the four crates, without the tests' own folders.
pub(crate) fn all_sources() -> Vec<Source> {
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

pub(crate) fn sources_below(folder: &str) -> Vec<Source> {
    repository_files()
        .iter()
        .filter(|path| path.starts_with(&format!("{folder}/")) && path.ends_with(".rs"))
        .filter_map(|path| Source::read(path))
        .collect()
}

pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn read(path: &str) -> Option<Self> {
        let text = std::fs::read_to_string(root().join(path)).ok()?;
        let path = path.to_owned();
        Some(Self { path, text })
    }

    /// `log` for `broker/src/log/segment.rs`, and for `broker/src/log.rs`.
    pub(crate) fn top_module(&self, source: &str) -> String {
        let inside = &self.path[source.len() + 1..];
        let first = inside.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs").to_owned()
    }

    /// How many `super::` lead from this file to the crate's root.
    pub(crate) fn depth(&self, source: &str) -> usize {
        let inside = &self.path[source.len() + 1..];
        let parts = inside.split('/').count();
        if inside.ends_with("/mod.rs") {
            parts - 1
        } else {
            parts
        }
    }

    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name == "tests.rs" || name.ends_with("_tests.rs") || self.path.contains("/tests/")
    }

    /// The text before the unit tests at the file's end.
    pub(crate) fn without_tests(&self) -> &str {
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
    pub(crate) fn code(&self) -> String {
        blank_out(self.without_tests())
    }

    pub(crate) fn code_lines(&self) -> usize {
        self.without_tests().lines().count()
    }
}

pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// Replaces comments and the insides of literals by spaces, keeping line breaks.
pub(crate) fn blank_out(text: &str) -> String {
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
