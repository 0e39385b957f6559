//! The JSON of moves, read and written. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Error;
use crate::client::consumer::TopicPartition;
use crate::json as file;

/// Stands for a directory that the broker chooses.
const ANY_DIR: &str = "any";
const NO_JSON: &str = "The input string is not a valid JSON";

/// Replicas by partition.
pub(super) type Assignment = BTreeMap<TopicPartition, Vec<i32>>;
/// A replica: its broker and its partition.
pub(super) type Replica = (i32, TopicPartition);

/// Where partitions are to go, as the file lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    listed: Vec<(TopicPartition, Vec<i32>)>,
    /// Directories that replicas are to be kept in.
    pub(super) dirs: BTreeMap<Replica, String>,
}

pub(super) fn name(at: &TopicPartition) -> String {
    format!("{}-{}", at.0, at.1)
}

pub(super) fn names<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> String {
    let names: Vec<String> = partitions.into_iter().map(name).collect();
    names.join(",")
}

/// What stands more than once in a list.
fn duplicates<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<T> = list
        .iter()
        .filter(|item| !seen.insert(*item))
        .cloned()
        .collect();
    twice.into_iter().collect()
}

impl Plan {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let value = file::parse(text, NO_JSON)?;
        let mut plan = Self::default();
        if value.get("partitions").is_none() {
            return Ok(plan);
        }
        for of in file::list(&value, "partitions")? {
            let at = (file::text(of, "topic")?, file::i32(of, "partition")?);
            let replicas = integers(of)?;
            let dirs = match of.get("log_dirs") {
                Some(_) => strings(of)?,
                None => vec![ANY_DIR.to_owned(); replicas.len()],
            };
            if replicas.len() != dirs.len() {
                return Err(Error::Refused(format!(
                    "Size of replicas list {replicas:?} is different from size of log dirs list [{}] for partition {}",
                    dirs.join(", "),
                    name(&at)
                )));
            }
            for (broker, dir) in replicas.iter().zip(dirs) {
                if dir != ANY_DIR {
                    plan.dirs.insert((*broker, at.clone()), dir);
                }
            }
            plan.listed.push((at, replicas));
        }
        Ok(plan)
    }

    /// Refuses what cannot be done.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::Refused(text.to_owned()));
        if self.listed.is_empty() {
            return refuse("Partition reassignment list cannot be empty");
        }
        if self.listed.iter().any(|(_, replicas)| replicas.is_empty()) {
            return refuse("Partition replica list cannot be empty");
        }
        let partitions: Vec<TopicPartition> =
            self.listed.iter().map(|(at, _)| at.clone()).collect();
        let twice = duplicates(&partitions);
        if !twice.is_empty() {
            return refuse(&format!(
                "Partition reassignment contains duplicate topic partitions: {}",
                names(&twice)
            ));
        }
        let repeated: Vec<String> = self
            .listed
            .iter()
            .map(|(at, replicas)| (at, duplicates(replicas)))
            .filter(|(_, twice)| !twice.is_empty())
            .map(|(at, twice)| {
                let twice = crate::text::joined(&twice);
                format!("{} contains multiple entries for {twice}", name(at))
            })
            .collect();
        match repeated.is_empty() {
            true => Ok(()),
            false => refuse(&format!(
                "Partition replica lists may not contain duplicate entries: {}",
                repeated.join(". ")
            )),
        }
    }

    pub(super) fn assignment(&self) -> Assignment {
        self.listed.iter().cloned().collect()
    }

    pub(super) fn topics(&self) -> BTreeSet<String> {
        self.listed
            .iter()
            .map(|((topic, _), _)| topic.clone())
            .collect()
    }
}

fn integers(of: &Value) -> Result<Vec<i32>, Error> {
    let list = file::list(of, "replicas")?.iter();
    list.map(|id| {
        let number = id.as_i64().and_then(|id| i32::try_from(id).ok());
        number.ok_or_else(|| Error::Refused(format!("Expected `Integer` value, received {id}")))
    })
    .collect()
}

fn strings(of: &Value) -> Result<Vec<String>, Error> {
    let list = file::list(of, "log_dirs")?.iter();
    list.map(|dir| {
        let text = dir.as_str().map(str::to_owned);
        text.ok_or_else(|| Error::Refused(format!("Expected `String` value, received {dir}")))
    })
    .collect()
}

