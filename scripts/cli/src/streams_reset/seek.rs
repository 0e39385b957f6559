//! Moves the offsets that an application's group has committed.
//!
//! **Invariant:** input topics go to one target, kept within the ends of each
//! partition; intermediate topics go to their end; all is committed at once.

use std::collections::BTreeMap;

use crate::client::consumer::TopicPartition;
use crate::client::offsets::{EARLIEST, LATEST};
use crate::{console, times};

use super::{End, Error, Run};

type Offsets = BTreeMap<TopicPartition, i64>;

const PARSE: &str = "java.text.ParseException";
const FILE: &str = "java.io.IOException";
const NUMBER: &str = "java.lang.NumberFormatException";
/// What Java says of a partition that a plan lacks, or has too many.
const NULL: &str = "Cannot invoke \"java.lang.Long.longValue()\" because the return value of \"java.util.Map.get(Object)\" is null";

fn thrown(class: &'static str, message: impl Into<String>) -> Error {
    let message = message.into();
    Error::Thrown { class, message }
}

fn name((topic, partition): &TopicPartition) -> String {
    format!("{topic}-{partition}")
}

impl Run<'_> {
    /// Moves what the command line names and is there.
    pub(super) async fn seek(&self) -> Result<End, Error> {
        let inputs = self.options.list("input-topics");
        let intermediates = self.options.list("intermediate-topics");
        if inputs.is_empty() && intermediates.is_empty() {
            console::say("No input or intermediate topics specified. Skipping seek.");
            return Ok(End::Done);
        }
        if !inputs.is_empty() {
            let list = inputs.join(", ");
            console::say(format_args!("Reset-offsets for input topics [{list}]"));
        }
        if !intermediates.is_empty() {
            let list = intermediates.join(", ");
            console::say(format_args!("Seek-to-end for intermediate topics [{list}]"));
        }
        let mut end = End::Done;
        // The blank that one of them lacks is lacking in Kafka as well.
        for (kind, mark, topics) in [
            ("input", ": ", &inputs),
            ("intermediate", ":", &intermediates),
        ] {
            let missing = topics.iter().filter(|topic| !self.topics.contains(**topic));
            let missing: Vec<&str> = missing.copied().collect();
            if missing.is_empty() {
                continue;
            }
            console::say(format_args!(
                "Following {kind} topics are not found, skipping them"
            ));
            for topic in missing {
                console::say(format_args!("Topic{mark}{topic}"));
            }
            end = End::Missing;
        }
        let mut moved: Vec<String> = [inputs.clone(), intermediates]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect();
        moved.sort();
        moved.dedup();
        moved.retain(|topic| self.topics.contains(topic));
        if moved.is_empty() {
            return Ok(end);
        }
        self.move_offsets(&moved, &inputs).await?;
        console::say("Done.");
        Ok(end)
    }

    async fn move_offsets(&self, topics: &[String], inputs: &[&str]) -> Result<(), Error> {
        let described = self.client.describe_topics(topics).await?;
        let partitions = described.iter().flat_map(|topic| {
            let indexes = topic.partitions.iter().map(|partition| partition.index);
            indexes.map(|index| (topic.name.clone(), index))
        });
        let (of_input, of_intermediate): (Vec<_>, Vec<_>) =
            partitions.partition(|(topic, _)| inputs.contains(&topic.as_str()));
        let mut offsets = Offsets::new();
        if !of_input.is_empty() {
            console::say(format_args!(
                "Following input topics offsets will be reset to (for consumer group {})",
                self.group
            ));
            offsets = self.target(&of_input).await.inspect_err(|error| {
                let is_of_input =
                    matches!(error, Error::Thrown { class, .. } if [PARSE, FILE].contains(class));
                if is_of_input {
                    console::complain("ERROR: Resetting offsets failed.");
                }
            })?;
            for ((topic, partition), offset) in &offsets {
                console::say(format_args!(
                    "Topic: {topic} Partition: {partition} Offset: {offset}"
                ));
            }
        }
        if !of_intermediate.is_empty() {
            console::say(format_args!(
                "Following intermediate topics offsets will be reset to end (for consumer group {})",
                self.group
            ));
            for (topic, _) in &of_intermediate {
                console::say(format_args!("Topic: {topic}"));
            }
            offsets.extend(self.ends(&of_intermediate, LATEST).await?);
        }
        match self.is_dry() {
            true => Ok(()),
            false => Ok(self.client.alter_offsets(self.group, &offsets).await?),
        }
    }

    async fn ends(&self, partitions: &[TopicPartition], time: i64) -> Result<Offsets, Error> {
        let level = self.settings.isolation_level;
        Ok(self.client.offsets_at(partitions, time, level).await?)
    }

    /// Where each partition of the input goes.
    async fn target(&self, partitions: &[TopicPartition]) -> Result<Offsets, Error> {
        let options = self.options;
        let number = |name: &'static str| {
            let read = options.i64(name);
            read.map_err(|error| {
                thrown(
                    "joptsimple.OptionArgumentConversionException",
                    error.to_string(),
                )
            })
        };
        let all = |offset: i64| partitions.iter().map(|at| (at.clone(), offset)).collect();
        if let Some(offset) = number("to-offset")? {
            return self.within_ends(partitions, all(offset)).await;
        }
        if options.has("to-latest") {
            return self.ends(partitions, LATEST).await;
        }
        if let Some(count) = number("shift-by")? {
            let mut positions = self.positions(partitions).await?;
            for offset in positions.values_mut() {
                *offset = offset.saturating_add(count);
            }
            return self.within_ends(partitions, positions).await;
        }
        if let Some(written) = options.text("to-datetime") {
            let time = times::datetime(written).map_err(|message| thrown(PARSE, message))?;
            return self.since(partitions, time).await;
        }
        if let Some(written) = options.text("by-duration") {
            let unreadable = || {
                thrown(
                    "java.time.format.DateTimeParseException",
                    "Text cannot be parsed to a Duration",
                )
            };
            let millis = times::duration(written).ok_or_else(unreadable)?;
            let time = self.client.wall_ms().saturating_sub(millis);
            return self.since(partitions, time).await;
        }
        if let Some(path) = options.text("from-file") {
            let unreadable = |_| thrown(FILE, format!("Unable to read file {path}"));
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            let plan = plan(&text)?;
            let is_whole =
                plan.len() == partitions.len() && partitions.iter().all(|at| plan.contains_key(at));
            return match is_whole {
                true => self.within_ends(partitions, plan).await,
                false => Err(thrown("java.lang.NullPointerException", NULL)),
            };
        }
        self.ends(partitions, EARLIEST).await
    }

    /// Where the group stands; where it has not been, a consumer would begin there.
    async fn positions(&self, partitions: &[TopicPartition]) -> Result<Offsets, Error> {
        let committed = self.client.all_committed(self.group).await?;
        let (known, new): (Vec<_>, Vec<_>) = partitions
            .iter()
            .cloned()
            .partition(|at| committed.contains_key(at));
        let known = known.into_iter().filter_map(|at| {
            let offset = *committed.get(&at)?;
            Some((at, offset))
        });
        let mut positions: Offsets = known.collect();
        if let Some(at) = new.first() {
            let time = self.settings.reset_time().ok_or_else(|| {
                thrown(
                    "org.apache.kafka.clients.consumer.NoOffsetForPartitionException",
                    format!(
                        "Undefined offset with no reset policy for partitions: [{}]",
                        name(at)
                    ),
                )
            })?;
            positions.extend(self.ends(&new, time).await?);
        }
        Ok(positions)
    }

    async fn since(&self, partitions: &[TopicPartition], time: i64) -> Result<Offsets, Error> {
        let mut found = self.ends(partitions, time).await?;
        let late: Vec<TopicPartition> = partitions
            .iter()
            .filter(|at| !found.contains_key(*at))
            .cloned()
            .collect();
        for (topic, partition) in &late {
            console::say(format_args!(
                "Partition {partition} from topic {topic} is empty, without a committed record. Falling back to latest known offset."
            ));
        }
        found.extend(self.ends(&late, LATEST).await?);
        Ok(found)
    }

    async fn within_ends(
        &self,
        partitions: &[TopicPartition],
        wanted: Offsets,
    ) -> Result<Offsets, Error> {
        let ends = self.ends(partitions, LATEST).await?;
        let starts = self.ends(partitions, EARLIEST).await?;
        let kept = wanted.into_iter().map(|(at, offset)| {
            let [start, end] = [&starts, &ends].map(|found| found.get(&at).copied());
            let (kept, warning) = clamp(offset, start.unwrap_or(offset), end.unwrap_or(offset));
            warning.into_iter().for_each(console::say);
            (at, kept)
        });
        Ok(kept.collect())
    }
}

