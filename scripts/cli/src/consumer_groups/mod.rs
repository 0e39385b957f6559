//! `kafka consumer-groups`: lists groups, and shows their offsets, members and state.

mod report;

use std::collections::BTreeMap;

use crate::client::config::Settings;
use crate::client::consumer::decode_assignment;
use crate::client::groups::Group;
use crate::client::{Client, Config, Error};
use crate::console;
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{runtime, text};
use report::{MemberRow, OffsetRow};

const PURPOSE: &str = "This tool helps to list all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.";
const LATEST: i64 = -1;

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    let usage = |message: &str| Failure::usage(&parser, message);
    let options = parser
        .parse(words)
        .map_err(|error| usage(&error.to_string()))?;
    if options.is_empty() || options.has("help") {
        return Err(usage(PURPOSE));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(());
    }
    if options.has("list") == options.has("describe") {
        return Err(usage(
            "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets",
        ));
    }
    check(&options).map_err(|message| usage(&message))?;
    let mut settings = match options.text("command-config") {
        Some(path) => Settings::load(path).map_err(Failure::new)?,
        None => Settings::default(),
    };
    settings.set(
        "bootstrap.servers",
        options.text("bootstrap-server").unwrap_or_default(),
    );
    let config = Config::from_settings(&settings, "AdminClient", "adminclient-1");
    let client = Client::new(config.map_err(Failure::new)?);
    runtime::block_on(async {
        let done = match options.has("list") {
            true => list(&options, &client).await,
            false => describe(&options, &client).await,
        };
        if let Err(error) = done {
            complain(&format!(
                "Executing consumer group command failed due to {}: {error}",
                error.class()
            ));
            return Err(Failure::told());
        }
        Ok(())
    })
}

fn parser() -> Parser {
    Parser::new()
        .text(
            "bootstrap-server",
            "server to connect to",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "command-config",
            "command config property file",
            "A properties file with settings for the connection to the brokers.",
        )
        .flag("list", "List the groups.")
        .flag(
            "describe",
            "Show the offsets of groups, and how far they lag behind.",
        )
        .text(
            "group",
            "consumer group",
            "The group. May be given several times.",
        )
        .flag("all-groups", "With --describe: all groups.")
        .flag("members", "With --describe: the members instead.")
        .flag(
            "offsets",
            "With --describe: the offsets, which is the default.",
        )
        .optional_text(
            "state",
            "state",
            "With --describe: the state instead. With --list: show states, or only groups in one.",
        )
        .flag("verbose", "With --members: also the assigned partitions.")
        .long("timeout", "timeout (ms)", "Accepted for compatibility.")
        .or("5000")
}

fn check(options: &Options) -> Result<(), String> {
    options
        .require(&["bootstrap-server"])
        .map_err(|error| error.to_string())?;
    if !options.has("describe") {
        return options
            .forbid("group", &["list"])
            .map_err(|error| error.to_string());
    }
    if !options.has("group") && !options.has("all-groups") {
        return Err(
            "Option [describe] takes one of these options: [all-groups], [group]".to_owned(),
        );
    }
    let views = ["members", "offsets", "state"];
    if views.iter().filter(|view| options.has(view)).count() > 1 {
        return Err(
            "Option [describe] takes at most one of these options: [members], [offsets], [state]"
                .to_owned(),
        );
    }
    if options.has("state") && options.text("state").is_some() {
        return Err("Option [describe] does not take a value for [state]".to_owned());
    }
    options
        .forbid("group", &["all-groups"])
        .map_err(|error| error.to_string())
}

fn complain(error: &str) {
    console::say(format_args!("\nError: {error}"));
}

async fn list(options: &Options, client: &Client) -> Result<(), Error> {
    let groups = client.list_groups().await?;
    if !options.has("state") {
        for group in groups {
            console::say(group.id);
        }
        return Ok(());
    }
    let wanted: Option<Vec<String>> = options.text("state").map(|states| {
        states
            .split(',')
            .map(|state| state.trim().to_lowercase())
            .collect()
    });
    let chosen: Vec<(String, String)> = groups
        .into_iter()
        .filter(|group| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&group.state.to_lowercase()))
        })
        .map(|group| (group.id, group.state))
        .collect();
    console::print(format_args!("{}", report::states(&chosen)));
    Ok(())
}

async fn describe(options: &Options, client: &Client) -> Result<(), Error> {
    let ids: Vec<String> = match options.has("all-groups") {
        true => client
            .list_groups()
            .await?
            .into_iter()
            .map(|group| group.id)
            .collect(),
        false => options
            .all("group")
            .into_iter()
            .map(str::to_owned)
            .collect(),
    };
    for id in ids {
        let group = client.describe_group(&id).await?;
        if options.has("members") {
            if exists(&id, &group) {
                let rows = member_rows(&group);
                console::print(format_args!(
                    "{}",
                    report::members(&id, &rows, options.has("verbose"))
                ));
            }
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
