//! `kafka streams-application-reset`: takes a Kafka Streams application back, so
//! that it reads its input again.
//!
//! Flow: `arguments` checks the command line → nobody may be left in the group
//! (`--force` removes who is) → `seek` moves the offsets of input and intermediate
//! topics → the internal topics are deleted.
//!
//! **Invariant:** with `--dry-run` nothing is committed and nothing is deleted;
//! only `--force` is in force then too, as in Kafka.

mod arguments;
mod seek;

use std::collections::BTreeSet;

use crate::client::config::Settings;
use crate::client::consumer::{ConsumerSettings, decode_assignment};
use crate::client::groups::Member;
use crate::client::{self, Client};
use crate::failure::{Failure, Outcome};
use crate::options::Options;
use crate::{admin, console, runtime, text};

const PURPOSE: &str =
    "This tool helps to quickly reset an application in order to reprocess its data from scratch.
It moves the offsets of input topics, skips what intermediate topics hold, and deletes
the internal topics, whose names begin with the application's id. Output topics and the
local state of instances stay: clean up the latter yourself before the next start.
Run it with --dry-run first: what it does cannot be undone.
";

/// Why the application was not taken back.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{}: {}", .0.class(), .0)]
    Client(#[from] client::Error),
    /// What an admin client's future holds.
    #[error("java.util.concurrent.ExecutionException: {}: {}", .0.class(), .0)]
    Execution(client::Error),
    /// An exception of Java's, by its class.
    #[error("{class}: {message}")]
    Thrown {
        class: &'static str,
        message: String,
    },
}

/// How a run ended that was not broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    /// A topic that was named is not there; the rest was done.
    Missing,
}

/// What one run works on.
struct Run<'a> {
    options: &'a Options,
    client: &'a Client,
    settings: ConsumerSettings,
    group: &'a str,
    /// Without Kafka's own.
    topics: BTreeSet<String>,
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = arguments::parser();
    let options = arguments::parse(words, &parser)?;
    if options.has("help") {
        return Err(Failure::usage(&parser, PURPOSE));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(());
    }
    let unusable = |error: client::config::Error| {
        told(&format!(
            "org.apache.kafka.common.config.ConfigException: {error}"
        ))
    };
    let mut settings = match options.text("config-file") {
        Some(path) => Settings::load(path).map_err(unusable)?,
        None => Settings::default(),
    };
    settings.set("bootstrap.servers", arguments::servers(&options));
    let client = admin::connect(&settings).map_err(unusable)?;
    let mut run = Run {
        client: &client,
        settings: ConsumerSettings::new(&settings).map_err(unusable)?,
        group: options.text("application-id").unwrap_or_default(),
        options: &options,
        topics: BTreeSet::new(),
    };
    runtime::block_on(async {
        let end = run
            .reset()
            .await
            .map_err(|error| told(&error.to_string()))?;
        match end {
            End::Done => Ok(()),
            End::Missing => Err(Failure::told()),
        }
    })
}

/// Kafka's tool says an exception, and then its stack, which begins with it too.
fn told(thrown: &str) -> Failure {
    Failure::new(format!("ERROR: {thrown}\n{thrown}"))
}

