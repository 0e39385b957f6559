//! Pages for people: everything on one, and the tree to walk through.
//!
//! **Invariant:** no scripts, nothing from elsewhere, and every text that came from
//! a client or a file is escaped.

use std::fmt::Write as _;

use axum::extract::{Query, State};
use axum::response::Response;
use common::page::{document, escape};
use serde::Deserialize;
use serde_json::Value;

use super::kafka::{self, Broker, Controller, Topic};
use super::sessions::{self, Sessions};
use super::tree::Shown;
use super::{Pages, Shared, commands};
use crate::server::monitor::version;

/// How many rows the tables of the first page have at most.
const ROWS: usize = 20;
const REFRESH_SECONDS: u32 = 5;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    refresh: Option<u32>,
    chroot: Option<String>,
}

/// All that the first page shows.
struct Facts {
    brokers: Vec<Broker>,
    controller: Controller,
    topics: kafka::Page<Topic>,
    zxid: i64,
    nodes: usize,
    data_size: usize,
    ephemerals: usize,
}

pub(super) async fn index(State(admin): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let now_ms = admin.server.clock.wall_ms();
    let root = asked.chroot.as_deref().unwrap_or_default();
    let root = root.trim_end_matches('/');
    let facts = admin.look(|look| Facts {
        brokers: kafka::brokers_of(look, root, now_ms),
        controller: kafka::controller_of(look, root),
        topics: kafka::topics_of(look, root, "", ROWS),
        zxid: look.state.zxid,
        nodes: look.state.tree.reported_len(),
        data_size: look.state.tree.data_size(),
        ephemerals: look.state.tree.ephemeral_count(),
    });
    let sessions = sessions::sessions_of(&admin.server, None, ROWS);
    let mut body = head(&admin, &asked);
    cards(&mut body, &admin, &facts, &sessions);
    kafka_tables(&mut body, &facts, root);
    session_table(&mut body, &sessions);
    links(&mut body, &admin);
    let refresh = asked.refresh.filter(|seconds| *seconds > 0);
    document("Coordinator", &body, refresh)
}

fn head(admin: &Pages, asked: &Asked) -> String {
    let (class, state) = match admin.state() {
        Ok(()) => ("state", "serving".to_owned()),
        Err(why) => ("state bad", why),
    };
    let refresh = match asked.refresh {
        Some(1..) => "<a href=\"/\">stop reloading</a>".to_owned(),
        _ => {
            format!("<a href=\"/?refresh={REFRESH_SECONDS}\">reload every {REFRESH_SECONDS} s</a>")
        }
    };
    format!(
        "<h1>Coordinator</h1>\n<p><span class=\"{class}\">{}</span> on port {} \
         <span class=\"faint\">· ZooKeeper {} · {refresh}</span></p>\n",
        escape(&state),
        admin.server.client_port(),
        escape(&version()),
    )
}

fn cards(body: &mut String, admin: &Pages, facts: &Facts, sessions: &Sessions) {
    let server = &admin.server;
    let metrics = server.pipeline.metrics();
    let uptime = server.stats.uptime(server.clock.monotonic());
    let watches = server.pipeline.with_watches(crate::watch::Registry::count);
    let latency = |snapshot: crate::metrics::Snapshot| match snapshot.quantile(0.99) {
        Some(p99) => format!("{:.2} ms · p99 {p99:.2}", snapshot.avg()),
        None => "–".to_owned(),
    };
    let cards = [
        ("mode", "standalone".to_owned()),
        ("up for", duration(uptime.as_millis())),
        ("last transaction", format!("{:#x}", facts.zxid)),
        ("nodes", grouped(facts.nodes)),
        ("data", format!("{} bytes", grouped(facts.data_size))),
        ("ephemeral nodes", grouped(facts.ephemerals)),
        ("sessions", grouped(sessions.total)),
        ("connections", grouped(server.connection_count())),
        ("watches", grouped(watches)),
        ("outstanding requests", grouped(server.outstanding())),
        ("reads", latency(metrics.readlatency.read())),
        ("writes", latency(metrics.updatelatency.read())),
        ("waits for the disk", latency(metrics.fsynctime.read())),
    ];
    body.push_str("<dl class=\"facts\">\n");
    for (name, value) in cards {
        // Writing to a String does not fail.
        let _ = writeln!(
            body,
            "<div><dt>{name}</dt><dd>{}</dd></div>",
            escape(&value)
        );
    }
    body.push_str("</dl>\n");
}

