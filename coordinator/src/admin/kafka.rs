//! What Kafka's brokers keep here: `/brokers`, `/controller`, `/topics`.
//!
//! Every page takes `chroot=/path` for clusters that have their nodes below a path.

use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::look::Look;
use super::{Shared, bad_request, json_response, not_found};
use crate::server::date::Date;

/// The most topics on one page.
const TOPICS_MAX: usize = 1000;
const TOPICS_DEFAULT: usize = 100;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    chroot: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
    /// One topic, with its partitions.
    topic: Option<String>,
}

impl Asked {
    /// The path that Kafka's nodes are below, without a slash at its end.
    fn root(&self) -> &str {
        self.chroot
            .as_deref()
            .unwrap_or_default()
            .trim_end_matches('/')
    }
}

/// A registered broker.
#[derive(Debug, Serialize)]
pub(super) struct Broker {
    pub(super) id: String,
    pub(super) endpoints: Vec<String>,
    pub(super) rack: Option<String>,
    /// The zxid of its registration, which requests among brokers carry.
    pub(super) epoch: i64,
    pub(super) session: String,
    pub(super) session_timeout_ms: Option<i32>,
    pub(super) registered: String,
    pub(super) age_ms: i64,
    /// What it wrote, as it is.
    pub(super) registration: Value,
}

#[derive(Debug, Serialize)]
pub(super) struct Controller {
    /// The broker that is the controller now.
    pub(super) broker_id: Option<Value>,
    pub(super) elected: Option<String>,
    pub(super) session: Option<String>,
    pub(super) epoch: Option<i64>,
    pub(super) cluster_id: Option<Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) topic_id: Option<Value>,
    pub(super) partitions: usize,
    pub(super) replication_factor: usize,
    /// Where something about it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reassigning: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) states: Vec<Partition>,
}

#[derive(Debug, Serialize)]
pub(super) struct Partition {
    pub(super) partition: i64,
    pub(super) replicas: Value,
    pub(super) leader: Option<Value>,
    pub(super) leader_epoch: Option<Value>,
    pub(super) isr: Option<Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    pub(super) total: usize,
    pub(super) topics: Vec<T>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<String>,
}

pub(super) async fn brokers(State(admin): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let now_ms = admin.server.clock.wall_ms();
    let brokers = admin.look(|look| brokers_of(look, asked.root(), now_ms));
    json_response(&serde_json::json!({ "brokers": brokers }))
}

pub(super) async fn controller(
    State(admin): State<Shared>,
    Query(asked): Query<Asked>,
) -> Response {
    json_response(&admin.look(|look| controller_of(look, asked.root())))
}

pub(super) async fn topics(State(admin): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let root = asked.root();
    if let Some(name) = &asked.topic {
        let topic = admin.look(|look| topic_of(look, root, name, Detail::Partitions));
        return match topic {
            Some(topic) => json_response(&topic),
            None => not_found(&format!("no topic {name}")),
        };
    }
    let limit = asked.limit.unwrap_or(TOPICS_DEFAULT);
    if !(1..=TOPICS_MAX).contains(&limit) {
        return bad_request(&format!("limit is a number from 1 to {TOPICS_MAX}"));
    }
    let after = asked.after.as_deref().unwrap_or_default();
    json_response(&admin.look(|look| topics_of(look, root, after, limit)))
}

pub(super) fn brokers_of(look: Look<'_>, root: &str, now_ms: i64) -> Vec<Broker> {
    let ids = format!("{root}/brokers/ids");
    let Some(children) = look.children(&ids) else {
        return Vec::new();
    };
    let mut brokers: Vec<Broker> = children
        .filter_map(|id| broker(look, &format!("{ids}/{id}"), id, now_ms))
        .collect();
    brokers.sort_by_key(|broker| (broker.id.parse::<i64>().ok(), broker.id.clone()));
    brokers
}

