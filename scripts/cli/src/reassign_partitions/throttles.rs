//! Limits on the traffic of moves, which are settings of brokers and topics.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Assignment, Plan};
use super::{Error, learn_brokers};
use crate::client::Client;
use crate::client::admin::Reassignment;
use crate::client::configs::{Kind, Resource};
use crate::client::consumer::TopicPartition;
use crate::console;

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const DIR_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// From which brokers to which a partition moves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Move {
    sources: BTreeSet<i32>,
    destinations: BTreeSet<i32>,
}

type Moves = BTreeMap<TopicPartition, Move>;

fn of_broker(id: i32) -> Resource {
    Resource {
        kind: Kind::Broker,
        name: id.to_string(),
    }
}

fn of_topic(name: &str) -> Resource {
    Resource {
        kind: Kind::Topic,
        name: name.to_owned(),
    }
}

/// Limits the moves that are proposed, and those that are going on.
pub(super) async fn limit_moves(
    client: &Client,
    running: &BTreeMap<TopicPartition, Reassignment>,
    proposed: &Assignment,
    current: &Assignment,
    rate: i64,
) -> Result<(), Error> {
    let moves = moves(running, proposed, current);
    for (topic, changes) in replicas(&moves) {
        client.alter_resource(&of_topic(&topic), &changes).await?;
    }
    let set = |name: &str| (name.to_owned(), Some(rate.to_string()));
    for broker in brokers(&moves) {
        let changes = [set(LEADER_RATE), set(FOLLOWER_RATE)];
        client.alter_resource(&of_broker(broker), &changes).await?;
    }
    console::say(format_args!(
        "The inter-broker throttle limit was set to {rate} B/s"
    ));
    Ok(())
}

/// Limits the moves between directories of brokers.
pub(super) async fn limit_dirs(client: &Client, plan: &Plan, rate: i64) -> Result<(), Error> {
    let brokers: BTreeSet<i32> = plan.dirs.keys().map(|(broker, _)| *broker).collect();
    for broker in brokers {
        let changes = [(DIR_RATE.to_owned(), Some(rate.to_string()))];
        client.alter_resource(&of_broker(broker), &changes).await?;
    }
    console::say(format_args!(
        "The replica-alter-dir throttle limit was set to {rate} B/s"
    ));
    Ok(())
}

/// Lifts every limit: which brokers took part is not known any more.
pub(super) async fn clear(client: &Client, plan: &Plan) -> Result<(), Error> {
    learn_brokers(client).await?;
    let mut brokers: BTreeSet<i32> = client.brokers().iter().map(|broker| broker.id).collect();
    brokers.extend(plan.assignment().into_values().flatten());
    let listed: Vec<i32> = brokers.iter().copied().collect();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    console::say(format_args!(
        "Clearing broker-level throttles on broker{} {}",
        plural(listed.len()),
        crate::text::joined(&listed)
    ));
    let unset = |name: &str| (name.to_owned(), None);
    for broker in listed {
        let changes = [unset(LEADER_RATE), unset(FOLLOWER_RATE), unset(DIR_RATE)];
        client.alter_resource(&of_broker(broker), &changes).await?;
    }
    let topics: Vec<String> = plan.topics().into_iter().collect();
    console::say(format_args!(
        "Clearing topic-level throttles on topic{} {}",
        plural(topics.len()),
        topics.join(",")
    ));
    for topic in topics {
        let changes = [unset(LEADER_REPLICAS), unset(FOLLOWER_REPLICAS)];
        client.alter_resource(&of_topic(&topic), &changes).await?;
    }
    Ok(())
}

/// What is going on, with what is proposed in its place.
fn moves(
    running: &BTreeMap<TopicPartition, Reassignment>,
    proposed: &Assignment,
    current: &Assignment,
) -> Moves {
    let set = |ids: &[i32]| ids.iter().copied().collect::<BTreeSet<i32>>();
    let mut moves: Moves = running
        .iter()
        .map(|(at, of)| {
            let destinations = set(&of.adding);
            let sources = &set(&of.replicas) - &destinations;
            let of = Move {
                sources,
                destinations,
            };
            (at.clone(), of)
        })
        .collect();
    for (at, replicas) in proposed {
        let sources = match moves.get(at) {
            Some(running) => running.sources.clone(),
            None => set(current.get(at).map_or(&[], Vec::as_slice)),
        };
        let destinations = &set(replicas) - &sources;
        let of = Move {
            sources,
            destinations,
        };
        moves.insert(at.clone(), of);
    }
    moves
}

fn brokers(moves: &Moves) -> BTreeSet<i32> {
    let of = |of: &Move| {
        of.sources
            .union(&of.destinations)
            .copied()
            .collect::<Vec<_>>()
    };
    moves.values().flat_map(of).collect()
}

/// The settings of each topic: `partition:broker` for both ends of each move.
fn replicas(moves: &Moves) -> BTreeMap<String, [(String, Option<String>); 2]> {
    let mut ends: BTreeMap<&str, [BTreeSet<String>; 2]> = BTreeMap::new();
    for ((topic, partition), of) in moves {
        let [leaders, followers] = ends.entry(topic).or_default();
        leaders.extend(of.sources.iter().map(|id| format!("{partition}:{id}")));
        followers.extend(of.destinations.iter().map(|id| format!("{partition}:{id}")));
    }
    let listed = |set: BTreeSet<String>| {
        let list: Vec<String> = set.into_iter().collect();
        Some(list.join(","))
    };
    ends.into_iter()
        .map(|(topic, [leaders, followers])| {
            let changes = [
                (LEADER_REPLICAS.to_owned(), listed(leaders)),
                (FOLLOWER_REPLICAS.to_owned(), listed(followers)),
            ];
            (topic.to_owned(), changes)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_each_move_are_limited() {
        let at = |partition| ("t".to_owned(), partition);
        let running = BTreeMap::from([(
            at(1),
            Reassignment {
                replicas: vec![1, 2, 3],
                adding: vec![3],
                removing: vec![1],
            },
        )]);
        let proposed = Assignment::from([(at(0), vec![2, 3]), (at(1), vec![2, 4])]);
        let current = Assignment::from([(at(0), vec![1, 2]), (at(1), vec![1, 2, 3])]);
        let moves = moves(&running, &proposed, &current);
        assert_eq!(brokers(&moves), BTreeSet::from([1, 2, 3, 4]));
        let [leaders, followers] = &replicas(&moves)["t"];
        assert_eq!(leaders.1.as_deref(), Some("0:1,0:2,1:1,1:2"));
        assert_eq!(followers.1.as_deref(), Some("0:3,1:4"));
    }
}