fn kafka_tables(body: &mut String, facts: &Facts, root: &str) {
    let chroot = match root {
        "" => String::new(),
        root => format!("?chroot={}", url(root)),
    };
    let controller = &facts.controller;
    let _ = writeln!(body, "<h2><a href=\"/brokers{chroot}\">Brokers</a></h2>");
    if facts.brokers.is_empty() {
        body.push_str("<p class=\"faint\">No Kafka broker is registered here.</p>\n");
    } else {
        let head = ["id", "endpoints", "rack", "session", "registered"];
        table(
            body,
            &head,
            facts.brokers.iter().map(|broker| {
                let is_controller = controller.broker_id.as_ref().map(Value::to_string);
                let mark = match is_controller == Some(broker.id.clone()) {
                    true => " · <a href=\"/controller\">controller</a>",
                    false => "",
                };
                let age = u128::try_from(broker.age_ms).unwrap_or(0);
                vec![
                    format!("{}{mark}", escape(&broker.id)),
                    escape(&broker.endpoints.join(" ")),
                    escape(broker.rack.as_deref().unwrap_or("–")),
                    format!("<span class=\"id\">{}</span>", escape(&broker.session)),
                    format!("<span class=\"time\">{} ago</span>", duration(age)),
                ]
            }),
        );
    }
    if facts.topics.total == 0 {
        return;
    }
    let _ = writeln!(body, "<h2><a href=\"/topics{chroot}\">Topics</a></h2>");
    let head = ["name", "#partitions", "#replicas"];
    table(
        body,
        &head,
        facts.topics.topics.iter().map(|topic| {
            let separator = if chroot.is_empty() { "?" } else { "&amp;" };
            vec![
                format!(
                    "<a href=\"/topics{chroot}{separator}topic={}\">{}</a>",
                    url(&topic.name),
                    escape(&topic.name)
                ),
                topic.partitions.to_string(),
                topic.replication_factor.to_string(),
            ]
        }),
    );
    more(body, facts.topics.total);
}

fn session_table(body: &mut String, sessions: &Sessions) {
    body.push_str("<h2><a href=\"/sessions\">Sessions</a></h2>\n");
    if sessions.total == 0 {
        body.push_str("<p class=\"faint\">Nobody has a session.</p>\n");
        return;
    }
    let head = [
        "id",
        "client",
        "last request",
        "#timeout",
        "#expires in",
        "#ephemerals",
    ];
    table(
        body,
        &head,
        sessions.sessions.iter().map(|session| {
            let connection = session.connection.as_ref();
            vec![
                format!("<span class=\"id\">{}</span>", escape(&session.id)),
                connection.map_or_else(
                    || "<span class=\"faint\">not connected</span>".to_owned(),
                    |connection| escape(&connection.address),
                ),
                connection
                    .map_or("–", |connection| connection.last_operation)
                    .to_owned(),
                duration(session.timeout_ms.unsigned_abs().into()),
                duration(session.expires_in_ms.into()),
                grouped(session.ephemeral_count),
            ]
        }),
    );
    more(body, sessions.total);
}

fn more(body: &mut String, total: usize) {
    if total > ROWS {
        let _ = writeln!(body, "<p class=\"faint\">{ROWS} of {}</p>", grouped(total));
    }
}

fn links(body: &mut String, admin: &Pages) {
    let pages = [
        ("/tree", "the tree, to walk through"),
        ("/watches", "who watches what"),
        ("/backup", "a backup, on this machine"),
        ("/config", "configuration"),
        ("/metrics", "metrics for Prometheus"),
        ("/health", "health"),
        ("/ready", "readiness"),
    ];
    body.push_str("<h2>More</h2>\n<ul class=\"links\">\n");
    for (path, name) in pages {
        let _ = writeln!(body, "<li><a href=\"{path}\">{name}</a></li>");
    }
    body.push_str("</ul>\n<h2>Commands, as ZooKeeper has them</h2>\n<ul class=\"links\">\n");
    for name in commands::names() {
        let path = escape(admin.commands());
        let _ = writeln!(body, "<li><a href=\"{path}/{name}\">{name}</a></li>");
    }
    body.push_str("</ul>\n");
}