/// The topics of `--topics-to-move-json-file`.
pub(super) fn topics(text: &str) -> Result<Vec<String>, Error> {
    let value = file::parse(text, NO_JSON)?;
    let mut topics = Vec::new();
    if value.get("topics").is_some() {
        for of in file::list(&value, "topics")? {
            topics.push(file::text(of, "topic")?);
        }
    }
    let twice = duplicates(&topics);
    match twice.is_empty() {
        true => Ok(topics),
        false => Err(Error::Refused(format!(
            "List of topics to reassign contains duplicate entries: [{}]",
            twice.join(", ")
        ))),
    }
}

/// The brokers of `--broker-list`.
pub(super) fn brokers(list: &str) -> Result<Vec<i32>, Error> {
    let brokers: Vec<i32> = list
        .split(',')
        .map(|id| {
            id.parse()
                .map_err(|_| Error::Refused(format!("For input string: \"{id}\"")))
        })
        .collect::<Result<_, _>>()?;
    let twice = duplicates(&brokers);
    match twice.is_empty() {
        true => Ok(brokers),
        false => Err(Error::Refused(format!(
            "Broker list contains duplicate entries: {twice:?}"
        ))),
    }
}

/// An assignment in the form of `--reassignment-json-file`.
pub(super) fn to_json(assignment: &Assignment) -> String {
    let partitions: Vec<Value> = assignment
        .iter()
        .map(|((topic, partition), replicas)| {
            json!({
                "topic": topic,
                "partition": partition,
                "replicas": replicas,
                "log_dirs": vec![ANY_DIR; replicas.len()],
            })
        })
        .collect();
    json!({ "version": 1, "partitions": partitions }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_being_written_and_read() {
        let assignment = Assignment::from([(("t".to_owned(), 1), vec![2, 0])]);
        let text = to_json(&assignment);
        assert_eq!(
            text,
            r#"{"version":1,"partitions":[{"topic":"t","partition":1,"replicas":[2,0],"log_dirs":["any","any"]}]}"#
        );
        let plan = Plan::parse(&text).unwrap();
        assert!(plan.check().is_ok() && plan.dirs.is_empty());
        assert_eq!(plan.assignment(), assignment);
    }

    #[test]
    fn directories_belong_to_replicas() {
        let text = r#"{"partitions":[{"topic":"t","partition":0,"replicas":[1,2],"log_dirs":["any","/d"]}]}"#;
        let plan = Plan::parse(text).unwrap();
        let expected = ((2, ("t".to_owned(), 0)), "/d".to_owned());
        assert_eq!(plan.dirs.into_iter().collect::<Vec<_>>(), [expected]);
        let uneven = text.replace(r#","/d""#, "");
        assert_eq!(
            Plan::parse(&uneven).unwrap_err().to_string(),
            "Size of replicas list [1, 2] is different from size of log dirs list [any] for partition t-0"
        );
    }

    #[test]
    fn what_cannot_be_done_is_told_as_kafka_tells_it() {
        let check = |partitions: &str| {
            let text = format!(r#"{{"version":1,"partitions":[{partitions}]}}"#);
            let checked = Plan::parse(&text).and_then(|plan| plan.check());
            checked.map_err(|error| error.to_string())
        };
        let one = r#"{"topic":"t","partition":0,"replicas":[1]}"#;
        for (partitions, text) in [
            ("", "Partition reassignment list cannot be empty"),
            (
                &format!("{one},{one}"),
                "Partition reassignment contains duplicate topic partitions: t-0",
            ),
            (
                r#"{"topic":"t","partition":0,"replicas":[]}"#,
                "Partition replica list cannot be empty",
            ),
            (
                r#"{"topic":"t","partition":0,"replicas":[1,1]}"#,
                "Partition replica lists may not contain duplicate entries: t-0 contains multiple entries for 1",
            ),
        ] {
            assert_eq!(check(partitions), Err(text.to_owned()));
        }
        assert_eq!(
            brokers("1,2,1").unwrap_err().to_string(),
            "Broker list contains duplicate entries: [1]"
        );
        assert_eq!(
            topics(r#"{"topics":[{"topic":"a"},{"topic":"a"}]}"#)
                .unwrap_err()
                .to_string(),
            "List of topics to reassign contains duplicate entries: [a]"
        );
    }
}
