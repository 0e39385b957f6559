//! Lists groups, and shows their offsets, members and state.

use std::collections::BTreeMap;

use super::arguments;
use super::report::{self, MemberRow, OffsetRow};
use super::{Error, complain};
use crate::client::Client;
use crate::client::consumer::decode_assignment;
use crate::client::groups::Group;
use crate::client::offsets::LATEST;
use crate::console;
use crate::options::Options;

pub(super) async fn list(options: &Options, client: &Client) -> Result<(), Error> {
    let states = arguments::states(options).map_err(Error::Usage)?;
    let types = arguments::types(options).map_err(Error::Usage)?;
    let mut groups = client.list_groups().await?;
    if !options.has("state") && !options.has("type") {
        for group in groups {
            console::say(group.id);
        }
        return Ok(());
    }
    groups.retain(|group| {
        let is_wanted = |wanted: &[&str], what: &str| wanted.is_empty() || wanted.contains(&what);
        is_wanted(&states, &group.state) && is_wanted(&types, &group.kind)
    });
    let text = report::listing(&groups, options.has("type"), options.has("state"));
    console::print(format_args!("{text}"));
    Ok(())
}

/// The groups of `--group`, or all.
pub(super) async fn chosen(options: &Options, client: &Client) -> Result<Vec<String>, Error> {
    if options.has("all-groups") {
        let listed = client.list_groups().await?;
        return Ok(listed.into_iter().map(|group| group.id).collect());
    }
    let mut chosen: Vec<String> = Vec::new();
    for id in options.all("group") {
        if !chosen.iter().any(|known| known == id) {
            chosen.push(id.to_owned());
        }
    }
    Ok(chosen)
}

pub(super) async fn describe(options: &Options, client: &Client) -> Result<(), Error> {
    let mut ids = chosen(options, client).await?;
    ids.sort();
    for id in ids {
        let group = client.describe_group(&id).await?;
        if options.has("members") {
            // The head of the table is there even when the group is not.
            exists(&id, &group);
            let rows = member_rows(&group);
            console::print(format_args!(
                "{}",
                report::members(&id, &rows, options.has("verbose"))
            ));
        } else if options.has("state") {
            if exists(&id, &group) {
                print_state(client, &id, &group);
            }
        } else {
            let rows = offset_rows(client, &id, &group).await?;
            if exists(&id, &group) && !rows.is_empty() {
                console::print(format_args!("{}", report::offsets(&id, &rows)));
            }
        }
    }
    Ok(())
}

/// Tells what is special about a group's state; a dead one has nothing to show.
fn exists(id: &str, group: &Group) -> bool {
    match group.state.as_str() {
        "Dead" => {
            complain(&format!("Consumer group '{id}' does not exist."));
            return false;
        }
        "Empty" => {
            console::complain(format_args!(
                "\nConsumer group '{id}' has no active members."
            ));
        }
        "PreparingRebalance" | "CompletingRebalance" => {
            console::complain(format_args!(
                "\nWarning: Consumer group '{id}' is rebalancing."
            ));
        }
        _ => {}
    }
    true
}

fn print_state(client: &Client, id: &str, group: &Group) {
    let brokers = client.brokers();
    let broker = brokers
        .iter()
        .find(|broker| broker.endpoint == group.coordinator);
    let node = broker.map_or(-1, |broker| broker.id);
    let coordinator = format!("{}  ({node})", group.coordinator);
    let count = group.members.len();
    let text = report::state(id, &coordinator, &group.assignor, &group.state, count);
    console::print(format_args!("{text}"));
}

fn member_rows(group: &Group) -> Vec<MemberRow> {
    let mut rows: Vec<MemberRow> = group
        .members
        .iter()
        .map(|member| MemberRow {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            host: member.host.clone(),
            client_id: member.client_id.clone(),
            assignment: decode_assignment(member.assignment.clone())
                .into_values()
                .collect(),
        })
        .collect();
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    rows
}

/// First what members own, then what is only committed.
async fn offset_rows(client: &Client, id: &str, group: &Group) -> Result<Vec<OffsetRow>, Error> {
    let mut committed = client.all_committed(id).await?;
    let mut rows = Vec::new();
    for member in &group.members {
        let owner = (
            member.id.clone(),
            member.host.clone(),
            member.client_id.clone(),
        );
        let assignment = decode_assignment(member.assignment.clone());
        if assignment.is_empty() {
            rows.push(OffsetRow {
                owner: Some(owner.clone()),
                ..OffsetRow::default()
            });
        }
        for (topic, partitions) in assignment {
            for partition in partitions {
                let at = (topic.clone(), partition);
                rows.push(OffsetRow {
                    committed: committed.remove(&at),
                    at: Some(at),
                    end: None,
                    owner: Some(owner.clone()),
                });
            }
        }
    }
    rows.extend(committed.into_iter().map(|(at, offset)| OffsetRow {
        at: Some(at),
        committed: Some(offset),
        ..OffsetRow::default()
    }));
    fill_ends(client, &mut rows).await?;
    Ok(rows)
}

/// A partition that is gone has no end.
async fn fill_ends(client: &Client, rows: &mut [OffsetRow]) -> Result<(), Error> {
    let listed = client.list_topics().await?;
    let known: BTreeMap<&str, ()> = listed
        .iter()
        .map(|topic| (topic.name.as_str(), ()))
        .collect();
    for row in rows {
        let Some((topic, partition)) = &row.at else {
            continue;
        };
        if known.contains_key(topic.as_str()) {
            row.end = client
                .list_offset(topic, *partition, LATEST, 0)
                .await
                .ok()
                .flatten();
        }
    }
    Ok(())
}