/// A table of cells that are HTML already; a `#` before a name means numbers.
fn table(body: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let class = |name: &str| match name.starts_with('#') {
        true => " class=\"number\"",
        false => "",
    };
    body.push_str("<div class=\"scroll\"><table>\n<tr>");
    for name in head {
        let _ = write!(
            body,
            "<th{}>{}</th>",
            class(name),
            name.trim_start_matches('#')
        );
    }
    body.push_str("</tr>\n");
    for row in rows {
        body.push_str("<tr>");
        for (cell, name) in row.iter().zip(head) {
            let _ = write!(body, "<td{}>{cell}</td>", class(name));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</table></div>\n");
}

/// A node with its children, to walk on from.
pub(super) fn tree(shown: &Shown) -> Response {
    let mut body = format!(
        "<p class=\"faint\"><a href=\"/\">Coordinator</a> · the tree</p>\n<h1>{}</h1>\n",
        crumbs(&shown.path)
    );
    let stat = &shown.stat;
    let facts = [
        (
            "created",
            format!("{} · {:#x}", moment(&stat.created), stat.czxid),
        ),
        (
            "modified",
            format!("{} · {:#x}", moment(&stat.modified), stat.mzxid),
        ),
        (
            "version",
            format!(
                "{} · children {} · ACL {}",
                stat.version, stat.cversion, stat.aversion
            ),
        ),
        ("owner", stat.ephemeral_owner.replace("0x0", "–")),
        ("data", format!("{} bytes", stat.data_length)),
        (
            "ACL",
            shown.acl.as_ref().map_or_else(
                || "not for the world to read".to_owned(),
                |acl| acl.join(" "),
            ),
        ),
    ];
    body.push_str("<dl class=\"facts\">\n");
    for (name, value) in facts {
        let _ = writeln!(
            body,
            "<div><dt>{name}</dt><dd>{}</dd></div>",
            escape(&value)
        );
    }
    body.push_str("</dl>\n");
    if let Some(text) = shown
        .data
        .as_ref()
        .map(shown_text)
        .filter(|text| !text.is_empty())
    {
        let _ = writeln!(body, "<h2>Data</h2>\n<pre>{}</pre>", escape(&text));
    }
    if let Some(children) = shown
        .children
        .as_ref()
        .filter(|children| !children.is_empty())
    {
        body.push_str("<h2>Children</h2>\n");
        let head = ["name", "data", "#bytes", "#children", "modified"];
        table(&mut body, &head, children.iter().map(child));
    }
    if let Some(next) = &shown.next {
        let (path, next) = (url(&shown.path), url(next));
        let _ = writeln!(
            body,
            "<p><a href=\"/tree?path={path}&amp;after={next}\">more</a></p>"
        );
    }
    document(&shown.path, &body, None)
}

fn child(node: &Shown) -> Vec<String> {
    let name = node.path.rsplit('/').next().unwrap_or_default();
    let text = node.data.as_ref().map(shown_text).unwrap_or_default();
    let first: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = first.chars().take(80).collect();
    if short.len() < first.len() {
        short.push('…');
    }
    vec![
        format!(
            "<a href=\"/tree?path={}\">{}</a>",
            url(&node.path),
            escape(name)
        ),
        match node.readable {
            true => format!("<code>{}</code>", escape(&short)),
            false => "<span class=\"faint\">not for the world to read</span>".to_owned(),
        },
        node.stat.data_length.to_string(),
        node.stat.num_children.to_string(),
        format!(
            "<span class=\"time\">{}</span>",
            moment(&node.stat.modified)
        ),
    ]
}

fn shown_text(data: &Value) -> String {
    match (
        &data["json"],
        data["text"].as_str(),
        data["base64"].as_str(),
    ) {
        (json, _, _) if !json.is_null() => serde_json::to_string_pretty(json).unwrap_or_default(),
        (_, Some(text), _) => text.to_owned(),
        (_, _, Some(base64)) => format!("base64: {base64}"),
        _ => String::new(),
    }
}

/// The path with a link for each of its nodes.
fn crumbs(path: &str) -> String {
    let mut html = "<a href=\"/tree\">/</a>".to_owned();
    for (position, name) in path.match_indices('/').map(|(start, _)| {
        let rest = &path[start + 1..];
        let end = rest.find('/').map_or(path.len(), |end| start + 1 + end);
        (end, &path[start + 1..end])
    }) {
        if name.is_empty() {
            continue;
        }
        let separator = if position == path.len() { "" } else { "/" };
        let _ = write!(
            html,
            "<a href=\"/tree?path={}\">{}</a>{separator}",
            url(&path[..position]),
            escape(name)
        );
    }
    html
}

/// Text as a part of a query.
fn url(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// A date without what nobody reads; none for the nodes that were always there.
fn moment(date: &str) -> String {
    match date.split_at_checked(19) {
        Some((seconds, _)) if !seconds.starts_with("1970-01-01") => seconds.replace('T', " "),
        _ => "–".to_owned(),
    }
}

/// A number in groups of three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A length of time in its two largest units.
fn duration(ms: u128) -> String {
    let seconds = ms / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) if seconds < 10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_queries_are_encoded() {
        assert_eq!(url("/a b&c=ü"), "/a%20b%26c%3D%C3%BC");
    }

    #[test]
    fn every_part_of_a_path_is_a_link() {
        let html = crumbs("/a/<b>");
        assert_eq!(
            html,
            "<a href=\"/tree\">/</a><a href=\"/tree?path=/a\">a</a>/\
             <a href=\"/tree?path=/a/%3Cb%3E\">&lt;b&gt;</a>"
        );
        assert_eq!(crumbs("/"), "<a href=\"/tree\">/</a>");
    }

    #[test]
    fn numbers_are_for_reading() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(12), "12");
        for (ms, text) in [
            (1500, "1.5 s"),
            (59_000, "59 s"),
            (61_000, "1 min 1 s"),
            (3_720_000, "1 h 2 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
