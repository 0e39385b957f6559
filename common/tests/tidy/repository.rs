//! The files of the repository, and what is wrong with them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Collects violations and fails with all of them.
pub(crate) struct Problems {
    title: &'static str,
    pub(crate) found: BTreeSet<String>,
}

impl Problems {
    pub(crate) fn new(title: &'static str) -> Self {
        let found = BTreeSet::new();
        Self { title, found }
    }

    pub(crate) fn add(&mut self, problem: String) {
        self.found.insert(problem);
    }

    pub(crate) fn end(self) {
        let mut text = String::new();
        for problem in &self.found {
            let _ = write!(text, "\n  {problem}");
        }
        assert!(self.found.is_empty(), "{}:{text}", self.title);
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file that is not ignored by git, with `/` and relative to the root.
/// Folders of tools (`.git`, caches) are left out.
pub(crate) fn repository_files() -> Vec<String> {
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
