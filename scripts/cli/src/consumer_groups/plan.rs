//! What the command line and files say about offsets to go to: partitions and
//! plans in CSV. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::client::consumer::TopicPartition;

/// Offsets by partition, by group.
pub(super) type Plan = BTreeMap<String, BTreeMap<TopicPartition, i64>>;

/// The longest word that Kafka's CSV writes without looking whether it needs quotes.
const UNQUOTED: usize = 24;

/// Reads `topic:0,1,2`.
pub(super) fn partitions(written: &str) -> Result<Vec<TopicPartition>, String> {
    let parts: Vec<&str> = written.split(':').collect();
    let [topic, list] = parts[..] else {
        return Err(format!(
            "Invalid topic arg '{written}', expected topic name and partitions"
        ));
    };
    let partition = |word: &str| {
        let number = word.parse();
        let at = number.map(|partition| (topic.to_owned(), partition));
        at.map_err(|_| format!("Invalid partition '{word}' specified in topic arg '{written}''"))
    };
    list.split(',').map(partition).collect()
}

/// Reads a plan: lines of `topic,partition,offset` for the one `group`, or of
/// `group,topic,partition,offset`.
pub(super) fn from_csv(text: &str, group: Option<&str>) -> Result<Plan, String> {
    let mut plan = Plan::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line
            .split(',')
            .map(|cell| cell.trim().trim_matches('"'))
            .collect();
        let (group, topic, partition, offset) = match (cells[..].as_ref(), group) {
            ([topic, partition, offset], Some(group)) => (group, *topic, partition, offset),
            ([group, topic, partition, offset], _) => (*group, *topic, partition, offset),
            _ => return Err(format!("Too few or too many values in the line '{line}'")),
        };
        let number = |cell: &str| cell.parse::<i64>().ok();
        let at = number(partition).and_then(|partition| i32::try_from(partition).ok());
        let (Some(partition), Some(offset)) = (at, number(offset)) else {
            return Err(format!("A value of the line '{line}' is not a number"));
        };
        plan.entry(group.to_owned())
            .or_default()
            .insert((topic.to_owned(), partition), offset);
    }
    Ok(plan)
}

/// Writes what `from_csv` reads; the group stands in it unless there is one.
pub(super) fn to_csv(plan: &Plan, has_groups: bool) -> String {
    let quoted = |word: &str| {
        let is_plain = word.len() <= UNQUOTED && word.chars().all(|letter| letter >= '-');
        match is_plain {
            true => word.to_owned(),
            false => format!("\"{}\"", word.replace('"', "\"\"")),
        }
    };
    let mut text = String::new();
    for (group, offsets) in plan {
        for ((topic, partition), offset) in offsets {
            if has_groups {
                let _ = write!(text, "{},", quoted(group));
            }
            let _ = writeln!(text, "{},{partition},{offset}", quoted(topic));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_of_a_topic() {
        let at = |partition| ("t".to_owned(), partition);
        assert_eq!(partitions("t:0,2"), Ok(vec![at(0), at(2)]));
        assert_eq!(
            partitions("t:x").unwrap_err(),
            "Invalid partition 'x' specified in topic arg 't:x''"
        );
        assert_eq!(
            partitions("t:0:1").unwrap_err(),
            "Invalid topic arg 't:0:1', expected topic name and partitions"
        );
    }

    #[test]
    fn plans_survive_being_written_and_read() {
        let long = "a-topic-with-quite-a-long-name";
        let one = format!("t,0,5\n\"{long}\",1,7\n");
        let plan = from_csv(&one, Some("g")).unwrap();
        assert_eq!(plan["g"][&(long.to_owned(), 1)], 7);
        // Kafka quotes what is long.
        let sorted = format!("\"{long}\",1,7\nt,0,5\n");
        assert_eq!(to_csv(&plan, false), sorted);
        assert_eq!(from_csv(&to_csv(&plan, true), None), Ok(plan));
        assert!(from_csv("t,0,5", None).is_err());
        assert!(from_csv("t,x,5", Some("g")).is_err());
    }
}