impl Run<'_> {
    async fn reset(&mut self) -> Result<End, Error> {
        self.remove_members().await?;
        let listed = self.client.list_topics().await.map_err(Error::Execution)?;
        let listed = listed.into_iter().filter(|topic| !topic.is_internal);
        self.topics = listed.map(|topic| topic.name).collect();
        if self.is_dry() {
            console::say(
                "----Dry run displays the actions which will be performed when running Streams Reset Tool----",
            );
        }
        let end = self.seek().await?;
        self.delete_internal().await?;
        Ok(end)
    }

    fn is_dry(&self) -> bool {
        self.options.has("dry-run")
    }

    /// Sees to it that the group has no members.
    async fn remove_members(&self) -> Result<(), Error> {
        let group = self.client.describe_group(self.group).await;
        let members = group.map_err(Error::Execution)?.members;
        if members.is_empty() {
            return Ok(());
        }
        let id = self.group;
        if !self.options.has("force") {
            let members: Vec<String> = members.iter().map(described).collect();
            return Err(Error::Thrown {
                class: "java.lang.IllegalStateException",
                message: format!(
                    "Consumer group '{id}' is still active and has following members: [{}]. Make sure to stop all running application instances before running the reset tool. You can use option '--force' to remove active members from the group.",
                    members.join(", ")
                ),
            });
        }
        console::say(format_args!(
            "Force deleting all active members in the group: {id}"
        ));
        let removed = self.client.remove_members(id, &members).await;
        removed.map_err(Error::Execution)
    }

    async fn delete_internal(&self) -> Result<(), Error> {
        let [inputs, intermediates] =
            ["input-topics", "intermediate-topics"].map(|name| self.options.list(name));
        let is_internal = |topic: &&String| {
            let topic = topic.as_str();
            let is_named = inputs.contains(&topic) || intermediates.contains(&topic);
            !is_named && is_internal(topic, self.group)
        };
        let inferred: Vec<String> = self.topics.iter().filter(is_internal).cloned().collect();
        let named: Vec<String> = self
            .options
            .list("internal-topics")
            .into_iter()
            .map(str::to_owned)
            .collect();
        if !named.iter().all(|topic| inferred.contains(topic)) {
            return Err(Error::Thrown {
                class: "java.lang.IllegalArgumentException",
                message: "Invalid topic specified in the --internal-topics option. Ensure that the topics specified are all internal topics. Do a dry run without the --internal-topics option to see the list of all internal topics that can be deleted.".to_owned(),
            });
        }
        let (how, topics) = match named.is_empty() {
            true => ("inferred", inferred),
            false => ("specified", named),
        };
        console::say(format_args!(
            "Deleting {how} internal topics [{}]",
            topics.join(", ")
        ));
        if !self.is_dry() && !topics.is_empty() {
            self.delete(&topics).await?;
        }
        console::say("Done.");
        Ok(())
    }

    async fn delete(&self, topics: &[String]) -> Result<(), Error> {
        let mut is_broken = false;
        for (topic, result) in self.client.delete_each_topic(topics).await? {
            let Err(error) = result else { continue };
            is_broken = true;
            console::complain(format_args!("ERROR: deleting topic {topic}"));
            console::complain(Error::Execution(error));
        }
        match is_broken {
            false => Ok(()),
            true => Err(Error::Thrown {
                class: "java.lang.RuntimeException",
                message: "Encountered an error deleting one or more topics".to_owned(),
            }),
        }
    }
}

/// A member in the form in which Java prints it.
fn described(member: &Member) -> String {
    let assigned = decode_assignment(member.assignment.clone());
    let assigned: Vec<String> = assigned
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(move |at| format!("{topic}-{at}")))
        .collect();
    let instance = match member.instance_id.as_str() {
        "" => "null",
        instance => instance,
    };
    format!(
        "(memberId={}, groupInstanceId={instance}, clientId={}, host={}, assignment=(topicPartitions={}), targetAssignment=Optional.empty)",
        member.id,
        member.client_id,
        member.host,
        assigned.join(",")
    )
}

/// Whether Kafka Streams made this topic for this application.
fn is_internal(topic: &str, application: &str) -> bool {
    const ENDS: [&str; 4] = [
        "-changelog",
        "-repartition",
        "-subscription-registration-topic",
        "-subscription-response-topic",
    ];
    let own = topic.strip_prefix(application);
    if !own.is_some_and(|rest| rest.starts_with('-')) {
        return false;
    }
    let numbered = |kind: &str| {
        let rest = topic.strip_suffix("-topic").unwrap_or_default();
        let rest = rest.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let has_number = rest.len() + "-topic".len() < topic.len();
        has_number && rest.strip_suffix(kind).is_some_and(|name| !name.is_empty())
    };
    ENDS.iter().any(|end| topic.ends_with(end))
        || numbered("-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-")
        || numbered("-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn topics_that_streams_made() {
        for (topic, is) in [
            ("app-store-changelog", true),
            ("app-x-repartition", true),
            (
                "app-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000005-topic",
                true,
            ),
            ("app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-1-topic", true),
            ("app-KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION--topic", false),
            ("app-a-subscription-response-topic", true),
            ("app-topic", false),
            ("app", false),
            ("app2-store-changelog", false),
            ("other-store-changelog", false),
        ] {
            assert_eq!(is_internal(topic, "app"), is, "{topic}");
        }
    }

    #[test]
    fn a_member_as_java_prints_it() {
        let member = Member {
            id: "m-1".to_owned(),
            instance_id: String::new(),
            client_id: "c".to_owned(),
            host: "/127.0.0.1".to_owned(),
            assignment: Bytes::new(),
        };
        assert_eq!(
            described(&member),
            "(memberId=m-1, groupInstanceId=null, clientId=c, host=/127.0.0.1, assignment=(topicPartitions=), targetAssignment=Optional.empty)"
        );
    }
}