fn broker(look: Look<'_>, path: &str, id: &str, now_ms: i64) -> Option<Broker> {
    let stat = look.stat(path)?;
    let registration = look.json(path).unwrap_or_default();
    let endpoints = registration["endpoints"].as_array();
    Some(Broker {
        id: id.to_owned(),
        endpoints: endpoints
            .into_iter()
            .flatten()
            .filter_map(|endpoint| endpoint.as_str().map(str::to_owned))
            .collect(),
        rack: registration["rack"].as_str().map(str::to_owned),
        epoch: stat.czxid,
        session: format!("{:#x}", stat.ephemeral_owner),
        session_timeout_ms: look.state.sessions.get(&stat.ephemeral_owner).copied(),
        registered: Date::from_wall_ms(stat.ctime).to_string(),
        age_ms: now_ms - stat.ctime,
        registration,
    })
}

pub(super) fn controller_of(look: Look<'_>, root: &str) -> Controller {
    let path = format!("{root}/controller");
    let node = look.json(&path);
    let stat = look.stat(&path);
    let epoch = look.data(&format!("{root}/controller_epoch"));
    let text = epoch.and_then(|data| String::from_utf8(data.to_vec()).ok());
    let cluster = look.json(&format!("{root}/cluster/id"));
    Controller {
        broker_id: node.and_then(|node| node.get("brokerid").cloned()),
        elected: stat.map(|stat| Date::from_wall_ms(stat.ctime).to_string()),
        session: stat.map(|stat| format!("{:#x}", stat.ephemeral_owner)),
        epoch: text.and_then(|text| text.trim().parse().ok()),
        cluster_id: cluster.and_then(|node| node.get("id").cloned()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Counts,
    Partitions,
}

pub(super) fn topics_of(look: Look<'_>, root: &str, after: &str, limit: usize) -> Page<Topic> {
    let path = format!("{root}/brokers/topics");
    let total = look.children(&path).map_or(0, Iterator::count);
    let (names, more) = look.page(&path, after, limit);
    let topics = names
        .iter()
        .filter_map(|name| topic_of(look, root, name, Detail::Counts));
    Page {
        total,
        topics: topics.collect(),
        next: names.last().filter(|_| more).cloned(),
    }
}

fn topic_of(look: Look<'_>, root: &str, name: &str, detail: Detail) -> Option<Topic> {
    let path = format!("{root}/brokers/topics/{name}");
    look.stat(&path)?;
    let node = look.json(&path).unwrap_or_default();
    let partitions = node["partitions"].as_object();
    let is_moving = |key: &str| {
        node[key]
            .as_object()
            .is_some_and(|moving| !moving.is_empty())
    };
    let replicas = partitions.into_iter().flat_map(|all| all.values());
    let mut topic = Topic {
        name: name.to_owned(),
        topic_id: node.get("topic_id").cloned(),
        partitions: partitions.map_or(0, serde_json::Map::len),
        replication_factor: replicas
            .filter_map(|replicas| replicas.as_array().map(Vec::len))
            .max()
            .unwrap_or(0),
        reassigning: (is_moving("adding_replicas") || is_moving("removing_replicas"))
            .then_some(true),
        states: Vec::new(),
    };
    if detail == Detail::Partitions {
        let states = partitions.into_iter().flatten();
        topic.states = states
            .filter_map(|(number, replicas)| partition(look, &path, number, replicas))
            .collect();
        topic.states.sort_by_key(|state| state.partition);
    }
    Some(topic)
}

fn partition(look: Look<'_>, topic: &str, number: &str, replicas: &Value) -> Option<Partition> {
    let state = look.json(&format!("{topic}/partitions/{number}/state"));
    let of = |key: &str| state.as_ref().and_then(|state| state.get(key).cloned());
    Some(Partition {
        partition: number.parse().ok()?,
        replicas: replicas.clone(),
        leader: of("leader"),
        leader_epoch: of("leader_epoch"),
        isr: of("isr"),
    })
}
