//! `kafka get-offsets`: offsets of partitions at their ends or at a time.

use regex::Regex;

use crate::client::config::Settings;
use crate::client::{Client, Config};
use crate::console;
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::runtime;
use crate::text::{self, TopicFilter};

const PURPOSE: &str = "An interactive shell for getting topic-partition offsets.";

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    if words.is_empty() {
        return Err(Failure::usage(&parser, PURPOSE));
    }
    let options = parser.parse(words).map_err(occurred)?;
    if options.has("help") {
        return Err(Failure::usage(&parser, PURPOSE));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(());
    }
    let servers = options
        .text("bootstrap-server")
        .or_else(|| options.text("broker-list"));
    let Some(servers) = servers else {
        return Err(Failure::usage(
            &parser,
            "Missing required argument \"[bootstrap-server]\"",
        ));
    };
    text::validate_bootstrap(servers).map_err(|error| Failure::usage(&parser, error))?;
    let mut settings = match options.text("command-config") {
        Some(path) => Settings::load(path).map_err(occurred)?,
        None => Settings::default(),
    };
    settings.set("bootstrap.servers", servers);
    let config =
        Config::from_settings(&settings, "AdminClient", "GetOffsetShell").map_err(occurred)?;
    let timestamp = timestamp(options.text("time").unwrap_or("latest")).map_err(occurred)?;
    let rules = rules(&options).map_err(occurred)?;
    let hides_internal = options.has("exclude-internal-topics");
    runtime::block_on(async {
        let client = Client::new(config);
        print_offsets(&client, &rules, timestamp, hides_internal).await
    })
}

fn parser() -> Parser {
    Parser::new()
        .text("bootstrap-server", "HOST1:PORT1,...,HOST3:PORT3", "One or more brokers, as host:port,host:port.")
        .text("broker-list", "HOST1:PORT1,...,HOST3:PORT3", "The old name of --bootstrap-server.")
        .text("topic-partitions", "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3", "Topics by pattern, each with a partition or a range of them (the upper end is not part of it). Not together with --topic or --partitions.")
        .text("topic", "topic", "The topics, by a pattern that whole names must match; all if absent.")
        .text("partitions", "partition ids", "The partitions, with commas between them; all if absent.")
        .text("time", "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered", "The first offset at or after a time in milliseconds, or a special one.")
        .or("latest")
        .text("command-config", "config file", "A properties file with settings for the connection to the brokers.")
        .flag("exclude-internal-topics", "Leave out internal topics.")
}

fn occurred(error: impl ToString) -> Failure {
    Failure::new(format!("Error occurred: {}", error.to_string()))
}

async fn print_offsets(
    client: &Client,
    rules: &[Rule],
    timestamp: i64,
    hides_internal: bool,
) -> Outcome {
    let listed = client.list_topics().await.map_err(occurred)?;
    let names: Vec<String> = listed
        .into_iter()
        .filter(|topic| !(hides_internal && topic.is_internal))
        .map(|topic| topic.name)
        .filter(|name| rules.iter().any(|rule| rule.topics.allows(name)))
        .collect();
    let described = match names.is_empty() {
        true => Vec::new(),
        false => client.describe_topics(&names).await.map_err(occurred)?,
    };
    let mut wanted: Vec<(String, i32)> = described
        .iter()
        .flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|at| (topic.name.clone(), at.index))
        })
        .filter(|(name, partition)| rules.iter().any(|rule| rule.allows(name, *partition)))
        .collect();
    if wanted.is_empty() {
        return Err(occurred(
            "Could not match any topic-partitions with the specified filters",
        ));
    }
    wanted.sort_by_key(|(name, partition)| format!("{name}-{partition}"));
    for (name, partition) in wanted {
        match client.list_offset(&name, partition, timestamp, 0).await {
            Ok(Some(offset)) => console::say(format_args!("{name}:{partition}:{offset}")),
            Ok(None) => {}
            Err(error) => console::complain(format_args!(
                "Skip getting offsets for topic-partition {name}-{partition} due to error: {}: {error}",
                error.class()
            )),
        }
    }
    Ok(())
}

