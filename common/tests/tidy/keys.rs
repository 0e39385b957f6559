//! Every configuration key is documented, and nothing else is.

use std::collections::BTreeSet;

use crate::repository::{Problems, root};
use crate::source::{Source, sources_below};

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