/// Keeps an offset within a partition, and what to say then. Kafka's tool says it of
/// the ends themselves too.
fn clamp(offset: i64, start: i64, end: i64) -> (i64, Option<String>) {
    let (word, end_word, kept) = match () {
        () if offset >= end => ("higher", "latest", end),
        () if offset <= start => ("lower", "earliest", start),
        () => return (offset, None),
    };
    let told = format!(
        "New offset ({offset}) is {word} than {end_word} offset. Value will be set to {kept}"
    );
    (kept, Some(told))
}

/// Reads lines of `topic,partition,offset`.
fn plan(text: &str) -> Result<Offsets, Error> {
    if text.is_empty() {
        return Err(thrown(
            PARSE,
            "Error parsing reset plan CSV file. It is empty,",
        ));
    }
    let mut plan = Offsets::new();
    for line in text.trim_end_matches('\n').split('\n') {
        let [topic, partition, offset] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(thrown(
                PARSE,
                "Reset plan CSV file is not following the format `TOPIC,PARTITION,OFFSET`.",
            ));
        };
        let wrong = |cell: &str| thrown(NUMBER, format!("For input string: \"{cell}\""));
        let at = partition.parse().map_err(|_| wrong(partition))?;
        let offset = offset.parse().map_err(|_| wrong(offset))?;
        plan.insert((topic.to_owned(), at), offset);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_as_kafkas_tool_reads_them() {
        let read = |text: &str| plan(text).map_err(|error| error.to_string());
        let whole = Offsets::from([(("a".to_owned(), 0), 5), (("b".to_owned(), 1), 7)]);
        assert_eq!(read("a,0,5\nb,1,7\n"), Ok(whole));
        let form = "java.text.ParseException: Reset plan CSV file is not following the format `TOPIC,PARTITION,OFFSET`.";
        for (text, said) in [
            (
                "",
                "java.text.ParseException: Error parsing reset plan CSV file. It is empty,",
            ),
            ("a,0", form),
            ("g,a,0,5", form),
            (
                "a,x,5",
                "java.lang.NumberFormatException: For input string: \"x\"",
            ),
        ] {
            assert_eq!(read(text), Err(said.to_owned()), "{text}");
        }
    }

    #[test]
    fn offsets_stay_within_their_partition() {
        for (offset, kept, word) in [
            (5, 5, ""),
            (9, 9, "higher"),
            (10, 9, "higher"),
            (3, 3, "lower"),
            (-1, 3, "lower"),
        ] {
            let (found, told) = clamp(offset, 3, 9);
            assert_eq!(found, kept, "{offset}");
            assert_eq!(told.is_some(), !word.is_empty(), "{offset}");
            assert!(told.unwrap_or_default().contains(word), "{offset}");
        }
    }
}