/// The time that stands for what `--time` says.
fn timestamp(written: &str) -> Result<i64, String> {
    Ok(match written {
        "latest" => -1,
        "earliest" => -2,
        "max-timestamp" => -3,
        "earliest-local" => -4,
        "latest-tiered" => -5,
        number => number.parse().map_err(|_| {
            format!(
                "Malformed time argument {number}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a specified long format timestamp"
            )
        })?,
    })
}

/// Which partitions of which topics.
struct Rule {
    topics: TopicFilter,
    partitions: Partitions,
}

enum Partitions {
    /// None in the list means all.
    Listed(Vec<i32>),
    /// The upper end is not part of it.
    Range(i32, i32),
}

impl Rule {
    fn allows(&self, topic: &str, partition: i32) -> bool {
        let is_chosen = match &self.partitions {
            Partitions::Listed(ids) => ids.is_empty() || ids.contains(&partition),
            Partitions::Range(from, to) => (*from..*to).contains(&partition),
        };
        is_chosen && self.topics.allows(topic)
    }
}

fn rules(options: &Options) -> Result<Vec<Rule>, String> {
    if let Some(list) = options.text("topic-partitions") {
        if options.has("topic") || options.has("partitions") {
            return Err(
                "--topic-partitions cannot be used with --topic or --partitions".to_owned(),
            );
        }
        return list.split(',').map(rule).collect();
    }
    let written = options.text("partitions").unwrap_or_default();
    let ids = written
        .split(',')
        .filter(|id| !written.is_empty() || !id.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| {
            format!("--partitions expects a comma separated list of numeric partition ids, but received: {written}")
        })?;
    Ok(vec![Rule {
        topics: TopicFilter::new(options.text("topic").unwrap_or(".*"))?,
        partitions: Partitions::Listed(ids),
    }])
}

/// `topic`, `topic:1`, `topic:0-3`, `topic:5-`, `topic:-3`, `:1`.
fn rule(written: &str) -> Result<Rule, String> {
    let invalid = || format!("Invalid rule specification: {written}");
    let form = Regex::new("^([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?$")
        .map_err(|error| error.to_string())?;
    let found = form.captures(written).ok_or_else(invalid)?;
    let part = |index| {
        found
            .get(index)
            .map(|part| part.as_str())
            .filter(|part| !part.is_empty())
    };
    let number = |index, absent| match part(index) {
        Some(digits) => digits.parse().map_err(|_| invalid()),
        None => Ok(absent),
    };
    let partitions = match part(2) {
        Some(_) => Partitions::Listed(vec![number(2, 0)?]),
        None => Partitions::Range(number(3, 0)?, number(4, i32::MAX)?),
    };
    Ok(Rule {
        topics: TopicFilter::new(part(1).unwrap_or(".*"))?,
        partitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_choose_partitions() {
        let cases = [
            ("a", "a", 5, true),
            ("a", "b", 5, false),
            ("a:1", "a", 1, true),
            ("a:1", "a", 2, false),
            ("a:0-3", "a", 2, true),
            ("a:0-3", "a", 3, false),
            ("a:5-", "a", 9, true),
            ("a:-3", "a", 3, false),
            (":1", "anything", 1, true),
        ];
        for (written, topic, partition, allowed) in cases {
            assert_eq!(
                rule(written).unwrap().allows(topic, partition),
                allowed,
                "{written}"
            );
        }
        assert_eq!(
            rule("a:x").err().unwrap(),
            "Invalid rule specification: a:x"
        );
    }

    #[test]
    fn times() {
        assert_eq!(timestamp("latest"), Ok(-1));
        assert_eq!(timestamp("-2"), Ok(-2));
        assert_eq!(timestamp("1700000000000"), Ok(1_700_000_000_000));
        assert!(
            timestamp("xx")
                .unwrap_err()
                .starts_with("Malformed time argument xx.")
        );
    }
}
