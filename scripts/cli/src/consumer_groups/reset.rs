//! `--reset-offsets`: works out new offsets for groups without members, shows
//! them, and with `--execute` commits them.
//!
//! **Invariant:** nothing is committed without `--execute`, and never beyond
//! the ends of a partition.

use std::collections::BTreeMap;

use super::plan::{self, Plan};
use super::{Error, complain, describe, report};
use crate::client::Client;
use crate::client::consumer::TopicPartition;
use crate::client::offsets::{EARLIEST, LATEST};
use crate::console;
use crate::options::Options;
use crate::times;

const LOGGER: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

type Offsets = BTreeMap<TopicPartition, i64>;

/// Where to go to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Offset(i64),
    Earliest,
    Latest,
    Current,
    Shift(i64),
    /// The first record since a time.
    Time(i64),
    File(Plan),
}

pub(super) async fn run(options: &Options, client: &Client) -> Result<(), Error> {
    if !options.has("dry-run") && !options.has("execute") {
        console::complain(
            "WARN: No action will be performed as the --execute option is missing.In a future major release, the default behavior of this command will be to prompt the user before executing the reset rather than doing a dry run. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.",
        );
    }
    let mut plan = Plan::new();
    for group in describe::chosen(options, client).await? {
        let state = client.describe_group(&group).await?.state;
        if !["Empty", "Dead"].contains(&state.as_str()) {
            complain(&format!(
                "Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            ));
            continue;
        }
        let partitions = partitions(options, client, &group).await?;
        let target = target(options, client.wall_ms())?;
        let offsets = offsets(client, &group, &partitions, &target).await?;
        if options.has("execute") {
            client.alter_offsets(&group, &offsets).await?;
        }
        plan.insert(group, offsets);
    }
    if options.has("export") {
        let is_of_one = options.all("group").len() == 1;
        console::say(plan::to_csv(&plan, !is_of_one));
        return Ok(());
    }
    let rows = plan.iter().flat_map(|(group, offsets)| {
        let rows = offsets.iter();
        rows.map(move |(at, offset)| (group.as_str(), at, *offset))
    });
    console::print(format_args!("{}", report::resets(rows)));
    Ok(())
}

/// The partitions that `--all-topics` or `--topic` mean.
async fn partitions(
    options: &Options,
    client: &Client,
    group: &str,
) -> Result<Vec<TopicPartition>, Error> {
    if options.has("all-topics") {
        let committed = client.all_committed(group).await?;
        return Ok(committed.into_keys().collect());
    }
    if !options.has("topic") {
        return match options.has("from-file") {
            true => Ok(Vec::new()),
            false => Err(Error::Usage(
                "One of the reset scopes should be defined: --all-topics, --topic.".to_owned(),
            )),
        };
    }
    let mut partitions = Vec::new();
    let mut whole = Vec::new();
    for written in options.all("topic") {
        match written.contains(':') {
            true => partitions.extend(plan::partitions(written).map_err(Error::Usage)?),
            false => whole.push(written.to_owned()),
        }
    }
    if !whole.is_empty() {
        for topic in client.describe_topics(&whole).await? {
            let indexes = topic.partitions.iter().map(|partition| partition.index);
            partitions.extend(indexes.map(|index| (topic.name.clone(), index)));
        }
    }
    Ok(partitions)
}

fn target(options: &Options, now_ms: i64) -> Result<Target, Error> {
    let usage = |error: crate::options::Error| Error::Usage(error.to_string());
    if let Some(offset) = options.i64("to-offset").map_err(usage)? {
        return Ok(Target::Offset(offset));
    }
    if let Some(count) = options.i64("shift-by").map_err(usage)? {
        return Ok(Target::Shift(count));
    }
    if let Some(written) = options.text("to-datetime") {
        return times::datetime(written)
            .map(Target::Time)
            .map_err(|message| Error::Thrown {
                class: "java.text.ParseException",
                message,
            });
    }
    if let Some(written) = options.text("by-duration") {
        let millis = times::duration(written).ok_or_else(|| Error::Thrown {
            class: "java.time.format.DateTimeParseException",
            message: "Text cannot be parsed to a Duration".to_owned(),
        })?;
        return Ok(Target::Time(now_ms.saturating_sub(millis)));
    }
    if let Some(path) = options.text("from-file") {
        let unreadable = |message: String| Error::Thrown {
            class: "java.io.IOException",
            message,
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| unreadable(format!("{path}: {error}")))?;
        let groups = options.all("group");
        let only = (groups.len() == 1).then(|| groups[0]);
        return plan::from_csv(&text, only)
            .map(Target::File)
            .map_err(unreadable);
    }
    let named = [
        ("to-earliest", Target::Earliest),
        ("to-latest", Target::Latest),
        ("to-current", Target::Current),
    ];
    let found = named.into_iter().find(|(name, _)| options.has(name));
    found.map(|(_, target)| target).ok_or_else(|| {
        Error::Usage("Option '[reset-offsets]' requires one of the following scenarios: [[to-offset], [to-current], [to-datetime], [from-file], [by-duration], [to-earliest], [to-latest], [shift-by]]".to_owned())
    })
}

/// The new offset of each partition.
async fn offsets(
    client: &Client,
    group: &str,
    partitions: &[TopicPartition],
    target: &Target,
) -> Result<Offsets, Error> {
    match target {
        Target::Offset(offset) => {
            let wanted = partitions.iter().map(|at| (at.clone(), *offset));
            within_ends(client, wanted.collect()).await
        }
        Target::Earliest => Ok(client.offsets_at(partitions, EARLIEST, 0).await?),
        Target::Latest => Ok(client.offsets_at(partitions, LATEST, 0).await?),
        Target::Time(time) => since(client, partitions, *time).await,
        Target::Shift(count) => {
            let committed = client.all_committed(group).await?;
            let shifted = partitions.iter().map(|at| match committed.get(at) {
                Some(offset) => Ok((at.clone(), offset.saturating_add(*count))),
                None => Err(Error::Usage(format!(
                    "Cannot shift offset for partition {}-{} since there is no current committed offset",
                    at.0, at.1
                ))),
            });
            let shifted = shifted.collect::<Result<Offsets, Error>>()?;
            within_ends(client, shifted).await
        }
        Target::Current => {
            let committed = client.all_committed(group).await?;
            let mut found = Offsets::new();
            let mut missing = Vec::new();
            for at in partitions {
                match committed.get(at) {
                    Some(offset) => drop(found.insert(at.clone(), *offset)),
                    None => missing.push(at.clone()),
                }
            }
            found.extend(client.offsets_at(&missing, LATEST, 0).await?);
            Ok(found)
        }
        Target::File(plan) => match plan.get(group) {
            Some(offsets) => within_ends(client, offsets.clone()).await,
            None => {
                complain(&format!("No reset plan for group {group} found"));
                Ok(Offsets::new())
            }
        },
    }
}

async fn since(
    client: &Client,
    partitions: &[TopicPartition],
    time: i64,
) -> Result<Offsets, Error> {
    let mut found = client.offsets_at(partitions, time, 0).await?;
    let late: Vec<TopicPartition> = partitions
        .iter()
        .filter(|at| !found.contains_key(*at))
        .cloned()
        .collect();
    for (topic, partition) in &late {
        console::say(format_args!(
            "\nWarn: Partition {partition} from topic {topic} is empty. Falling back to latest known offset."
        ));
    }
    found.extend(client.offsets_at(&late, LATEST, 0).await?);
    Ok(found)
}

/// Moves offsets that lie outside of their partition to its nearer end.
async fn within_ends(client: &Client, wanted: Offsets) -> Result<Offsets, Error> {
    let partitions: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let starts = client.offsets_at(&partitions, EARLIEST, 0).await?;
    let latest = client.offsets_at(&partitions, LATEST, 0).await?;
    let mut within = Offsets::new();
    for (at, offset) in wanted {
        let (kept, warning) = clamp(&at, offset, starts.get(&at), latest.get(&at));
        if let Some(warning) = warning {
            console::warn(warning, LOGGER);
        }
        within.insert(at, kept);
    }
    Ok(within)
}

fn clamp(
    at: &TopicPartition,
    offset: i64,
    start: Option<&i64>,
    end: Option<&i64>,
) -> (i64, Option<String>) {
    let name = format!("{}-{}", at.0, at.1);
    if let Some(end) = end.filter(|end| offset > **end) {
        let told = format!(
            "New offset ({offset}) is higher than latest offset for topic partition {name}. Value will be set to {end}"
        );
        return (*end, Some(told));
    }
    if let Some(start) = start.filter(|start| offset < **start) {
        let told = format!(
            "New offset ({offset}) is lower than earliest offset for topic partition {name}. Value will be set to {start}"
        );
        return (*start, Some(told));
    }
    (offset, None)
}

#[cfg(test)]
mod tests {
    use super::super::arguments::parser;
    use super::*;

    #[test]
    fn each_target_is_read() {
        let read = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            target(&parser().parse(&words).unwrap(), 10_000).map_err(|error| error.to_string())
        };
        for (line, target) in [
            ("--to-offset 5", Target::Offset(5)),
            ("--shift-by -2", Target::Shift(-2)),
            ("--to-earliest", Target::Earliest),
            ("--to-latest", Target::Latest),
            ("--to-current", Target::Current),
            ("--by-duration PT4S", Target::Time(6_000)),
            ("--to-datetime 1970-01-01T00:00:01.000", Target::Time(1_000)),
        ] {
            assert_eq!(read(line), Ok(target), "{line}");
        }
        assert!(read("").unwrap_err().contains("requires one of"));
        assert_eq!(
            read("--by-duration x").unwrap_err(),
            "java.time.format.DateTimeParseException: Text cannot be parsed to a Duration"
        );
        assert!(read("--shift-by x").is_err());
    }

    #[test]
    fn offsets_stay_within_the_ends() {
        let at = ("t".to_owned(), 0);
        let clamp = |offset| clamp(&at, offset, Some(&3), Some(&9));
        assert_eq!(clamp(5), (5, None));
        assert_eq!(clamp(9), (9, None));
        assert_eq!(
            clamp(10),
            (9, Some("New offset (10) is higher than latest offset for topic partition t-0. Value will be set to 9".to_owned()))
        );
        assert_eq!(clamp(1).0, 3);
    }
}
