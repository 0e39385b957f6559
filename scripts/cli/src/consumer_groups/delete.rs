//! `--delete` and `--delete-offsets`.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError as E;

use super::{Error, complain, describe, plan, report};
use crate::client::consumer::TopicPartition;
use crate::client::{self, Client, code_name};
use crate::console;
use crate::options::Options;

pub(super) async fn groups(options: &Options, client: &Client) -> Result<(), Error> {
    let mut deleted = Vec::new();
    let mut failed = Vec::new();
    for group in describe::chosen(options, client).await? {
        match client.delete_group(&group).await {
            Ok(()) => deleted.push(group),
            Err(error) => failed.push((group, error)),
        }
    }
    if failed.is_empty() {
        console::say(format_args!(
            "Deletion of requested consumer groups ('{}') was successful.",
            deleted.join(", ")
        ));
        return Ok(());
    }
    complain("Deletion of some consumer groups failed:");
    for (group, error) in failed {
        console::say(format_args!(
            "* Group '{group}' could not be deleted due to: java.util.concurrent.ExecutionException: {}: {error}",
            error.class()
        ));
    }
    if !deleted.is_empty() {
        console::say(format_args!(
            "\nThese consumer groups were deleted successfully: '{}'",
            deleted.join("', '")
        ));
    }
    Ok(())
}

pub(super) async fn offsets(options: &Options, client: &Client) -> Result<(), Error> {
    let group = options.text("group").unwrap_or_default();
    let topics = options.all("topic");
    let (partitions, mut rows) = partitions(client, &topics).await?;
    let outcome = client.delete_offsets(group, &partitions).await;
    let explain = |error: &client::Error| format!("{}: {error}", error.class());
    let results = match &outcome {
        Ok(results) => results,
        Err(error) => {
            let told = explain(error);
            rows.extend(partitions.into_iter().map(|at| (at, Some(told.clone()))));
            &BTreeMap::new()
        }
    };
    for (at, result) in results {
        rows.push((at.clone(), result.as_ref().err().map(explain)));
    }
    rows.sort();
    let first = match &outcome {
        Err(error) => Some(error),
        Ok(results) => results.values().find_map(|result| result.as_ref().err()),
    };
    match first {
        None => console::say(format_args!(
            "Request succeed for deleting offsets with topic {} group {group}",
            topics.join(", ")
        )),
        Some(error) => complain(&headline(error, group)),
    }
    console::print(format_args!("{}", report::deletions(&rows)));
    Ok(())
}

/// What each `--topic` means; a topic that is not there becomes a row.
#[allow(
    clippy::type_complexity,
    reason = "two lists that the caller takes apart"
)]
async fn partitions(
    client: &Client,
    topics: &[&str],
) -> Result<(Vec<TopicPartition>, Vec<(TopicPartition, Option<String>)>), Error> {
    let mut partitions = Vec::new();
    let mut failed = Vec::new();
    for written in topics {
        if written.contains(':') {
            partitions.extend(plan::partitions(written).map_err(Error::Usage)?);
            continue;
        }
        let names = [(*written).to_owned()];
        match client.describe_topics(&names).await {
            Ok(described) => partitions.extend(described.into_iter().flat_map(|topic| {
                let name = topic.name;
                topic
                    .partitions
                    .into_iter()
                    .map(move |partition| (name.clone(), partition.index))
            })),
            Err(error) => {
                let told = format!("{}: {error}", error.class());
                failed.push((((*written).to_owned(), -1), Some(told)));
            }
        }
    }
    partitions.sort();
    partitions.dedup();
    Ok((partitions, failed))
}

fn headline(error: &client::Error, group: &str) -> String {
    match error.code() {
        Some(E::InvalidGroupId) => format!("'{group}' is not valid."),
        Some(E::GroupIdNotFound) => format!("'{group}' does not exist."),
        Some(E::GroupAuthorizationFailed) => format!("Access to '{group}' is not authorized."),
        Some(E::NonEmptyGroup) => format!(
            "Deleting offsets of a consumer group '{group}' is forbidden if the group is not empty."
        ),
        Some(
            E::GroupSubscribedToTopic | E::TopicAuthorizationFailed | E::UnknownTopicOrPartition,
        ) => "Encounter some partition level error, see the follow-up details:".to_owned(),
        Some(code) => format!("Encounter some unknown error: {}", code_name(code.code())),
        None => format!("Encounter some unknown error: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_as_kafka_tells_them() {
        let told = |error: E| headline(&client::Error::check(error.code(), None).unwrap_err(), "g");
        assert_eq!(told(E::GroupIdNotFound), "'g' does not exist.");
        assert_eq!(
            told(E::GroupSubscribedToTopic),
            "Encounter some partition level error, see the follow-up details:"
        );
        assert_eq!(
            told(E::CoordinatorNotAvailable),
            "Encounter some unknown error: COORDINATOR_NOT_AVAILABLE"
        );
    }
}
