//! `/tree`: a part of the tree with stats and values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::zk::{Acl, Stat};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::look::Look;
use crate::server::date::Date;

const DEPTH_MAX: u32 = 8;
/// The most nodes in one answer, in all depths together.
const NODES_MAX: usize = 1000;
const NODES_DEFAULT: usize = 100;
/// Of values of more bytes only the beginning is shown, except that of the node
/// that was asked for.
const VALUE_SHOWN: usize = 4096;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    path: Option<String>,
    depth: Option<u32>,
    limit: Option<usize>,
    /// The name of the child behind which the page begins.
    after: Option<String>,
    /// `json` also for browsers.
    pub(super) format: Option<String>,
}

/// A part of the tree that was asked for within the limits.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) path: String,
    depth: u32,
    limit: usize,
    after: String,
}

impl Asked {
    /// The limits that hold, or what is wrong with those asked for.
    pub(super) fn part(self) -> Result<Part, String> {
        let path = self.path.unwrap_or_else(|| "/".to_owned());
        let depth = self.depth.unwrap_or(1);
        let limit = self.limit.unwrap_or(NODES_DEFAULT);
        if !path.starts_with('/') {
            return Err("path begins with a slash".to_owned());
        }
        if depth > DEPTH_MAX {
            return Err(format!("depth is a number from 0 to {DEPTH_MAX}"));
        }
        if !(1..=NODES_MAX).contains(&limit) {
            return Err(format!("limit is a number from 1 to {NODES_MAX}"));
        }
        let path = match path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        Ok(Part {
            path,
            depth,
            limit,
            after: self.after.unwrap_or_default(),
        })
    }
}

/// A node as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub(super) path: String,
    pub(super) stat: ShownStat,
    /// Whether the world may read it; if not, there is only the stat.
    pub(super) readable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acl: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Value>,
    /// How much of the data is shown, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data_shown: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) children: Option<Vec<Shown>>,
    /// The name to go on behind, if not all children are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// As clients see it, with readable times beside.
#[derive(Debug, Serialize)]
pub(super) struct ShownStat {
    pub(super) czxid: i64,
    pub(super) mzxid: i64,
    pub(super) ctime: i64,
    pub(super) mtime: i64,
    pub(super) version: i32,
    pub(super) cversion: i32,
    pub(super) aversion: i32,
    pub(super) ephemeral_owner: String,
    pub(super) data_length: i32,
    pub(super) num_children: i32,
    pub(super) pzxid: i64,
    pub(super) created: String,
    pub(super) modified: String,
}

impl From<Stat> for ShownStat {
    fn from(stat: Stat) -> Self {
        Self {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            ephemeral_owner: format!("{:#x}", stat.ephemeral_owner),
            data_length: stat.data_length,
            num_children: stat.num_children,
            pzxid: stat.pzxid,
            created: Date::from_wall_ms(stat.ctime).to_string(),
            modified: Date::from_wall_ms(stat.mtime).to_string(),
        }
    }
}

/// The part as it is now; `None` if there is no such node.
pub(super) fn show(look: Look<'_>, part: &Part) -> Option<Shown> {
    let mut left = part.limit;
    let mut root = node(look, &part.path, usize::MAX)?;
    descend(look, &mut root, part.depth, &part.after, &mut left);
    Some(root)
}

fn descend(look: Look<'_>, shown: &mut Shown, depth: u32, after: &str, left: &mut usize) {
    if depth == 0 || !shown.readable {
        return;
    }
    let (names, more) = look.page(&shown.path, after, *left);
    *left -= names.len();
    shown.next = names.last().filter(|_| more).cloned();
    if more && names.is_empty() {
        // There was no room for any of them: they begin with the first.
        shown.next = Some(String::new());
    }
    let slash = if shown.path == "/" { "" } else { "/" };
    let paths = names
        .iter()
        .map(|name| format!("{}{slash}{name}", shown.path));
    let mut children: Vec<Shown> = paths
        .filter_map(|path| node(look, &path, VALUE_SHOWN))
        .collect();
    for child in &mut children {
        descend(look, child, depth - 1, "", left);
    }
    shown.children = Some(children);
}

fn node(look: Look<'_>, path: &str, value_max: usize) -> Option<Shown> {
    let stat = look.stat(path)?;
    let acl = look.acl(path);
    let data = look.data(path);
    let len = data.map_or(0, <[u8]>::len);
    Some(Shown {
        path: path.to_owned(),
        stat: stat.into(),
        readable: acl.is_some(),
        acl: acl.map(|acl| acl.iter().map(acl_text).collect()),
        data: data.map(|data| value(&data[..len.min(value_max)], len <= value_max)),
        data_shown: (len > value_max).then_some(value_max),
        children: None,
        next: None,
    })
}

/// As the command line of ZooKeeper writes it.
fn acl_text(acl: &Acl) -> String {
    let letters = [(1, 'r'), (2, 'w'), (4, 'c'), (8, 'd'), (16, 'a')];
    let has = letters.iter().filter(|(bit, _)| acl.perms & bit != 0);
    let letters: String = has.map(|(_, letter)| letter).collect();
    format!("{}:{}:{letters}", acl.id.scheme, acl.id.id)
}

/// Data as JSON where it is JSON, else as text where it is text, else in base64.
fn value(data: &[u8], is_whole: bool) -> Value {
    let parsed = is_whole.then(|| serde_json::from_slice::<Value>(data).ok());
    if let Some(Some(parsed @ (Value::Object(_) | Value::Array(_)))) = parsed {
        return json!({ "json": parsed });
    }
    // The beginning of a text may end within a character.
    let text = match std::str::from_utf8(data) {
        Ok(text) => Some(text),
        Err(error) if !is_whole && error.error_len().is_none() => {
            std::str::from_utf8(&data[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let is_printed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    match text.filter(|text| text.chars().all(is_printed)) {
        Some(text) => json!({ "text": text }),
        None => json!({ "base64": BASE64.encode(data) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_what_they_are() {
        for (data, shown) in [
            (&b"{\"a\":1}"[..], json!({"json": {"a": 1}})),
            (b"[1]", json!({"json": [1]})),
            (b"12", json!({"text": "12"})),
            (b"", json!({"text": ""})),
            (b"line\n", json!({"text": "line\n"})),
            (b"\x1b[31m", json!({"base64": "G1szMW0="})),
            (&[0xff, 0xfe], json!({"base64": "//4="})),
        ] {
            assert_eq!(value(data, true), shown);
        }
        assert_eq!(value(b"{\"a\":", false), json!({"text": "{\"a\":"}));
        let cut = &"größe".as_bytes()[..3];
        assert_eq!(value(cut, false), json!({"text": "gr"}));
        assert_eq!(value(cut, true), json!({"base64": "Z3LD"}));
    }

    #[test]
    fn what_is_asked_for_has_limits() {
        let part = |path: &str, depth, limit| {
            let asked = Asked {
                path: Some(path.to_owned()),
                depth: Some(depth),
                limit: Some(limit),
                ..Asked::default()
            };
            asked.part()
        };
        assert_eq!(part("/a/", 1, 10).unwrap().path, "/a");
        assert_eq!(part("//", 1, 10).unwrap().path, "/");
        assert!(part("a", 1, 10).is_err());
        assert!(part("/", DEPTH_MAX + 1, 10).is_err());
        assert!(part("/", 1, 0).is_err());
        assert!(part("/", 1, NODES_MAX + 1).is_err());
    }
}
